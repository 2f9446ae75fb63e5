"""Why a backward pass came to nodes that an earlier one had freed.

A recording tells which nodes ran before, and so which tensor led the second pass to them. Without
one, the text of the program tells how the variables came about; that is a guess.
"""

from __future__ import annotations

from dataclasses import replace

from ..events.trace import Trace
from ..graph.creation import SourceLine
from ..graph.graph import Graph
from ..graph.records import Node
from .scene import Scene, TensorFacts
from .second_pass import Kind, SecondPass, calling_frames
from .second_pass_in_text import find_in_text
from .statements import read_line

__all__ = ["find_second_pass"]


def find_second_pass(scene: Scene) -> SecondPass:
    """What led the pass of a scene to freed nodes."""
    told = find_in_text(scene)
    seen = _from_recording(scene)
    if seen is None:
        return told
    if told.kind == "same loss" and told.certainty == "likely" and seen.kind != "failed before":
        # Two calls on one line, or two outputs that `scaler.scale(loss)` made of one loss.
        return replace(seen, kind="same loss", name=told.name, meta=told.meta)
    if told.kind == "common part" and seen.kind == "carried" and told.name:
        return replace(told, certainty="certain")  # A program on one line.
    if seen.kind == told.kind:
        named = seen if seen.name else told
        return replace(seen, name=named.name, meta=named.meta, other=told.other)
    return seen


_Key = tuple[str, int | None, str]


def _key(node: Node) -> _Key:
    return node.name, node.sequence_nr, "" if node.creation is None else node.creation.thread


def _from_recording(scene: Scene) -> SecondPass | None:
    traces = () if scene.recording is None else scene.recording.traces
    failing = next((t for t in reversed(traces) if t.outcome.message == scene.message), None)
    if failing is None:
        return None
    ran: dict[_Key, Trace] = {}
    for trace in traces:
        if trace is failing:
            break
        for node in set(trace.data.table.nodes):
            record = trace.graph.nodes[node]
            if record.sequence_nr is not None:
                ran[_key(record)] = trace
    return _judge(scene, failing, ran) if ran else None


def _judge(scene: Scene, failing: Trace, ran: dict[_Key, Trace]) -> SecondPass | None:
    graph = failing.graph
    root = graph.nodes[graph.roots[0].node]
    earlier = ran.get(_key(root))
    second = _line_of(failing)
    if earlier is not None:
        first = _line_of(earlier)
        kind: Kind = "same loss"
        if earlier.outcome.status == "raised":
            kind = "failed before"
        elif first == second and first is not None:
            kind = "built once"
        output = scene.output
        name = output.names[0] if output is not None and output.names else ""
        meta = "" if output is None else str(output.meta)
        return SecondPass(kind, name, meta, root.source, first, "", "certain", root.id)
    node = _entrance(failing, ran)
    if node is None:
        return None
    first = _line_of(ran[_key(node)])
    kind = "common part" if first != second else "built once"
    if any(_is_twin(node, other) and _key(other) not in ran for other in graph.nodes):
        kind = "carried"
    id, tensor = _same_node(scene, node)
    meta = str(node.receives[0]) if node.receives and node.receives[0] else ""
    name = tensor.names[0] if tensor is not None and tensor.names else ""
    if not name or kind == "carried":
        name = _assigned_at(node.source) or name
    return SecondPass(kind, name, meta, node.source, first, "", "certain", id)


def _entrance(failing: Trace, ran: dict[_Key, Trace]) -> Node | None:
    """The node through which the pass came from new nodes to those that had run."""
    graph = failing.graph
    found = [
        node
        for node in graph.nodes
        if _key(node) in ran and any(_key(o) not in ran for o in graph.previous_nodes(node))
    ]
    failed = failing.outcome.node
    for node in found:
        if failed == node.id or (failed is not None and _leads_to(graph, node, failed)):
            return node
    return found[0] if found else None


def _leads_to(graph: Graph, node: Node, target: int) -> bool:
    return any(other.id == target for other in graph.descendants(node))


def _is_twin(node: Node, other: Node) -> bool:
    """Whether another node was made by the same line in the same way."""
    return (
        other.id != node.id
        and node.source is not None
        and other.source == node.source
        and _operation(other) == _operation(node)
    )


def _operation(node: Node) -> str:
    """`add` for `Tensor.add`, `Tensor.add_` and `Tensor.__radd__`, which `+=` mixes."""
    function = "" if node.creation is None else node.creation.function or ""
    name = function.rsplit(".", 1)[-1].strip("_")
    return name.removeprefix("r").removeprefix("i") if "__" in function else name


def _same_node(scene: Scene, node: Node) -> tuple[int | None, TensorFacts | None]:
    """The node in the scene's own graph, and a variable that it made."""
    if scene.graph is None:
        return None, None
    same = [o.id for o in scene.graph.nodes if (o.name, o.sequence_nr) == _key(node)[:2]]
    if len(same) != 1:
        return None, None
    for frame in calling_frames(scene):
        for tensor in frame.tensors.values():
            if tensor.node == same[0]:
                return same[0], tensor
    return same[0], None


def _line_of(trace: Trace) -> SourceLine | None:
    for one in trace.passes:
        if one.file and one.line:
            return SourceLine(one.file, one.line, one.function or "")
    return None


def _assigned_at(source: SourceLine | None) -> str:
    """The one variable that a line assigns; empty if it is not that simple."""
    statement = read_line(source)
    names = () if statement is None else statement.assigned or statement.added
    return names[0] if len(names) == 1 else ""
