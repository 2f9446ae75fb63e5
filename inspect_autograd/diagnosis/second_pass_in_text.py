"""What led a second pass to freed nodes, as far as the text of the program tells: a guess."""

from __future__ import annotations

from dataclasses import replace

from ..graph.creation import SourceLine
from .scene import FrameFacts, Scene, TensorFacts
from .second_pass import Kind, SecondPass, calling_frames
from .statements import FunctionText, Statement, read_function

__all__ = ["find_in_text"]


def find_in_text(scene: Scene) -> SecondPass:
    """What the text of the program tells of a second pass."""
    output = scene.output
    assigned: set[str] = set()
    for depth, frame in enumerate(calling_frames(scene)):
        function = read_function(frame)
        statement = None if function is None else function.at(frame)
        if function is None or statement is None:
            continue
        name = next(iter(statement.differentiated), "")
        above = function.before(statement) if depth == 0 else ()
        assigned.update(n for other in above for n in other.assigned)
        for loop in statement.loops:
            assigned.update(n for other in function.inside(loop) for n in other.assigned)
        found = _earlier_pass(function, statement, name) if name else None
        if found is None and statement.loops:
            found = _from_loop(scene, function, statement, frame, name)
        if found is None:
            found = _from_attribute(function, statement, frame)
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
    assigned = {n for other in inside for n in (*other.assigned, *other.added)}
    here = function.source(statement)
    if name and name not in assigned and name in frame.tensors:
        return _built(function, inside[0], name, here)
    used = function.sources_of({name} if name else set(statement.read), statement)
    for carried in (*function.carried(loop), *_lists_that_grow(inside)):
        if carried in used and _carries_graph(frame, carried):
            made = [s for s in inside if carried in (*s.assigned, *s.added) or _grows(s, carried)]
            return SecondPass("carried", carried, "", function.source(made[-1]), here, "", "likely")
    for other in sorted(used - assigned):
        if _has_freed(scene, frame, other):
            return _built(function, inside[0], other, here)
    return None


def _from_attribute(
    function: FunctionText, statement: Statement, frame: FrameFacts
) -> SecondPass | None:
    """A state that a method reads from `self` and writes back, so that calls share it."""
    for name in function.carried(None):
        if name.startswith("self.") and _carries_graph(frame, name):
            made = [
                other for other in function.statements if name in (*other.assigned, *other.added)
            ]
            here = function.source(statement)
            return SecondPass("carried", name, "", function.source(made[-1]), here, "", "likely")
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
    sources = function.sources_of(_roots(name) or set(statement.read), statement)
    for other in reversed(function.before(statement)):
        for first in other.differentiated:
            theirs = function.sources_of(_roots(first) or set(other.read), other)
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


def _roots(name: str) -> set[str]:
    """`out` for `out['b']`."""
    return {name, name.split("[", maxsplit=1)[0]} if name else set()


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
