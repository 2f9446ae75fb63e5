"""Why a backward pass came to nodes that an earlier one had freed.

A recording tells which nodes ran before, and so which tensor led the second pass to them. Without
one, the text of the program tells how the variables came about; that is a guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ..events.trace import Trace
from ..graph.creation import SourceLine
from ..graph.graph import Graph
from ..graph.records import Node
from .records import Certainty
from .scene import FrameFacts, Scene, TensorFacts
from .statements import FunctionText, Statement, read_function, read_line

__all__ = ["SecondPass", "calling_frames", "find_second_pass"]

Kind = Literal["same loss", "failed before", "carried", "built once", "common part", "unknown"]
_TORCH_CALLS = ("backward", "grad", "Tensor.backward", "_engine_run_backward")


@dataclass(frozen=True, slots=True)
class SecondPass:
    """What led a second pass to nodes that were freed.

    Attributes:
        kind: `same loss`: it started from the same output. `failed before`: so it did, and the
            first pass broke off. `carried`: a tensor was taken over from one round of a loop to
            the next. `built once`: a tensor is used in every round, but was computed only once.
            `common part`: two outputs were computed from the same tensor. `unknown`.
        name: What the program calls that tensor; empty if that is not known.
        meta: Its shape and type in words; empty if unknown.
        made: The line that made it.
        first: The line that ran the first pass.
        other: For `common part`, what the first pass started from; empty if that has no name.
        certainty: `certain` from a recording, `likely` or `possible` from the text.
        node: Id of the tensor's node in `Scene.graph`.
    """

    kind: Kind = "unknown"
    name: str = ""
    meta: str = ""
    made: SourceLine | None = None
    first: SourceLine | None = None
    other: str = ""
    certainty: Certainty = "possible"
    node: int | None = None


def find_second_pass(scene: Scene) -> SecondPass:
    """What led the pass of a scene to freed nodes."""
    told = _from_text(scene)
    seen = _from_recording(scene)
    if seen is None:
        return told
    if seen.kind == "built once" and told.kind == "same loss" and told.certainty == "likely":
        return replace(seen, kind="same loss")  # Two calls on one line.
    if seen.kind == told.kind:
        named = seen if seen.name else told
        return replace(seen, name=named.name, meta=named.meta, other=told.other)
    return seen


def calling_frames(scene: Scene) -> Iterator[FrameFacts]:
    """The user's frames that led to the call of backward or grad, innermost first."""
    frames = [frame for frame in scene.frames if not frame.is_from_text]
    last = len(frames)
    for index, frame in enumerate(frames):
        if frame.owner == "torch" and frame.source.function in _TORCH_CALLS:
            last = index
            break
    return (frame for frame in reversed(frames[:last]) if frame.owner == "user")


# -- from a recording --------------------------------------------------------------------------

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
        and other.name == node.name
        and node.source is not None
        and other.source == node.source
        and node.creation is not None
        and other.creation is not None
        and other.creation.function == node.creation.function
    )


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
    names = () if statement is None else statement.assigned
    return names[0] if len(names) == 1 else ""


# -- from the text of the program ---------------------------------------------------------------


def _from_text(scene: Scene) -> SecondPass:
    output = scene.output
    assigned: set[str] = set()
    for frame in calling_frames(scene):
        function = read_function(frame)
        statement = None if function is None else function.at(frame)
        if function is None or statement is None:
            continue
        name = next(iter(statement.differentiated), "")
        for loop in statement.loops:
            assigned.update(n for other in function.inside(loop) for n in other.assigned)
        found = _earlier_pass(function, statement, name) if name else None
        if found is None and statement.loops:
            found = _from_loop(scene, function, statement, frame, name)
        if found is None and statement.differentiated and not statement.loops:
            found = _common_part(scene, function, statement, frame, name)
        if found is not None:
            if found.name and found.name in frame.tensors:
                found = replace(found, meta=str(frame.tensors[found.name].meta))
            return found
    if output is not None and output.names and not assigned.intersection(output.names):
        # No loop computes it anew, and the first pass was elsewhere: in another cell of a
        # notebook, or in a function.
        return SecondPass("same loss", output.names[0], str(output.meta), node=output.node)
    return SecondPass()


def _earlier_pass(function: FunctionText, statement: Statement, name: str) -> SecondPass | None:
    """An earlier pass from the same name, which was not assigned in between."""
    for other in reversed(function.before(statement)):
        if name in other.assigned:
            return None
        if name in other.differentiated and "retain_graph=True" not in other.text:
            kind: Kind = "failed before" if other.is_tried else "same loss"
            return SecondPass(kind, name, first=function.source(other), certainty="likely")
    return None


def _from_loop(
    scene: Scene, function: FunctionText, statement: Statement, frame: FrameFacts, name: str
) -> SecondPass | None:
    loop = statement.loops[-1]
    inside = function.inside(loop)
    assigned = {n for other in inside for n in other.assigned}
    here = function.source(statement)
    if name and name not in assigned and name in frame.tensors:
        return _built(function, inside[0], name, here)
    used = function.sources_of({name} if name else set(statement.read), statement)
    for carried in (*function.carried(loop), *_lists_that_grow(inside)):
        if carried in used and _carries_graph(frame, carried):
            made = [s for s in inside if carried in s.assigned or _grows(s, carried)]
            return SecondPass("carried", carried, "", function.source(made[-1]), here, "", "likely")
    for other in sorted(used - assigned):
        if _has_freed(scene, frame, other):
            return _built(function, inside[0], other, here)
    return None


def _lists_that_grow(inside: tuple[Statement, ...]) -> list[str]:
    return [n for s in inside for n in sorted(s.read) if _grows(s, n)]


def _grows(statement: Statement, name: str) -> bool:
    return f"{name}.append" in statement.called


def _carries_graph(frame: FrameFacts, name: str) -> bool:
    """Whether a variable, or an element of it, has a graph; by now it is that of the next step."""
    return any(
        key == name or key.startswith((f"{name}[", f"{name}."))
        for key, tensor in frame.tensors.items()
        if tensor.grad_fn is not None
    )


def _built(function: FunctionText, first: Statement, name: str, here: SourceLine) -> SecondPass:
    made = [other for other in function.before(first) if name in other.assigned]
    line = function.source(made[-1]) if made else None
    return SecondPass("built once", name, made=line, first=here, certainty="likely")


def _common_part(
    scene: Scene, function: FunctionText, statement: Statement, frame: FrameFacts, name: str
) -> SecondPass | None:
    """An earlier pass from another name that was computed from the same tensor."""
    sources = function.sources_of({name} if name else set(statement.read), statement)
    for other in reversed(function.before(statement)):
        for first in other.differentiated:
            theirs = function.sources_of({first} if first else set(other.read), other)
            common = [n for n in sources & theirs if _has_freed(scene, frame, n, exact=True)]
            if first == name or "retain_graph=True" in other.text:
                continue
            passed = function.source(other)
            if not common:
                return SecondPass("common part", first=passed, other=first)
            shared = min(common, key=lambda n: frame.tensors[n].node or 0)
            made = [s for s in function.before(other) if shared in s.assigned]
            line = function.source(made[-1]) if made else None
            return SecondPass("common part", shared, "", line, passed, first, "likely")
    return None


def _has_freed(scene: Scene, frame: FrameFacts, name: str, *, exact: bool = False) -> bool:
    """Whether a variable, or an element of it, carries a part of the graph that was freed."""
    return any(
        key == name or (not exact and key.startswith((f"{name}[", f"{name}.")))
        for key, tensor in frame.tensors.items()
        if _is_freed(scene, tensor)
    )


def _is_freed(scene: Scene, tensor: TensorFacts) -> bool:
    if scene.graph is None or tensor.node is None:
        return False
    nodes = (scene.graph.nodes[tensor.node], *scene.graph.descendants(tensor.node))
    return any(saved.state == "freed" for node in nodes for saved in node.saved)
