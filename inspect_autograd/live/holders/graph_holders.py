"""graph_holders: the live autograd graphs of the process, and who keeps them."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError
from ...graph.holder_patterns import find_patterns
from ...graph.holders import GraphHolders
from ..garbage_collector import collector_paused
from ..parameters import collect_names
from ..private_torch import not_compiled, unobserved
from ..stepping_stones import drain
from .containers import FoundContainer, find_containers
from .describe_graphs import FoundGraph, describe_graphs, find_held
from .describe_holders import HolderNames
from .entrances import find_entrances
from .frames import scan_frames
from .line_of_node import CreationFinder, check_recording
from .saved_memory import SavedMemory
from .search import Search, search_referrers
from .snapshot import take_snapshot

__all__ = ["graph_holders"]


@not_compiled
def graph_holders(
    *,
    params: Any = None,
    recording: CreationFinder | None = None,
    min_bytes: int = 0,
    max_seconds: float = 10.0,
) -> GraphHolders:
    """Find the autograd graphs that are alive in this process, and who keeps them alive.

    Call it where no graph should be left, for example at the end of a training step after
    `backward()` and `del loss`: what it then shows is a leak. It finds every tensor with a
    `grad_fn` that Python knows, every node and GradientEdge that Python holds, and every `.grad`
    that carries a graph; groups them into graphs that share nothing but leaves; and follows the
    references upwards to a variable, an attribute of a class, or garbage that was not collected.

    Nothing of the program changes and nothing is kept: no collection is forced, no code of yours
    runs (no property, `__repr__`, `__getattr__` or `__torch_function__`; only a saved tensor that
    is made of others is asked for them by `__tensor_flatten__`), and the result is plain data. All
    threads are looked at, but objects that other threads make or drop meanwhile may be missed.
    What only C++ code holds, and objects set aside by `gc.freeze()`, are not seen.

    Every step upwards takes some 0.15 s in a process that has just imported torch (165 000
    objects), and mostly two to four are needed: 0.2 s where there is no graph, 0.8 s for 10 000
    losses in a list, 5 s for one graph of a million nodes. Nodes that were looked at keep a Python
    object of some 50 bytes each from torch 2.13 on.

    Args:
        params: Names for parameters, as for `capture`; a saved tensor that lies in the memory of
            one, or of any leaf, is counted apart.
        recording: Knows the lines that made the nodes: what `inspect_autograd.record` gives, or
            any object with a method `creation_of(node)` that takes a live node and returns an
            `inspect_autograd.Creation`, or None for a node that it does not know. Under anomaly
            mode the line is known without.
        min_bytes: Leave out graphs that save less; `GraphHolders.left_out` counts them.
        max_seconds: When to stop going upwards; holders that were not found by then have the kind
            `unfinished`, and a note says so. The graphs themselves are always all described.

    Raises:
        ArgumentTypeError: An argument is of the wrong kind.
        ArgumentError: `min_bytes` or `max_seconds` is negative.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> w = torch.ones(3, requires_grad=True)
        >>> total = 0
        >>> for step in range(20):
        ...     total += (w * step).sum()
        >>> found = ia.graph_holders()
        >>> max(found.graphs, key=lambda graph: graph.node_count).growth
        Growth(kind='sum', steps=20, terms=20)
    """
    check_recording(recording)
    _check_number("min_bytes", min_bytes)
    _check_number("max_seconds", max_seconds)
    names = collect_names(params)
    deadline = time.monotonic() + max_seconds
    drain(max_seconds)  # What was dropped just now may still wait to be freed.
    with collector_paused(), unobserved():
        snapshot = take_snapshot()
        frames = scan_frames()
        entrances, refused = find_entrances(snapshot, frames)
        starts = [e.value if e.leaf is None else e.leaf for e in entrances]
        starts += [e.value for e in entrances if e.leaf is not None]
        search = search_referrers(starts, snapshot, frames, deadline)
        holder_names = HolderNames(search, snapshot, frames)
        held = find_held(entrances, holder_names)
        graphs, memory = describe_graphs(held, names, recording)
        containers = find_containers(held, search, frames, holder_names)
    return _assemble(graphs, memory, containers, min_bytes, _notes(search, refused))


def _assemble(
    found: list[FoundGraph],
    memory: SavedMemory,
    containers: list[FoundContainer],
    min_bytes: int,
    notes: tuple[str, ...],
) -> GraphHolders:
    shown = [one for one in found if one.graph.saved_bytes >= min_bytes]
    shown.sort(key=lambda one: one.rank)
    new_ids = {one.group: new_id for new_id, one in enumerate(shown)}
    graphs = tuple(replace(one.graph, id=new_ids[one.group]) for one in shown)
    kept = [container.to_record(new_ids) for container in containers]
    several = tuple(container for container in kept if container.graphs)
    saved, parameters = memory.total(new_ids)
    return GraphHolders(
        graphs=graphs,
        containers=several,
        patterns=find_patterns(graphs, several),
        saved_bytes=saved,
        parameter_bytes=parameters,
        left_out=len(found) - len(shown),
        notes=notes,
    )


def _notes(search: Search, refused: int) -> tuple[str, ...]:
    notes = []
    if search.cut:
        notes.append(f"the search for holders ended early: {search.cut}")
    if refused:
        notes.append(
            f"torch refuses the graph of {refused} views that were spoiled by a change in place"
        )
    frozen = gc.get_freeze_count()
    if frozen:
        notes.append(f"{frozen} objects that gc.freeze() set aside were not looked at")
    return tuple(notes)


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentTypeError(
            f"{name} is of type {type(value).__name__}; expected a number",
            remedy="Leave it out for the usual value.",
        )
    if not value >= 0:
        raise ArgumentError(
            f"{name} is {value}; expected 0 or more", remedy="Leave it out for the usual value."
        )
