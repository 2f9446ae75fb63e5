"""The text of a line of the user's program."""

from __future__ import annotations

import linecache
from contextlib import suppress
from pathlib import Path

from ..diagnosis.report import Report
from ..graph.creation import SourceLine
from .escape import visible

__all__ = ["code_of", "place_text"]


def code_of(source: SourceLine, report: Report) -> str:
    """The line, stripped; empty if it cannot be read.

    As the traceback had it, where it is part of that: a file may have changed since.
    """
    for frame in () if report.scene is None else report.scene.frames:
        if frame.source.file != source.file:
            continue
        if frame.source.line == source.line and frame.code:
            return _one_line(frame.code)
        lines = frame.body.splitlines()
        if 0 <= source.line - frame.first_line < len(lines):
            return _one_line(lines[source.line - frame.first_line])
    # Cells of a notebook are found here too.
    return _one_line(linecache.getline(source.file, source.line))


def place_text(source: SourceLine) -> str:
    """`train.py:12`, with the folders that lead there from the current one.

    A file that is elsewhere has its whole path, so that a terminal or an editor can open it.
    """
    file = source.file
    with suppress(ValueError, OSError):
        file = str(Path(file).relative_to(Path.cwd()))
    return visible(f"{file}:{source.line}")


def _one_line(code: str) -> str:
    return visible(code.strip().expandtabs(4))
