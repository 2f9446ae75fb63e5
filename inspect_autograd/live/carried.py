"""What a recording or a trace saw, carried by the exception that passed through its block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..events.recording import Recording
from ..events.trace import Trace

if TYPE_CHECKING:
    from .attributors import Attributor  # Which imports torch; what is here does without.

__all__ = [
    "carried_attributor",
    "carried_recording",
    "carried_trace",
    "carry",
    "is_explained",
    "led_to",
    "mark_explained",
]

_ATTRIBUTE = "_inspect_autograd"
"""An exception cannot be referred to weakly, so what is known of it hangs on itself."""


@dataclass(slots=True)
class _Carried:
    """What an exception carries.

    Attributes:
        recording: What `record` saw.
        attributor: What knows lines.
        trace: What `trace` saw.
        is_explained: Whether it has its explanation as a note.
    """

    recording: Recording | None = None
    attributor: Attributor | None = None
    trace: Trace | None = None
    is_explained: bool = False

    def __reduce__(self) -> tuple[type, tuple[()]]:
        # An exception is sent to another process with all of its attributes. There, what was seen
        # is of no use, and it must not keep the exception from being sent.
        return dict, ()


def carry(
    error: BaseException, seen: Recording | Trace, attributor: Attributor | None = None
) -> None:
    """Let an exception carry what was seen; the innermost block of each kind counts.

    Args:
        error: The exception that ends the block. It stays as it is but for a private attribute.
        seen: Plain data, which is there as long as the exception is.
        attributor: Knows the lines of nodes that were made in the block. It holds no tensor.
    """
    with contextlib.suppress(Exception):
        carried = vars(error).setdefault(_ATTRIBUTE, _Carried())
        if isinstance(seen, Trace):
            carried.trace = seen if carried.trace is None else carried.trace
        elif carried.recording is None:
            carried.recording, carried.attributor = seen, attributor


def mark_explained(error: BaseException) -> None:
    """The explanation of an exception is among its notes."""
    with contextlib.suppress(Exception):
        vars(error).setdefault(_ATTRIBUTE, _Carried()).is_explained = True


def is_explained(error: BaseException) -> bool:
    """Whether it is, or that of one of those that led to it, or of a group, of a member of it."""
    pending = [error]
    for one in pending:  # The list grows while it is read.
        carried = vars(one).get(_ATTRIBUTE)
        if isinstance(carried, _Carried) and carried.is_explained:
            return True
        inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        known = [*inner, *led_to(one)[:1]]
        pending += [other for other in known if all(other is not seen for seen in pending)]
    return False


def carried_recording(error: BaseException) -> Recording | None:
    """The recording whose block an exception, or one that led to it, passed through."""
    return next((c.recording for c in _find(error) if c.recording is not None), None)


def carried_attributor(error: BaseException) -> Attributor | None:
    """What knows the lines of that recording."""
    return next((c.attributor for c in _find(error) if c.recording is not None), None)


def carried_trace(error: BaseException) -> Trace | None:
    """The trace whose block an exception, or one that led to it, passed through."""
    return next((c.trace for c in _find(error) if c.trace is not None), None)


def _find(error: BaseException) -> Iterator[_Carried]:
    for one in (error, *led_to(error)):
        carried = vars(one).get(_ATTRIBUTE)
        if isinstance(carried, _Carried):
            yield carried


def led_to(error: BaseException) -> list[BaseException]:
    """The exceptions that led to one, innermost last: `raise ... from`, or while handling it.

    What `raise ... from None` hides stays hidden.
    """
    found = [error]
    for one in found:  # The list grows while it is read.
        cause = one.__cause__
        if cause is None and not one.__suppress_context__:
            cause = one.__context__
        if cause is not None and all(cause is not other for other in found):
            found.append(cause)
    return found[1:]
