"""What a recording or a trace saw, carried by the exception that passed through its block."""

from __future__ import annotations

import contextlib

from ...events.recording import Recording
from ...events.trace import Trace

__all__ = ["carried_recording", "carried_trace", "carry"]

_ATTRIBUTE = "_inspect_autograd"
"""An exception cannot be referred to weakly, so what is known of it hangs on itself."""


def carry(error: BaseException, seen: Recording | Trace) -> None:
    """Let an exception carry what was seen; the innermost block of each kind counts."""
    with contextlib.suppress(Exception):
        carried = error.__dict__.setdefault(_ATTRIBUTE, {})
        carried.setdefault(type(seen).__name__, seen)


def carried_recording(error: BaseException) -> Recording | None:
    """The recording whose block an exception, or one that led to it, passed through."""
    found = _find(error, "Recording")
    return found if isinstance(found, Recording) else None


def carried_trace(error: BaseException) -> Trace | None:
    """The trace whose block an exception, or one that led to it, passed through."""
    found = _find(error, "Trace")
    return found if isinstance(found, Trace) else None


def _find(error: BaseException, name: str) -> object:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        found = getattr(current, "__dict__", {}).get(_ATTRIBUTE, {}).get(name)
        if found is not None:
            return found
        current = current.__cause__ or current.__context__
    return None
