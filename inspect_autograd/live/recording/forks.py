"""Recordings end in a forked process: a worker of a DataLoader is not recorded.

Such a process is a copy in which the recording would go on by itself, with locks that another
thread may have held, and nobody who ever ends it.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol

__all__ = ["Forked", "unwatch_forks", "watch_forks"]


class Forked(Protocol):
    """A recording."""

    def leave_in_child(self) -> None:
        """This is a forked process."""


_open: weakref.WeakSet[Any] = weakref.WeakSet()
_registered: list[bool] = []


def watch_forks(recording: Forked) -> None:
    """Tell it in every forked process, until `unwatch_forks`."""
    # What is registered once can never be taken back, so it stays, and mostly does nothing.
    if not _registered and hasattr(os, "register_at_fork"):  # Windows does not fork.
        _registered.append(True)
        os.register_at_fork(after_in_child=_leave)
    _open.add(recording)


def unwatch_forks(recording: Forked) -> None:
    """Stop telling it."""
    _open.discard(recording)


def _leave() -> None:
    for recording in list(_open):
        recording.leave_in_child()
    _open.clear()
