"""Find the tensors in what was given to capture, and the live nodes that they start from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch

from ..errors import ArgumentTypeError, NoGraphError
from ..graph.records import Note
from ..graph.tensor_meta import TensorMeta
from .no_graph import explain_no_graph, explain_spoiled_view
from .node_types import is_node
from .private_torch import LiveNode, accumulate_grad_of
from .tensor_meta import TensorMetaCache

__all__ = ["LiveRoot", "find_roots"]

MAX_NOTES = 100


@dataclass(frozen=True, slots=True)
class LiveRoot:
    """A live node to start from, and the tensor's place in what was given; see `Root`.

    Attributes:
        path: As in `Root`.
        node: The live node.
        slot: As in `Root`.
        meta: As in `Root`.
        tensor: The tensor; None if a node or a GradientEdge was given.
    """

    path: str
    node: LiveNode
    slot: int
    meta: TensorMeta | None
    tensor: torch.Tensor | None = None


def find_roots(outputs: Any, metas: TensorMetaCache) -> tuple[list[LiveRoot], list[Note]]:
    """Find all roots in a tensor, a node, a GradientEdge, or a nest of these.

    Returns:
        The roots in the order of the nest, and a note for each member without a graph.

    Raises:
        NoGraphError: There are tensors, but none carries a graph.
        ArgumentTypeError: There is no tensor at all.
    """
    roots: list[LiveRoot] = []
    notes: list[Note] = []
    tensors = 0
    for path, value in _flatten(outputs):
        tensors += isinstance(value, torch.Tensor)
        root = _to_root(path, value, metas)
        if root is not None:
            roots.append(root)
        else:
            notes.append(_to_note(path, value, metas))
    if not roots:
        raise _no_root(outputs, notes, tensors)
    if len(notes) > MAX_NOTES:
        more = len(notes) - MAX_NOTES
        notes[MAX_NOTES:] = [Note("…", f"{more} more members", "they carry no graph either")]
    return roots, notes


def _to_root(path: str, value: Any, metas: TensorMetaCache) -> LiveRoot | None:
    if isinstance(value, torch.Tensor):
        if explain_spoiled_view(value) is not None:
            return None
        if value.grad_fn is not None:
            return LiveRoot(path, value.grad_fn, value.output_nr, metas.describe(value), value)
        if value.requires_grad and value.is_leaf and not value.is_inference():
            edge = accumulate_grad_of(value)
            return LiveRoot(path, edge.node, edge.output_nr, metas.describe(value), value)
        return None
    if isinstance(value, torch.autograd.graph.GradientEdge):
        return LiveRoot(path, value.node, value.output_nr, None)
    return LiveRoot(path, value, 0, None) if is_node(value) else None


def _to_note(path: str, value: Any, metas: TensorMetaCache) -> Note:
    if isinstance(value, torch.Tensor):
        return Note(path, str(metas.describe(value)), explain_no_graph(value))
    if value is None:
        return Note(path, "None", "it is None")
    return Note(path, type(value).__name__, "it is not a tensor")


def _no_root(outputs: Any, notes: list[Note], tensors: int) -> Exception:
    if tensors:
        reasons = [
            f"{'outputs' + note.path}, {note.what}, carries no autograd graph: {note.reason}"
            for note in notes
            if note.reason != "it is not a tensor"
        ]
        more = f"\n  and {len(reasons) - 5} more like these" if len(reasons) > 5 else ""
        return NoGraphError(
            "\n  ".join(reasons[:5]) + more,
            remedy="Capture a tensor computed, with gradients enabled, from a tensor that has "
            "requires_grad=True. Its grad_fn is then not None.",
        )
    expected = "expected a tensor with a grad_fn, a node, a GradientEdge, or a nest of tensors"
    if isinstance(outputs, torch.nn.Module):
        return ArgumentTypeError(
            f"outputs is a {type(outputs).__name__} module; {expected}",
            remedy="A module has no graph, its output has: capture(model(x), params=model).",
        )
    if callable(outputs):
        return ArgumentTypeError(
            f"outputs is {getattr(outputs, '__name__', type(outputs).__name__)!r}, "
            f"which is callable; {expected}",
            remedy="Call it, and capture what it returns.",
        )
    return ArgumentTypeError(
        f"outputs is of type {type(outputs).__name__} and holds no tensor; {expected}",
        remedy="Compute with tensors: torch.tensor(values, requires_grad=True) makes a leaf, and "
        "what is computed from it carries a graph.",
    )


def _flatten(outputs: Any) -> Iterator[tuple[str, Any]]:
    """All members that are no containers, with their paths, in order and without recursion."""
    pending: list[tuple[str, Any, frozenset[int]]] = [("", outputs, frozenset())]
    while pending:
        path, value, holders = pending.pop()
        members = None if id(value) in holders else _members(value)
        if members is None:
            yield path, value
        else:
            inside = holders | {id(value)}
            pending.extend((path + step, member, inside) for step, member in reversed(members))


def _members(value: Any) -> list[tuple[str, Any]] | None:
    """The members of a container with how Python reaches them; None if it is no container."""
    if isinstance(value, torch.Tensor | torch.autograd.graph.GradientEdge):
        return None
    if isinstance(value, Mapping):
        return [(f"[{key!r}]", member) for key, member in value.items()]
    if is_dataclass(value) and not isinstance(value, type):
        return [(f".{field.name}", getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(f".{name}", getattr(value, name)) for name in value._fields]
    if isinstance(value, list | tuple):
        return [(f"[{index}]", member) for index, member in enumerate(value)]
    return None
