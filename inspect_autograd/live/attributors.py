"""Who can tell how the nodes of this thread came to be: the recordings that were made in it."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from ..events.recording import Recording
from ..graph.tables import NodeTable
from .walk import LiveGraph

__all__ = [
    "Attributor",
    "add_attributor",
    "attribute_nodes",
    "innermost_attributor",
    "known_attributors",
    "remove_attributor",
]


class Attributor(Protocol):
    """Knows which calls made which nodes."""

    def attribute_live(self, live: LiveGraph, table: NodeTable) -> NodeTable:
        """The same nodes with creation and scope.

        Args:
            live: A walked graph.
            table: Its nodes as described so far.
        """

    @property
    def recording(self) -> Recording:
        """What it has seen so far."""


class _Here(threading.local):
    """Those of the current thread, outermost first; none is kept alive.

    Attributes:
        refs: Those that are open.
        closed: Those that are not, the latest last.
    """

    def __init__(self) -> None:
        self.refs: list[weakref.ref[Attributor]] = []
        self.closed: list[weakref.ref[Attributor]] = []


_here = _Here()


def add_attributor(attributor: Attributor) -> None:
    """Ask it for graphs that are captured in this thread, until `remove_attributor`."""
    _here.refs.append(weakref.ref(attributor))


def remove_attributor(attributor: Attributor) -> None:
    """It is over: only `known_attributors` gives it from now on, as long as somebody holds it."""
    _here.refs = [ref for ref in _here.refs if ref() not in (None, attributor)]
    _here.closed = [ref for ref in _here.closed if ref() not in (None, attributor)]
    _here.closed.append(weakref.ref(attributor))


def attribute_nodes(live: LiveGraph, table: NodeTable) -> NodeTable | None:
    """The nodes as the innermost open recording knows them; None where nobody records."""
    attributor = innermost_attributor()
    return None if attributor is None else attributor.attribute_live(live, table)


def innermost_attributor() -> Attributor | None:
    """The innermost recording that is open in this thread."""
    return next((known for ref in reversed(_here.refs) if (known := ref()) is not None), None)


def known_attributors() -> list[Attributor]:
    """All recordings made in this thread that somebody holds, the innermost or latest first."""
    refs = (*reversed(_here.refs), *reversed(_here.closed))
    return [known for ref in refs if (known := ref()) is not None]
