"""The text of the function that a frame runs, so that rules can see what led to its variables."""

from __future__ import annotations

import inspect
import linecache
from types import CodeType
from typing import Any

__all__ = ["text_of"]

MAX_LINES = 2000
"""Longest function or file that is given whole; the text of a longer one is left out."""


def text_of(code: CodeType, variables: dict[str, Any]) -> tuple[str, int]:
    """The text of a function, of a notebook's cell or of a file, and the number of its first line.

    Args:
        code: Of the frame.
        variables: The frame's global variables, which know where the text of a module is found.

    Returns:
        An empty text where it cannot be read.
    """
    lines = linecache.getlines(code.co_filename, variables)
    first = max(code.co_firstlineno, 1)
    if code.co_name != "<module>":
        try:
            lines = inspect.getblock(lines[first - 1 :])
        except Exception:  # The file is not the one that was run, or it was cut short.
            return "", first
    if len(lines) > MAX_LINES:
        return "", first
    return "".join(lines), first
