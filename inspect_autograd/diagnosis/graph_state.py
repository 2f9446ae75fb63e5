"""What a failure left of a graph: which nodes are freed, since when, and where that part joins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..events.trace import Trace
from ..graph.graph import Graph
from ..graph.records import Edge
from .scene import Scene, TensorFacts

__all__ = ["GraphState", "Seam", "find_graph_state", "find_tensors"]

_Key = tuple[str, int | None]
"""Name and sequence number: what a node has in every graph that it is part of."""


@dataclass(frozen=True, slots=True)
class Seam:
    """A place where a graph goes over to a part that an earlier backward pass has run through.

    Attributes:
        edge: From a node that is newer to one that the earlier pass ran.
        tensors: The tensors of the user that stand there: results of that older node. They have
            carried the old part over: a hidden state, a tensor that was built before the loop.
        ran_in: Index in `Scene.recording.traces` of the pass that ran it last; None without a
            recording.
    """

    edge: Edge
    tensors: tuple[TensorFacts, ...] = ()
    ran_in: int | None = None


@dataclass(frozen=True, slots=True)
class GraphState:
    """The nodes of `Scene.graph` by what they still have, as ids.

    Attributes:
        freed: Those that lack what they saved. The pass that failed has freed some of them
            itself: all that it had run.
        whole: Those that still have everything, so the pass that failed did not come to them.
        modified: Those that saved a tensor that was written since.
        freed_before: Those of `freed` that were freed before the pass that failed began. Without a
            recording these are only the ones that it cannot have come to, since a node before
            them is still whole.
        seams: Where the graph goes over to the part that was run before.
        is_exact: Whether a recording tells which nodes earlier passes ran; if not, `freed_before`
            and `seams` may lack some, or all.
    """

    freed: tuple[int, ...]
    whole: tuple[int, ...]
    modified: tuple[int, ...]
    freed_before: tuple[int, ...]
    seams: tuple[Seam, ...]
    is_exact: bool


def find_graph_state(scene: Scene) -> GraphState | None:
    """Read the state of the scene's graph; None if it has none."""
    graph = scene.graph
    if graph is None:
        return None
    states = {id: {s.state for s in saved} for id, saved in graph.node_table.saved.items()}
    freed = tuple(id for id, found in states.items() if "freed" in found)
    whole = tuple(id for id, found in states.items() if found <= {"available", "packed"})
    ran = _ran_before(scene, graph)
    before = set(ran) if ran else _beyond(graph, whole) & set(freed)
    return GraphState(
        freed=freed,
        whole=whole,
        modified=tuple(id for id, found in states.items() if "modified" in found),
        freed_before=tuple(id for id in freed if id in before),
        seams=tuple(
            Seam(edge, find_tensors(scene, edge.target, edge.target_slot), ran.get(edge.target))
            for edge in _edges_into(graph, before)
        ),
        is_exact=bool(ran),
    )


def find_tensors(scene: Scene, node: int, slot: int | None = None) -> tuple[TensorFacts, ...]:
    """The user's tensors that are results of a node of `Scene.graph`, each once.

    Args:
        scene: Its frames, its call and what its failing line involves are looked at.
        node: Id of the node.
        slot: Which result of the node; any by default.
    """
    found: dict[tuple[str, ...], TensorFacts] = {}
    for facts in _all_tensors(scene):
        if facts.node == node and slot in (None, facts.slot):
            found.setdefault(facts.names, facts)
    return tuple(found.values())


def _all_tensors(scene: Scene) -> Iterator[TensorFacts]:
    yield from scene.involved
    if scene.call is not None:
        yield from scene.call.outputs
    for frame in reversed(scene.frames):
        yield from frame.tensors.values()


def _ran_before(scene: Scene, graph: Graph) -> dict[int, int]:
    """The nodes that earlier passes ran, each with the index of the last such pass.

    A leaf belongs to no pass: its node is shared by all graphs that reach it.
    """
    if scene.recording is None:
        return {}
    traces = scene.recording.traces
    # The pass that failed is the last one, unless it failed before the engine started.
    if traces and traces[-1].data.outcome.status == "raised":
        traces = traces[:-1]
    ran = {key: index for index, trace in enumerate(traces) for key in _keys_run(trace)}
    table = graph.node_table
    keys = zip(table.names, table.sequence_nrs, strict=True)
    return {id: ran[key] for id, key in enumerate(keys) if key in ran}


def _keys_run(trace: Trace) -> Iterator[_Key]:
    table = trace.graph.node_table
    for id in set(trace.data.table.nodes):
        number = table.sequence_nrs[id]
        if number is not None:
            yield table.names[id], number


def _beyond(graph: Graph, nodes: tuple[int, ...]) -> set[int]:
    """The nodes that some of these pass their gradient on to, at any distance.

    The engine runs a node when all nodes before it have run. So none of these ran.
    """
    edges = graph.edge_table
    found: set[int] = set()
    pending = list(nodes)
    while pending:
        id = pending.pop()
        for target in edges.targets[edges.starts[id] : edges.starts[id + 1]]:
            if target not in found:
                found.add(target)
                pending.append(target)
    return found


def _edges_into(graph: Graph, part: set[int]) -> list[Edge]:
    table = graph.edge_table
    places = zip(table.sources, table.targets, strict=True)
    return [
        graph.edges[place]
        for place, (source, target) in enumerate(places)
        if target in part and source not in part
    ]
