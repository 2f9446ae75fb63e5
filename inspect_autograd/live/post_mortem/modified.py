"""Saved tensors that were written since: which, by whom, and whether the message means them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...diagnosis.scene import ModifiedFacts
from ...events.effects import Mutation
from ...graph.graph import Graph
from ..private_torch import LiveNode
from ..saved import look_again
from .tensors import TensorDescriber

__all__ = ["find_modified", "find_writes"]

MAX_MODIFIED = 100
_VERSIONS = re.compile(r"\[[\w.]+ \[([\d, ]*)\]\].* is at version (\d+); expected version (\d+)")
_INDEX = re.compile(r"\[(\d+)\]")
_RESULT = re.compile(r"result\d*")


def find_modified(
    graph: Graph,
    ids: Mapping[LiveNode, int],
    describer: TensorDescriber,
    message: str,
    mutations: tuple[Mutation, ...],
) -> tuple[ModifiedFacts, ...]:
    """The modified tensors of a graph, those first that the message fits.

    Args:
        graph: As captured.
        ids: Its live nodes.
        describer: Describes the tensors.
        message: Of the failure.
        mutations: The writes that a recording saw.
    """
    wanted = [
        (id, saved)
        for id, tensors in graph.node_table.saved.items()
        for saved in tensors
        if saved.state == "modified"
    ][:MAX_MODIFIED]
    if not wanted:
        return ()
    nodes, theirs = list(ids), _read(message)
    found = []
    for id, saved in wanted:
        tensor, refusal = look_again(nodes[id], saved.name)
        facts, ours = describer.describe(tensor), _read(refusal)
        version, expected = (ours[1], ours[2]) if ours else (facts.version, None)
        names = tuple(dict.fromkeys((*saved.alias, *facts.names)))
        found.append(
            ModifiedFacts(
                node=id,
                saved=saved,
                tensor=facts,
                is_result=_is_result(tensor, saved.name, nodes[id]),
                version=version,
                expected=expected,
                is_named=ours is not None and ours == theirs,
                writes=find_writes(mutations, facts.meta, names, expected, version),
            )
        )
    return tuple(sorted(found, key=lambda facts: not facts.is_named))


def _is_result(tensor: Any, name: str, node: LiveNode) -> bool:
    if _RESULT.fullmatch(name):
        return True
    try:
        return tensor.grad_fn is node
    except RuntimeError:  # A view that an in-place change has spoiled.
        return False


def _read(message: str) -> tuple[str, int, int] | None:
    """Shape, version and expected version that a message tells of."""
    found = _VERSIONS.search(" ".join(message.split()))
    return None if found is None else (found[1], int(found[2]), int(found[3]))


def find_writes(
    mutations: tuple[Mutation, ...],
    meta: Any,
    names: tuple[str, ...],
    expected: int | None,
    version: int | None,
) -> tuple[Mutation, ...]:
    """The writes that brought a tensor from one version to another.

    A recording knows names, shapes and versions of what was written, not which tensor it was. So
    what has one of the names counts, or memory of it; if none has, what has no other name, and
    the same shape and type or the same versions (a view may have any shape).
    """
    if version is None:
        return ()
    start = version - 1 if expected is None else expected
    between = [
        write
        for write in mutations
        if write.version_after is not None and start < write.version_after <= version
    ]
    by_name = [w for w in between if _matches(w.tensor, names) or _matches(w.view_of, names)]
    if by_name:
        return tuple(by_name)
    unnamed = [w for w in between if not w.tensor and not w.view_of]
    same = [w for w in unnamed if w.meta == meta]
    return tuple(same or unnamed)


def _matches(name: str, names: tuple[str, ...]) -> bool:
    # A recording calls it 0.weight, a variable of the program model[0].weight.
    dotted = (_INDEX.sub(r".\1", other) for other in names)
    return bool(name) and any(other == name or other.endswith(f".{name}") for other in dotted)
