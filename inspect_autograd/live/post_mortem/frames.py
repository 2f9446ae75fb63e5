"""The frames of a traceback as plain facts; nothing of the user's is called or printed."""

from __future__ import annotations

import linecache
import re
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType, TracebackType

import torch

from ...diagnosis.scene import FrameFacts, TensorFacts
from ...graph.creation import SourceLine
from ..file_owners import USER, owner_of
from ..holders.safe_access import is_kind_of
from .expressions import find_expression
from .live_frame import LiveFrame
from .program_text import text_of
from .tensors import TensorDescriber
from .variables import describe_value, named_tensors, read_variables

__all__ = [
    "LiveFrame",
    "callers_of",
    "describe_frames",
    "frames_in_text",
    "line_of",
    "walk_traceback",
]

MAX_LOCALS = 60
"""Variables of a frame that are described; a module level may hold hundreds."""
MAX_FRAMES = 400
"""Frames of a traceback that are looked at: the outermost and the innermost half of these."""
MAX_CALLERS = 50


def walk_traceback(traceback: TracebackType | None) -> list[LiveFrame]:
    """The frames of a traceback, outermost first; the middle of an endless recursion is left out.

    Python gives no line for an instruction that has none (`tb_lineno` None).
    """
    frames = []
    while traceback is not None:
        line = traceback.tb_lineno or traceback.tb_frame.f_code.co_firstlineno
        frames.append(LiveFrame(traceback.tb_frame, line, traceback.tb_lasti))
        traceback = traceback.tb_next
    if len(frames) > MAX_FRAMES:
        half = MAX_FRAMES // 2
        frames[half:-half] = []
    return frames


def callers_of(frames: list[LiveFrame]) -> Iterator[FrameType]:
    """The user's frames outside of a traceback that still run, innermost first."""
    frame = frames[0].frame.f_back if frames else None
    for _ in range(MAX_CALLERS):
        if frame is None:
            return
        if owner_of(frame.f_code.co_filename) == USER:
            yield frame
        frame = frame.f_back


def line_of(live: LiveFrame) -> str:
    """The text of the line, stripped; empty if it cannot be read."""
    code = live.frame.f_code
    return linecache.getline(code.co_filename, live.line, live.frame.f_globals).strip()


def describe_frames(frames: list[LiveFrame], describer: TensorDescriber) -> tuple[FrameFacts, ...]:
    """The frames as facts; local variables only of the user's."""
    return tuple(_describe(live, describer) for live in frames)


def _describe(live: LiveFrame, describer: TensorDescriber) -> FrameFacts:
    code = live.frame.f_code
    source = SourceLine(code.co_filename, live.line, code.co_qualname)
    text = line_of(live)
    owner = owner_of(code.co_filename)
    if owner != USER:
        return FrameFacts(source, text, owner)
    variables = read_variables(live.frame)
    # Those of the failing line come first, in case there are more than are shown.
    ordered = dict(sorted(variables.items(), key=lambda item: item[0] not in text))
    tensors: dict[str, TensorFacts] = {}
    for name, tensor in named_tensors(ordered):
        if len(tensors) >= MAX_LOCALS:
            break
        tensors.setdefault(name, describer.describe(tensor))
    others = {
        name: describe_value(value)
        for name, value in list(ordered.items())[:MAX_LOCALS]
        if not is_kind_of(value, torch.Tensor)
    }
    facts = FrameFacts(source, text, owner, tensors, others, find_expression(live))
    body, first_line = text_of(code, live.frame.f_globals)
    return replace(facts, body=body, first_line=first_line)


# -- frames that were lost -------------------------------------------------------------------------

_TEXT_FRAME = re.compile(r'^ *File "(.+)", line (\d+), in (.+)\n(?: {4,}(.+)\n)?', re.MULTILINE)


def frames_in_text(message: str) -> tuple[FrameFacts, ...]:
    """The frames that the text of a message tells of, outermost first.

    Where PyTorch raises an exception again in another thread or process (DataParallel,
    DataLoader), the traceback of the first one is part of the message.
    """
    if "Traceback (most recent call last)" not in message:
        return ()
    return tuple(
        FrameFacts(
            SourceLine(found[1], int(found[2]), found[3]),
            (found[4] or "").strip(),
            owner_of(found[1]),
            is_from_text=True,
        )
        for found in _TEXT_FRAME.finditer(message + "\n")
    )
