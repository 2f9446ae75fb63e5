"""A function of the user that torch was given to call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..graph.creation import SourceLine
from .parsed_text import parse_text

__all__ = ["FunctionBody"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True, slots=True)
class FunctionBody:
    """A function that a checkpoint or a transform calls; `Scene.numbers["transformed"]`.

    Attributes:
        name: Qualified name.
        source: Where it is defined.
        text: Its whole text; empty if it cannot be read.
    """

    name: str
    source: SourceLine
    text: str

    @property
    def returns(self) -> SourceLine:
        """Its `return` line, where it has just one; else where it is defined."""
        parsed = parse_text(self.text, self.source.line)
        if parsed is None or self.name.endswith("<lambda>"):
            return self.source
        found = list(_returns(parsed.body(self.name)))
        return replace(self.source, line=found[0].lineno) if len(found) == 1 else self.source


def _returns(body: list[ast.stmt]) -> Iterator[ast.Return]:
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Return):
            yield node
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)
