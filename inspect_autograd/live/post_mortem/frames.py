"""The frames of a traceback as plain facts; nothing of the user's is called or printed."""

from __future__ import annotations

import linecache
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

import torch

from ...diagnosis.scene import FrameFacts, TensorFacts
from ...graph.creation import SourceLine
from .program_text import text_of
from .tensors import TensorDescriber

__all__ = ["LiveFrame", "describe_frames", "walk_traceback"]

_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parents[2])
_PYTHON = sysconfig.get_path("stdlib")
MAX_LOCALS = 60
"""Variables of a frame that are described; a module level may hold hundreds."""

Owner = Literal["user", "torch", "inspect_autograd", "python"]
LiveFrame = tuple[FrameType, int]
"""A frame and its line; hold it no longer than needed, since it keeps all its variables alive."""


def walk_traceback(traceback: TracebackType | None) -> Iterator[LiveFrame]:
    """The frames of a traceback, outermost first."""
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def owner_of(file: str) -> Owner:
    """Whose code a file is."""
    if file.startswith(_OURS):
        return "inspect_autograd"
    if file.startswith(_TORCH):
        return "torch"
    is_installed = "site-packages" in file or "dist-packages" in file
    if file.startswith("<frozen ") or (file.startswith(_PYTHON) and not is_installed):
        return "python"
    return "user"


def describe_frames(frames: list[LiveFrame], describer: TensorDescriber) -> tuple[FrameFacts, ...]:
    """The frames as facts; local variables only of the user's."""
    return tuple(_describe(frame, line, describer) for frame, line in frames)


def _describe(frame: FrameType, line: int, describer: TensorDescriber) -> FrameFacts:
    code = frame.f_code
    source = SourceLine(code.co_filename, line, code.co_qualname)
    text = linecache.getline(code.co_filename, line, frame.f_globals).strip()
    owner = owner_of(code.co_filename)
    if owner != "user":
        return FrameFacts(source, text, owner)
    tensors: dict[str, TensorFacts] = {}
    others: dict[str, str] = {}
    for name, value in _variables(frame):
        if isinstance(value, torch.Tensor):
            tensors[name] = describer.describe(value, name)
        elif not name.startswith("__"):
            others[name] = describe_value(value)
    body, first_line = text_of(code, frame.f_globals)
    return FrameFacts(source, text, owner, tensors, others, body=body, first_line=first_line)


def _variables(frame: FrameType) -> Iterator[tuple[str, Any]]:
    variables = frame.f_locals
    for name, value in list(variables.items())[:MAX_LOCALS]:
        yield name, value
    owner = variables.get("self")
    attributes = getattr(owner, "__dict__", None)
    if isinstance(attributes, Mapping):
        for name, value in list(attributes.items())[:MAX_LOCALS]:
            if isinstance(value, torch.Tensor):
                yield f"self.{name}", value
        parameters = attributes.get("_parameters")
        if isinstance(parameters, dict):
            for name, value in parameters.items():
                if isinstance(value, torch.Tensor):
                    yield f"self.{name}", value


def describe_value(value: Any) -> str:
    """A few words about a value, without running its code."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex):
        return repr(value)
    if kind is str:
        return repr(value if len(value) <= 60 else value[:59] + "…")
    if kind in (list, tuple, dict, set):
        items = list(value.values() if kind is dict else value)[:100]
        inside = ", ".join(dict.fromkeys(type(item).__name__ for item in items))
        return f"{kind.__name__} of {len(value)}" + (f" ({inside})" if inside else "")
    return kind.__qualname__
