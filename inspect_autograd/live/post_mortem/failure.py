"""Exceptions as records."""

from __future__ import annotations

import traceback as tracebacks

from ...diagnosis.records import Failure
from ...graph.creation import SourceLine
from ..carried import led_to
from ..file_owners import find_line_of_user
from .frames import walk_traceback
from .live_frame import LiveFrame

__all__ = ["chain_of", "describe_failure", "text_of"]


def describe_failure(error: BaseException, frames: list[LiveFrame]) -> Failure:
    """An exception and the line of the user in its traceback."""
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    source = None
    live = find_line_of_user(reversed(frames), lambda one: one.frame.f_code.co_filename)
    if live is not None:
        code = live.frame.f_code
        source = SourceLine(code.co_filename, live.line, code.co_qualname)
    return Failure(f"{module}{kind.__qualname__}", text_of(error), source)


def text_of(error: BaseException) -> str:
    """What an exception says; its class where it cannot say it."""
    try:
        return str(error)
    except Exception:
        return "".join(tracebacks.format_exception_only(error)).strip()


def chain_of(error: BaseException) -> tuple[Failure, ...]:
    """The exceptions that led to one, innermost last."""
    return tuple(describe_failure(e, walk_traceback(e.__traceback__)) for e in led_to(error))
