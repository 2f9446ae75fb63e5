"""Which exceptions to explain: the one that was given, and those inside of it or behind it."""

from __future__ import annotations

from collections.abc import Iterator

from ..carried import led_to

__all__ = ["candidates"]

MAX_CANDIDATES = 20
Way = tuple[BaseException, ...]


def candidates(error: BaseException) -> Iterator[tuple[BaseException, Way]]:
    """Exceptions that may be the failure, each with those that were raised from it.

    First what was given, then what led to it (`raise ... from`), and for a group its members.
    """
    pending: list[tuple[BaseException, Way]] = [(error, ())]
    for place, (one, way) in enumerate(pending):  # The list grows while it is read.
        if place >= MAX_CANDIDATES:
            return
        if not isinstance(one, BaseExceptionGroup):
            yield one, way
        inner = [*led_to(one)[:1]]
        if isinstance(one, BaseExceptionGroup):
            inner = [*one.exceptions, *inner]
        known = [other for other, _ in pending]
        pending += [(i, (one, *way)) for i in inner if all(i is not k for k in known)]
    if all(isinstance(one, BaseExceptionGroup) for one, _ in pending):
        yield error, ()
