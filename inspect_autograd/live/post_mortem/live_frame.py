"""A frame of a traceback."""

from __future__ import annotations

from types import FrameType
from typing import NamedTuple

__all__ = ["LiveFrame"]


class LiveFrame(NamedTuple):
    """A frame of a traceback; hold it no longer than needed, as it keeps its variables alive.

    Attributes:
        frame: The frame.
        line: Where it was when the exception passed through.
        lasti: The instruction that it was at then.
    """

    frame: FrameType
    line: int
    lasti: int
