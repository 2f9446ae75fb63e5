"""The statements of the function that failed: what is assigned, written, differentiated, in order.

A traceback holds lines, not what led to them; the rest of the function is parsed, never run. What
it tells is a guess, since a tensor can be reached under other names; so it only ever chooses
between causes that the facts allow.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ..graph.creation import SourceLine
from .parsed_text import parse_text
from .scene import FrameFacts
from .writes_in_text import Write, dotted, find_writes

__all__ = ["FunctionText", "Loop", "Statement", "read_function", "read_line"]

_SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Expr, ast.Return, ast.Delete, ast.Assert)
Loop = ast.For | ast.AsyncFor | ast.While


@dataclass(frozen=True)
class Statement:
    """A simple statement of a function.

    Attributes:
        node: As parsed.
        position: Index in `FunctionText.statements`.
        loops: The loops around it, outermost first.
        is_tried: Whether it stands in a `try` block with a handler.
    """

    node: ast.stmt
    position: int
    loops: tuple[Loop, ...]
    is_tried: bool

    @property
    def line(self) -> int:
        """Its first line."""
        return self.node.lineno

    @cached_property
    def text(self) -> str:
        """Its code, on one line."""
        return " ".join(ast.unparse(self.node).split())

    @cached_property
    def assigned(self) -> tuple[str, ...]:
        """Names that it binds anew: `h`, `self.h`; not those that it writes in place."""
        targets: list[ast.expr] = []
        if isinstance(self.node, ast.Assign):
            targets = list(self.node.targets)
        elif isinstance(self.node, ast.AnnAssign) and self.node.value is not None:
            targets = [self.node.target]
        flat = [inner for target in targets for inner in _flatten(target)]
        return tuple(name for name in map(dotted, flat) if name)

    @cached_property
    def added(self) -> tuple[str, ...]:
        """The name that it changes by `+=` and the like, which is new or written in place."""
        name = dotted(self.node.target) if isinstance(self.node, ast.AugAssign) else ""
        return (name,) if name else ()

    @cached_property
    def read(self) -> frozenset[str]:
        """Names that it reads: of `self.h.detach()` both `self` and `self.h`."""
        names = [dotted(node) for node in ast.walk(self.node) if _is_read(node)]
        return frozenset(name for name in names if name)

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        """The calls in it."""
        return tuple(node for node in ast.walk(self.node) if isinstance(node, ast.Call))

    @cached_property
    def called(self) -> frozenset[str]:
        """What it calls: the whole name where there is one, and its last part."""
        names = [dotted(call.func) for call in self.calls]
        methods = [call.func.attr for call in self.calls if isinstance(call.func, ast.Attribute)]
        return frozenset(name for name in (*names, *methods) if name)

    @cached_property
    def differentiated(self) -> tuple[str, ...]:
        """What it differentiates: `loss` for `loss.backward()` and `torch.autograd.grad(loss, …)`.

        An expression without a name gives an empty text.
        """
        return tuple(name for name in map(_differentiated_by, self.calls) if name is not None)

    @cached_property
    def writes(self) -> tuple[Write, ...]:
        """What it writes in place, as far as the text tells."""
        return tuple(find_writes(self.node, self.calls))


@dataclass(frozen=True)
class FunctionText:
    """The text of one function, or of a module outside of its functions."""

    file: str
    name: str
    statements: tuple[Statement, ...]

    def at(self, frame: FrameFacts) -> Statement | None:
        """The statement that a frame was at; the last of its line, where it is not known better."""
        covering = [
            statement
            for statement in self.statements
            if statement.line <= frame.source.line <= (statement.node.end_lineno or 0)
        ]
        running = [statement for statement in covering if _holds(statement, frame)]
        return next(reversed(running or covering), None)

    def source(self, statement: Statement) -> SourceLine:
        """Where a statement is."""
        return SourceLine(self.file, statement.line, self.name)

    def before(self, statement: Statement) -> tuple[Statement, ...]:
        """The statements above one, in order."""
        return self.statements[: statement.position]

    def inside(self, loop: Loop) -> tuple[Statement, ...]:
        """The statements of a loop, in order."""
        return tuple(s for s in self.statements if loop in s.loops)

    def carried(self, loop: Loop | None) -> tuple[str, ...]:
        """Names that one round of a loop takes over from the round before.

        Those that are read before they are assigned, and assigned somewhere in the loop.

        Args:
            loop: The loop; None for all of a function that is called again and again.
        """
        inside = self.statements if loop is None else self.inside(loop)
        assigned = {
            name for statement in inside for name in (*statement.assigned, *statement.added)
        }
        found: dict[str, None] = {}
        bound: set[str] = set()
        if isinstance(loop, ast.For | ast.AsyncFor):
            bound.update(dotted(target) for target in _flatten(loop.target))
        for statement in inside:
            for name in sorted({*statement.read, *statement.added}):
                if name in assigned and name not in bound:
                    found[name] = None
            bound.update(statement.assigned)
        return tuple(found)

    def sources_of(self, names: set[str], statement: Statement) -> frozenset[str]:
        """All names that some names were computed from, directly or not, in the text above."""
        wanted = set(names)
        for other in reversed(self.before(statement)):
            if wanted & {*other.assigned, *(write.root for write in other.writes)}:
                wanted |= other.read
        return frozenset(wanted)


def read_function(frame: FrameFacts) -> FunctionText | None:
    """The function that a frame runs; None where its text is not there or cannot be parsed."""
    parsed, source = parse_text(frame.body, frame.first_line), frame.source
    body = [] if parsed is None else parsed.body(source.function)
    statements = tuple(
        Statement(node, position, loops, tried)
        for position, (node, loops, tried) in enumerate(_statements(body, (), False))
    )
    return FunctionText(source.file, source.function, statements) if statements else None


def read_line(source: SourceLine | None) -> Statement | None:
    """The statement on a line of a file, where it is simple and stands on that line alone."""
    if source is None:
        return None
    text = linecache.getline(source.file, source.line)
    function = read_function(FrameFacts(source, "", "user", body=text, first_line=source.line))
    found = () if function is None else function.statements
    return found[0] if len(found) == 1 else None


def _holds(statement: Statement, frame: FrameFacts) -> bool:
    try:
        expression = ast.unparse(ast.parse(frame.expression))
    except (SyntaxError, ValueError):
        return False
    return bool(expression) and " ".join(expression.split()) in statement.text


_Found = tuple[ast.stmt, tuple[Loop, ...], bool]


def _statements(body: list[ast.stmt], loops: tuple[Loop, ...], tried: bool) -> Iterator[_Found]:
    for node in body:
        if isinstance(node, _SIMPLE):
            yield node, loops, tried
        elif isinstance(node, Loop):
            yield from _statements(node.body, (*loops, node), tried)
            yield from _statements(node.orelse, loops, tried)
        elif isinstance(node, ast.Try):
            yield from _statements(node.body, loops, bool(node.handlers))
            for handler in node.handlers:
                yield from _statements(handler.body, loops, tried)
            yield from _statements([*node.orelse, *node.finalbody], loops, tried)
        elif isinstance(node, ast.If):
            yield from _statements([*node.body, *node.orelse], loops, tried)
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from _statements(node.body, loops, tried)


def _flatten(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for inner in target.elts:
            yield from _flatten(inner.value if isinstance(inner, ast.Starred) else inner)
    else:
        yield target


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)


def _differentiated_by(call: ast.Call) -> str | None:
    """The name of what a call differentiates, empty without a name; None if it does not."""
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in ("backward", "grad"):
        return None
    owner = dotted(function.value)
    if owner in ("torch.autograd", "autograd") or owner.endswith(("accelerator", "fabric")):
        return _first_name(call.args[0]) if call.args else ""
    return _first_name(function.value) if function.attr == "backward" else None


def _first_name(node: ast.expr) -> str:
    """The name behind `loss`, `loss.sum()`, `scaler.scale(loss)`, `[loss]`."""
    while not dotted(node):
        if isinstance(node, ast.Subscript) and dotted(node.value):
            return ast.unparse(node)
        if isinstance(node, ast.Tuple | ast.List) and node.elts:
            node = node.elts[0]
        elif not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return ""
        else:
            node = node.args[0] if node.func.attr == "scale" and node.args else node.func.value
    name = dotted(node)
    return "" if name.split(".")[0] in ("torch", "F", "nn") else name
