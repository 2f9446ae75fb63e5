"""Where a tensor without a graph came from, as the text of the functions on the way tells.

A recording follows graphs; of what never had one the text is all that is left. Only the functions
of the traceback are read, so what was made in another one has no line.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..graph.creation import SourceLine
from .failing_text import Assignment, FailingText
from .scene import FrameFacts, Scene, TensorFacts
from .statements import read_function
from .writes_in_text import called_name, dotted

__all__ = ["Origin", "find_assignment", "find_freeze", "find_origin"]

MAX_RENAMES = 10
"""Assignments of one variable to another that are followed."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The statement that something came from.

    Attributes:
        name: The variable that it gave a value.
        text: The statement, as it was written.
        source: Its line.
        value: What was assigned; None where the statement is no assignment.
        calls: Names of what it calls.
    """

    name: str
    text: str
    source: SourceLine
    value: ast.expr | None = None
    calls: frozenset[str] = frozenset()


def find_origin(scene: Scene, facts: TensorFacts | None) -> Origin | None:
    """The assignment that a tensor came from; of a chain of mere renamings the first.

    Args:
        scene: Its frames are searched, innermost first: who was given the tensor as an argument
            has no assignment of it.
        facts: A tensor with names.
    """
    if facts is None:
        return None
    for frame in _users(scene):
        names = [name for name in facts.names if _is_same(frame.tensors.get(name), facts)]
        found = _first_of(frame, names)
        if found is not None:
            return found
    return None


def find_assignment(scene: Scene, name: str) -> Origin | None:
    """The assignment of a variable of the innermost frame, whatever it holds."""
    frame = next(_users(scene), None)
    return None if frame is None else _first_of(frame, [name])


def find_freeze(scene: Scene) -> Origin | None:
    """The only statement that sets requires_grad to False; None if there are several, or none."""
    found = {}
    for frame in _users(scene):
        function = read_function(frame)
        for statement in () if function is None else function.statements:
            if any(map(_freezes, (statement.node, *statement.calls))):
                source = function.source(statement) if function is not None else frame.source
                found[source] = Origin("", statement.text, source)
    return next(iter(found.values())) if len(found) == 1 else None


def _users(scene: Scene) -> Iterator[FrameFacts]:
    return (f for f in reversed(scene.frames) if f.owner == "user" and not f.is_from_text)


def _is_same(facts: TensorFacts | None, other: TensorFacts) -> bool:
    """Names are given by identity, so two tensors never share all of them."""
    return facts is not None and facts.names == other.names


def _first_of(frame: FrameFacts, names: Iterable[str]) -> Origin | None:
    function = read_function(frame)
    here = None if function is None else function.at(frame)
    if here is None:
        return None
    text = FailingText(frame)
    for name in names:
        assigned = _follow(text, name, here.node)
        if assigned is not None:
            return _described(text, assigned)
    return None


def _follow(text: FailingText, name: str, place: ast.stmt) -> Assignment | None:
    last: Assignment | None = None
    for _ in range(MAX_RENAMES):
        found = text.find_assignment(name, place)
        while found is not None and isinstance(found.statement, ast.AugAssign):
            found = text.find_assignment(name, found.statement)  # The tensor was there already.
        if found is None or (last is not None and not _is_before(found, last)):
            break
        if text.is_in_doubt(found, place):
            return None
        last, name, place = found, dotted(found.value), found.statement
        if not name or isinstance(found.statement, ast.For):
            break
    return last


def _is_before(one: Assignment, other: Assignment) -> bool:
    first, second = one.statement, other.statement
    return (first.lineno, first.col_offset) < (second.lineno, second.col_offset)


def _described(text: FailingText, found: Assignment) -> Origin:
    statement = found.statement
    if isinstance(statement, ast.For):
        written = f"for {ast.unparse(statement.target)} in {ast.unparse(statement.iter)}"
    else:
        written = text.text(statement)
    calls = [node for node in ast.walk(found.value) if isinstance(node, ast.Call)]
    return Origin(
        found.name, written, text.source(statement), found.value, frozenset(map(called_name, calls))
    )


def _freezes(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        given = [*node.args, *(k.value for k in node.keywords)]
        return called_name(node) == "requires_grad_" and any(map(_is_false, given))
    if not isinstance(node, ast.Assign) or not _is_false(node.value):
        return False
    return any(isinstance(t, ast.Attribute) and t.attr == "requires_grad" for t in node.targets)


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False
