"""Which write spoiled a saved tensor: from a recording, else from the text of the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..graph.creation import SourceLine
from .records import Certainty
from .scene import ModifiedFacts, Scene
from .second_pass import calling_frames
from .statements import FunctionText, Statement, read_function

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
    """

    how: str
    source: SourceLine | None
    is_update: bool = False
    certainty: Certainty = "likely"
    out_of_place: str = ""


def find_late_writes(scene: Scene, facts: ModifiedFacts) -> tuple[LateWrite, ...]:
    """The writes to a saved tensor after it was saved, first to last."""
    recorded = tuple(_from_recording(scene, facts))
    if recorded:
        return recorded
    for name_writes in (_updates, _writes_to_name):
        found = tuple(name_writes(scene, facts))
        if found:
            return found
    return tuple(_from_graph(facts))


def is_leaf_memory(scene: Scene, facts: ModifiedFacts) -> bool:
    """Whether it is a leaf that requires grad, or a view of one: what an optimizer updates."""
    tensor, graph = facts.tensor, scene.graph
    if tensor.is_parameter or (tensor.is_leaf and tensor.requires_grad):
        return True
    node = tensor.node
    while graph is not None and node is not None:
        record = graph.nodes[node]
        if record.kind == "leaf":
            return True
        following = graph.next_nodes(node)
        if not record.name.startswith(_VIEWS) or len(following) != 1:
            return False
        node = following[0].id
    return False


def _from_recording(scene: Scene, facts: ModifiedFacts) -> Iterator[LateWrite]:
    texts = list(_texts(scene))
    for mutation in facts.writes:
        is_update = mutation.function.startswith("torch.optim.")
        statement = None
        for function, _ in texts:
            if mutation.source is not None and mutation.source.file == function.file:
                statement = next(
                    (s for s in function.statements if s.line == mutation.source.line and s.writes),
                    statement,
                )
        out_of_place = "" if statement is None else statement.writes[0].out_of_place
        how = mutation.function if statement is None or is_update else statement.text
        yield LateWrite(how, mutation.source, is_update, "certain", out_of_place)


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
            yield LateWrite(statement.text, source, False, "likely", write.out_of_place)
        if found:
            return


def _from_graph(facts: ModifiedFacts) -> Iterator[LateWrite]:
    """What the last write was, where autograd recorded it."""
    name = facts.tensor.grad_fn or ""
    for start, how in _RECORDED.items():
        if name.startswith(start):
            yield LateWrite(how, facts.tensor.source, False, "possible")


def _texts(scene: Scene) -> Iterator[tuple[FunctionText, Statement]]:
    """The functions that led to the call, innermost first, with the statement each was at."""
    for frame in calling_frames(scene):
        function = read_function(frame)
        statement = None if function is None else function.at(frame)
        if function is not None and statement is not None:
            yield function, statement
