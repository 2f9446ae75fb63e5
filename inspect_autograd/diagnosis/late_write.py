"""Which write spoiled a saved tensor: from a recording, else from the text of the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..events.effects import Mutation
from ..graph.creation import SourceLine
from ..graph.graph import Graph
from ..graph.records import Node, Parameter
from .records import Certainty
from .scene import ModifiedFacts, Scene
from .second_pass import calling_frames
from .statements import FunctionText, Statement, read_function, read_line

__all__ = ["LateWrite", "find_late_writes", "is_leaf_memory"]

_VIEWS = ("TBackward", "TransposeBackward", "ViewBackward", "PermuteBackward", "AsStrided")
_RECORDED = {
    "CopySlices": "a write to a part of it, such as `x[0] = …`",
    "ReluBackward": "relu_() or nn.ReLU(inplace=True)",
    "AddBackward": "`+=` or add_()",
    "SubBackward": "`-=` or sub_()",
    "MulBackward": "`*=` or mul_()",
    "DivBackward": "`/=` or div_()",
}


@dataclass(frozen=True, slots=True)
class LateWrite:
    """One write to a tensor after it was saved.

    Attributes:
        how: What wrote it: `torch.optim.SGD.step`, `x.mul_(2)`.
        source: Its line; None if unknown.
        is_update: Whether an optimizer wrote it.
        certainty: `certain` from a recording, `likely` from the text, `possible` from the graph.
        out_of_place: The same without the write, as code; empty if that is not known.
        name: The variable that it was written through; empty if that is not known.
    """

    how: str
    source: SourceLine | None
    is_update: bool = False
    certainty: Certainty = "likely"
    out_of_place: str = ""
    name: str = ""


def find_late_writes(scene: Scene, facts: ModifiedFacts) -> tuple[LateWrite, ...]:
    """The writes to a saved tensor after it was saved, first to last."""
    recorded = tuple(_from_recording(scene, facts))
    if recorded:
        return recorded
    for name_writes in (_updates, _writes_to_name):
        found = tuple(name_writes(scene, facts))
        if found:
            return found
    return tuple(_from_graph(scene, facts))


def is_leaf_memory(scene: Scene, facts: ModifiedFacts) -> bool:
    """Whether it is a leaf that requires grad, or a view of one: what an optimizer updates."""
    tensor, graph = facts.tensor, scene.graph
    if tensor.is_parameter or (tensor.is_leaf and tensor.requires_grad):
        return True
    if graph is None or not tensor.is_view:
        return False
    names = {*facts.saved.alias, *tensor.names}
    for node in graph.next_nodes(facts.node):
        leaf = _leaf_behind(graph, node)
        if leaf is None:
            continue
        if names.intersection(leaf.names):
            return True
        if not names and leaf.meta.numel == tensor.meta.numel:
            return True
    return False


def _leaf_behind(graph: Graph, node: Node) -> Parameter | None:
    """The leaf that a chain of views ends in."""
    while node.kind != "leaf":
        following = graph.next_nodes(node)
        if not node.name.startswith(_VIEWS) or len(following) != 1:
            return None
        node = following[0]
    return node.parameter


def _from_recording(scene: Scene, facts: ModifiedFacts) -> Iterator[LateWrite]:
    texts = list(_texts(scene))
    for mutation in facts.writes or _updates_of_its_size(scene, facts):
        if mutation.function.startswith("torch.optim."):
            yield LateWrite(f"{mutation.function}()", mutation.source, True, "certain")
            continue
        statement = _statement_at(texts, mutation.source) or read_line(mutation.source)
        if statement is None or not statement.writes:
            scope = f" in {mutation.scope}" if mutation.scope else ""
            yield LateWrite(f"{mutation.function}{scope}", mutation.source, False, "certain")
        else:
            write = statement.writes[0]
            yield LateWrite(
                statement.text, mutation.source, False, "certain", write.out_of_place, write.root
            )


def _updates_of_its_size(scene: Scene, facts: ModifiedFacts) -> list[Mutation]:
    """Writes of optimizers that fit, where the recording knows the parameter by another name."""
    recording = scene.recording
    if recording is None or facts.expected is None or facts.version is None:
        return []
    versions = range(facts.expected, facts.version)
    numel = facts.tensor.meta.numel
    return [
        mutation
        for mutation in recording.mutations
        if mutation.function.startswith("torch.optim.")
        and mutation.version_before in versions
        and mutation.meta.numel == numel
        and is_leaf_memory(scene, facts)
    ][:1]


def _statement_at(
    texts: list[tuple[FunctionText, Statement]], source: SourceLine | None
) -> Statement | None:
    """The statement of a recorded line that writes something, where its text is at hand."""
    if source is None:
        return None
    for function, _ in texts:
        if function.file == source.file:
            for statement in function.statements:
                if statement.line == source.line and statement.writes:
                    return statement
    return None


def _updates(scene: Scene, facts: ModifiedFacts) -> Iterator[LateWrite]:
    """Calls of `optimizer.step()` above the failing line, where the tensor is a parameter."""
    if not is_leaf_memory(scene, facts):
        return
    for function, failing in _texts(scene):
        # In a loop the guilty step may stand below the line that failed in the next round.
        for statement in [*function.before(failing), *_rest_of_loop(function, failing)][::-1]:
            steps = [name for name in statement.called if name.endswith((".step", "step"))]
            if steps and "scheduler" not in statement.text:
                yield LateWrite(statement.text, function.source(statement), True, "likely")
                return


def _rest_of_loop(function: FunctionText, failing: Statement) -> list[Statement]:
    if not failing.loops:
        return []
    inside = function.inside(failing.loops[-1])
    return [statement for statement in inside if statement.position > failing.position]


def _writes_to_name(scene: Scene, facts: ModifiedFacts) -> Iterator[LateWrite]:
    """Writes in the text to a variable that is the saved tensor."""
    names = set(facts.tensor.names)
    for frame in scene.frames:
        for name, tensor in frame.tensors.items():
            if tensor.storage is not None and tensor.storage == facts.saved.storage:
                names.add(name)
    for function, failing in _texts(scene):
        found = [
            (statement, write)
            for statement in function.before(failing)
            for write in statement.writes
            if write.root in names
        ]
        count = (facts.version or 1) - (facts.expected or 0)
        for statement, write in found[-max(count, 1) :]:
            source = function.source(statement)
            yield LateWrite(statement.text, source, False, "likely", write.out_of_place, write.root)
        if found:
            return


def _from_graph(scene: Scene, facts: ModifiedFacts) -> Iterator[LateWrite]:
    """What the write was, where autograd recorded it: it is what the result went into."""
    if scene.graph is None or not facts.is_result:
        return
    for node in scene.graph.previous_nodes(facts.node):
        for start, how in _RECORDED.items():
            if node.name.startswith(start):
                yield LateWrite(how, node.source, False, "possible")
                return


def _texts(scene: Scene) -> Iterator[tuple[FunctionText, Statement]]:
    """The functions that led to the call, innermost first, with the statement each was at."""
    for frame in calling_frames(scene):
        function = read_function(frame)
        statement = None if function is None else function.at(frame)
        if function is not None and statement is not None:
            yield function, statement
