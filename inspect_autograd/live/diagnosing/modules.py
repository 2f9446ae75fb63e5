"""The tensors of a model, and what it holds without knowing, found without running its code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ...diagnosis.program_facts import AttributeFacts
from ..node_types import short_name
from ..tensor_meta import TensorMetaCache
from ..walk import walk_graph

__all__ = ["Held", "ModuleTensor", "find_module_tensors", "find_unregistered"]

_OWN = frozenset(vars(torch.nn.Module()))
"""What every module has."""
SMALL_GRAPH = 5
"""Operators up to which a computed attribute is taken for a parameter that went wrong: a cast, a
factor, a norm. What a forward pass leaves in an attribute has more behind it."""
_ONE_CAST = 2
MOST_ITEMS = 1000

Known = Mapping[int, object]
"""By id, the tensors that are registered or given."""


@dataclass(slots=True)
class ModuleTensor:
    """A parameter or buffer; hold it no longer than needed.

    Attributes:
        tensor: Live.
        module: Path of the module that holds it under its first name.
        owner: That module; None where the tensor was given in `params`.
        is_buffer: Whether it is a buffer.
        names: All its names.
    """

    tensor: torch.Tensor
    module: str
    owner: torch.nn.Module | None
    is_buffer: bool
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Held:
    """What the optimizers hold: by id, which also keeps the ids good."""

    tensors: Mapping[int, torch.Tensor]

    def __contains__(self, tensor: torch.Tensor) -> bool:
        return id(tensor) in self.tensors


def walk_modules(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    """All modules with their paths, outermost first; a shared one under each of its paths."""
    pending: list[tuple[str, torch.nn.Module, frozenset[int]]] = [("", model, frozenset())]
    while pending:
        path, module, holders = pending.pop()
        if id(module) in holders:
            continue
        yield path, module
        inside = holders | {id(module)}
        children = vars(module).get("_modules") or {}
        for name, child in reversed(list(children.items())):
            if isinstance(child, torch.nn.Module):
                pending.append((_join(path, name), child, inside))


def find_module_tensors(model: torch.nn.Module) -> list[ModuleTensor]:
    """Its parameters and buffers, each once with all its names."""
    found: dict[int, ModuleTensor] = {}
    for path, module in walk_modules(model):
        for member, is_buffer in (("_parameters", False), ("_buffers", True)):
            for name, tensor in (vars(module).get(member) or {}).items():
                if isinstance(tensor, torch.Tensor):
                    one = found.setdefault(
                        id(tensor), ModuleTensor(tensor, path, module, is_buffer)
                    )
                    one.names.append(_join(path, name))
    return list(found.values())


def find_unregistered(
    model: torch.nn.Module, known: Known, held: Held, metas: TensorMetaCache
) -> list[AttributeFacts]:
    """What stands in its modules like parameters, but is not among its parameters.

    Args:
        model: The model.
        known: The tensors that are registered or named.
        held: What the optimizers hold.
        metas: Describes.
    """
    found: list[AttributeFacts] = []
    seen = set(known)
    for path, module in walk_modules(model):
        if type(module).__module__.startswith("torch.distributed"):
            continue  # Its own bookkeeping, of tensors that are no user's.
        for name, value in list(vars(module).items()):
            if name not in _OWN:
                found += _examine(_join(path, name), value, seen, (known, held, metas))
    return found


_Context = tuple[Known, Held, TensorMetaCache]


def _examine(name: str, value: Any, seen: set[int], context: _Context) -> list[AttributeFacts]:
    found = []
    if isinstance(value, torch.Tensor):
        found.append(_examine_tensor(name, value, seen, context))
    elif type(value) in (list, tuple, dict):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items)[:MOST_ITEMS]:
            where = f"{name}[{key!r}]" if isinstance(key, int | str) else f"{name}[…]"
            if isinstance(item, torch.nn.Module):
                found.append(_examine_module(where, item, seen, context))
            elif isinstance(item, torch.nn.Parameter) and item.requires_grad:
                found.append(_examine_tensor(where, item, seen, context, "in a container"))
    return [facts for facts in found if facts is not None]


def _examine_tensor(
    name: str, tensor: torch.Tensor, seen: set[int], context: _Context, kind: Any = "leaf tensor"
) -> AttributeFacts | None:
    known, held, metas = context
    if id(tensor) in seen or not tensor.requires_grad:
        return None
    seen.add(id(tensor))
    node = tensor.grad_fn
    if node is None:
        return AttributeFacts(name, metas.describe(tensor), kind, is_held=tensor in held)
    live = walk_graph([node], SMALL_GRAPH * 4)
    leaves = [n.variable for n in live.nodes if hasattr(n, "variable")]
    operators = len(live.nodes) - len(leaves)
    are_parameters = all(isinstance(leaf, torch.nn.Parameter) for leaf in leaves)
    limit = SMALL_GRAPH if are_parameters else _ONE_CAST
    if live.cut_slots or not leaves or operators > limit:
        return None
    if any(id(leaf) in known or leaf in held for leaf in leaves):
        return None  # Computed from what is trained, as weight_norm does before each call.
    return AttributeFacts(
        name,
        metas.describe(tensor),
        "computed",
        grad_fn=short_name(node),
        is_certain=are_parameters,
    )


def _examine_module(
    name: str, module: torch.nn.Module, seen: set[int], context: _Context
) -> AttributeFacts | None:
    if id(module) in seen:
        return None
    seen.add(id(module))
    tensors = [t.tensor for t in find_module_tensors(module) if not t.is_buffer]
    # A frozen one is often put into a list on purpose, so that it is not saved along.
    own = [t for t in tensors if t.requires_grad and id(t) not in seen]
    if not own:
        return None
    return AttributeFacts(
        name,
        None,
        "module in a container",
        what=type(module).__name__,
        parameter_count=len(own),
        is_certain=False,
        is_held=all(t in context[1] for t in own),
    )


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
