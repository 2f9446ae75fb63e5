"""The text of the function that failed, parsed: what was called, and what led to a variable."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ..graph.creation import SourceLine
from .parsed_text import ParsedText, parse_text
from .scene import FrameFacts
from .writes_in_text import called_name, dotted

__all__ = ["Assignment", "FailingText", "operands"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_BRANCHES = (ast.If, ast.Try, ast.TryStar, ast.Match, *_LOOPS)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A statement that gave a variable its value."""

    name: str
    value: ast.expr
    statement: ast.stmt


class FailingText:
    """The text of a frame's function, or of its failing line where no more is known.

    Args:
        frame: A frame of the user.
    """

    def __init__(self, frame: FrameFacts) -> None:
        self.frame = frame
        self._parsed = _parse(frame)
        self._line = frame.source.line

    def find_call(self, *names: str) -> ast.Call | None:
        """The call of one of these functions on the failing line."""
        wanted = _normal(self.frame.expression)
        found = [
            node
            for node in ast.walk(self._parsed.tree)
            if isinstance(node, ast.Call)
            and _covers(node, self._line)
            and called_name(node) in names
        ]
        running = [node for node in found if ast.unparse(node) == wanted]
        return next(iter(running or found), None)

    def text(self, node: ast.AST) -> str:
        """The part of the text, as the user wrote it, in one line."""
        return self._parsed.segment(node)

    def source(self, node: ast.expr | ast.stmt) -> SourceLine:
        """The line of a part."""
        where = self.frame.source
        return SourceLine(where.file, node.lineno, where.function)

    def find_assignment(self, name: str, before: ast.expr | ast.stmt) -> Assignment | None:
        """The last assignment of a variable above a place; if none, the last of a loop around it.

        In a loop, what stands below was run in the round before.
        """
        limit = (before.lineno, before.col_offset)
        above: list[tuple[tuple[int, int], Assignment]] = []
        below: list[tuple[tuple[int, int], Assignment]] = []
        for found in self._assignments():
            if found.name == name:
                place = (found.statement.lineno, found.statement.col_offset)
                (above if place < limit else below).append((place, found))
        below = [item for item in below if self._share_a_loop(item[1].statement, before)]
        for group in (above, below):
            if group:
                return max(group, key=lambda item: item[0])[1]
        return None

    def is_in_doubt(self, found: Assignment, place: ast.stmt) -> bool:
        """Whether another assignment, or an argument, may have given the variable its value.

        So it is where a branch that need not have been taken holds the one that was found, or where
        a loop that it is not in assigns the variable too.

        Args:
            found: From `find_assignment`.
            place: Where the value was used.
        """
        statement = found.statement
        others = [
            other.statement
            for other in self._assignments()
            if other.name == found.name and other.statement is not statement
        ]
        for block in ast.walk(self._parsed.tree):
            if not isinstance(block, _BRANCHES) or block is statement:
                continue
            holds_found, holds_place = (
                _covers(block, statement.lineno),
                _covers(block, place.lineno),
            )
            if holds_found and not holds_place and (others or self._is_argument(found.name)):
                return True
            is_loop = isinstance(block, _LOOPS) and holds_place and not holds_found
            if is_loop and any(_covers(block, other.lineno) for other in others):
                return True
        return False

    def _is_argument(self, name: str) -> bool:
        return any(isinstance(n, ast.arg) and n.arg == name for n in ast.walk(self._parsed.tree))

    def _share_a_loop(self, one: ast.stmt, other: ast.expr | ast.stmt) -> bool:
        return any(
            isinstance(loop, _LOOPS) and _covers(loop, one.lineno) and _covers(loop, other.lineno)
            for loop in ast.walk(self._parsed.tree)
        )

    def blocks_around(self, node: ast.expr | ast.stmt) -> list[ast.expr]:
        """What the `with` blocks around a part call, and what decorates its function."""
        found: list[ast.expr] = []
        for outer in ast.walk(self._parsed.tree):
            if not isinstance(outer, ast.With | ast.AsyncWith | ast.FunctionDef):
                continue
            if outer is node or not _covers(outer, node.lineno):
                continue
            if isinstance(outer, ast.FunctionDef):
                found += outer.decorator_list
            else:
                found += [item.context_expr for item in outer.items]
        return found

    def _assignments(self) -> Iterator[Assignment]:
        for node in _walk_scope(self._parsed.body(self.frame.source.function)):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    for name in _targets(target):
                        yield Assignment(name, node.value, node)
            elif isinstance(node, ast.AugAssign | ast.AnnAssign) and node.value is not None:
                for name in _targets(node.target):
                    yield Assignment(name, node.value, node)
            elif isinstance(node, ast.For):
                for name in _targets(node.target):
                    yield Assignment(name, node.iter, node)


def operands(expression: ast.expr) -> list[str]:
    """The variables that an expression reads, as `x` or `self.x`, each once, in order."""
    found: dict[str, None] = {}
    waiting: list[ast.AST] = [expression]
    while waiting:
        node = waiting.pop(0)
        name = dotted(node)
        if name:
            found.setdefault(name)
            found.setdefault(name.split(".")[0])
        else:
            waiting[:0] = ast.iter_child_nodes(node)
    return list(found)


def _parse(frame: FrameFacts) -> ParsedText:
    """The text of the function; of the failing line if need be."""
    line = frame.source.line
    for text, first in ((frame.body, frame.first_line), (frame.code, line)):
        parsed = parse_text(text, first)
        if parsed is not None:
            return parsed
    return parse_text(frame.expression, line) or ParsedText((), line, ast.Module([], []))


def _normal(text: str) -> str:
    try:
        return ast.unparse(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError):
        return text


def _covers(node: ast.expr | ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _walk_scope(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """All nodes of a scope, without those of the functions and classes in it."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, _SCOPES):
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def _targets(target: ast.expr) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and (name := dotted(node)):
            yield name
