"""The text of a function of the user, parsed once for all the rules that read it."""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["ParsedText", "parse_text"]

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MAX_KEPT = 8
"""Texts whose trees are kept: the rules ask for those of one traceback again and again."""


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A text and its tree, which nobody must change, as it is shared.

    Attributes:
        lines: The text, without the indentation that all of it has.
        first_line: Number of its first line in the file.
        tree: As parsed; its nodes have the line numbers of the file.
    """

    lines: tuple[str, ...]
    first_line: int
    tree: ast.Module

    def body(self, function: str) -> list[ast.stmt]:
        """The statements of the one function that the text is, else of the whole text.

        Args:
            function: Name of what a frame runs; that of a module has the text of a file.
        """
        body = self.tree.body
        if function != "<module>" and len(body) == 1 and isinstance(body[0], _FUNCTIONS):
            return body[0].body
        return body

    def segment(self, node: ast.AST) -> str:
        """A part of the text, as the user wrote it, in one line."""
        if not isinstance(node, ast.expr | ast.stmt):
            return ast.unparse(node)
        last = (node.end_lineno or node.lineno) - self.first_line
        part = [line.encode() for line in self.lines[node.lineno - self.first_line : last + 1]]
        if not part:
            return ast.unparse(node)
        part[-1] = part[-1][: node.end_col_offset]
        part[0] = part[0][node.col_offset :]
        return " ".join(b" ".join(part).decode(errors="replace").split())


@lru_cache(maxsize=MAX_KEPT)
def parse_text(text: str, first_line: int) -> ParsedText | None:
    """Parse a text; None where there is nothing in it, or it is no Python.

    Args:
        text: Of a function, a file, a line or an expression.
        first_line: Number of its first line in the file.
    """
    dedented = textwrap.dedent(text)
    try:
        tree = ast.parse(dedented)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    ast.increment_lineno(tree, first_line - 1)
    return ParsedText(tuple(dedented.split("\n")), first_line, tree) if tree.body else None
