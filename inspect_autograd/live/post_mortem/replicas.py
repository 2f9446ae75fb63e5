"""The DistributedDataParallel model of a traceback: what it waits for, and what uses that."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from ...diagnosis.replica_facts import ReplicaFacts, ReplicaParameter
from ..file_owners import USER, owner_of
from ..holders.safe_access import instance_dict, is_kind_of
from ..walk import walk_graph
from .live_frame import LiveFrame
from .tensors import TensorDescriber
from .variables import named_tensors, read_variables

__all__ = ["find_replica"]

MAX_RESULTS = 20
"""Variables of the user whose graphs are looked at."""
MAX_NODES = 100_000


def find_replica(
    frames: Sequence[LiveFrame], message: str, describer: TensorDescriber
) -> ReplicaFacts | None:
    """The innermost such model, if the message is one of DistributedDataParallel's.

    Args:
        frames: The traceback.
        message: Of the failure.
        describer: Knows shapes.
    """
    if "reduction in the prior iteration" not in message and "ready only once" not in message:
        return None
    found = next(_replicas(frames), None)
    if found is None:
        return None
    name, model = found
    attributes = instance_dict(model) or {}
    watched = list(_watched(attributes))
    behind = _variables_behind(frames, {id(parameter) for _, parameter in watched})
    return ReplicaFacts(
        name=name,
        parameters=tuple(
            ReplicaParameter(
                path,
                describer.metas.describe(parameter),
                tuple(variable for variable, reached in behind.items() if id(parameter) in reached),
            )
            for path, parameter in watched
        ),
        results=tuple(behind),
        finds_unused=attributes.get("find_unused_parameters") is True,
        is_static=attributes.get("static_graph") is True,
    )


def _replicas(frames: Sequence[LiveFrame]) -> Iterator[tuple[str, Any]]:
    """The models in the variables of frames, the one of the innermost frame first, with names."""
    found: dict[int, tuple[str, Any]] = {}
    for live in reversed(frames):
        is_of_user = owner_of(live.frame.f_code.co_filename) == USER
        variables = read_variables(live.frame)
        owned = instance_dict(variables.get("self")) or {}
        owned_items = [*owned.items(), *_items(owned.get("_modules"))]
        named = [*variables.items(), *((f"self.{name}", value) for name, value in owned_items)]
        for name, value in named:
            if is_kind_of(value, DistributedDataParallel):
                known = found.get(id(value), ("", None))[0]
                found[id(value)] = (known or (name if is_of_user else ""), value)
    yield from found.values()


def _watched(attributes: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """The parameters in the order in which DistributedDataParallel counts them.

    That of `named_modules`, each parameter once, without those that need no gradient or were to be
    left out (`_build_params_for_reducer` in torch/nn/parallel/distributed.py).
    """
    modules = attributes.get("_modules")
    ignored = attributes.get("parameters_to_ignore") or ()
    waiting = [("", modules["module"])] if is_kind_of(modules, dict) and modules else []
    seen: set[int] = set()
    while waiting:
        path, module = waiting.pop()
        inside = instance_dict(module) or {}
        if id(module) in seen:
            continue
        seen.add(id(module))
        for key, parameter in _items(inside.get("_parameters")):
            if parameter is None or id(parameter) in seen or not parameter.requires_grad:
                continue
            if f"{path}.{key}" not in ignored:
                seen.add(id(parameter))
                yield _join(path, key), parameter
        children = [(_join(path, key), child) for key, child in _items(inside.get("_modules"))]
        waiting += [(name, child) for name, child in reversed(children) if child is not None]


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(dict.items(value)) if is_kind_of(value, dict) else []


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _variables_behind(frames: Sequence[LiveFrame], parameters: set[int]) -> dict[str, set[int]]:
    """For each variable of the user with a graph, the parameters that its graph reaches."""
    found: dict[str, set[int]] = {}
    for live in reversed(frames):
        if owner_of(live.frame.f_code.co_filename) != USER:
            continue
        for name, tensor in named_tensors(read_variables(live.frame)):
            node = None
            with contextlib.suppress(RuntimeError):  # A view that an in-place change has spoiled.
                node = tensor.grad_fn
            if node is None or name in found or len(found) >= MAX_RESULTS:
                continue
            leaves = (getattr(n, "variable", None) for n in walk_graph([node], MAX_NODES).nodes)
            reached = {id(leaf) for leaf in leaves if id(leaf) in parameters}
            if reached:
                found[name] = reached
    return found
