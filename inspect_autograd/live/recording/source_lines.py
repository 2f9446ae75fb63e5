"""Lines of the user's program, found from positions in code objects."""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType

from ...graph.creation import SourceLine
from .calls import Position

__all__ = ["SourceLines"]


class SourceLines:
    """Turns positions in code objects into lines; each is looked up once."""

    def __init__(self) -> None:
        self._lines: dict[tuple[CodeType, int], SourceLine] = {}

    def find(self, position: Position | None) -> SourceLine | None:
        """The line of a position."""
        if position is None:
            return None
        known = self._lines.get(position)
        if known is None:
            code, offset = position
            known = SourceLine(code.co_filename, _line_at(code, offset), code.co_qualname)
            self._lines[position] = known
        return known

    def find_all(self, positions: Iterable[Position]) -> tuple[SourceLine, ...]:
        """The lines of several."""
        return tuple(line for line in map(self.find, positions) if line is not None)


def _line_at(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno
