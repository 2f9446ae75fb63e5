"""Programs whose failure has one guilty line, which is marked; with keys of the catalogue."""

from __future__ import annotations

from textwrap import dedent

from .error_functions import FUNCTIONS
from .error_starts import STARTS
from .error_tensors import TENSORS
from .error_writes import WRITES

__all__ = ["PROGRAMS", "guilty_line"]

MARK = "  # guilty"
PROGRAMS = {
    key: dedent(program).lstrip("\n")
    for key, program in {**STARTS, **TENSORS, **WRITES, **FUNCTIONS}.items()
}


def guilty_line(program: str) -> int:
    """The number of the marked line."""
    (line,) = (n for n, text in enumerate(program.splitlines(), 1) if text.endswith(MARK))
    return line
