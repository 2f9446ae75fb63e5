"""Columns that hold the events of a Trace; an `Event` is made when it is looked at."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from .records import Event, TensorStats

__all__ = ["NO_GRADIENT", "EventTable", "EventView"]

NO_GRADIENT = -1
"""In `EventTable.received` and `returned`: no gradient in this slot."""


def _empty() -> array[int]:
    return array("q")


@dataclass(frozen=True, slots=True)
class EventTable:
    """The events of a trace, column by column; see `Event` for the meaning of each.

    Attributes:
        received: Per event, one position in `stats` per slot, or `NO_GRADIENT`.
        returned: The same for what was returned.
        stats: What is known of each distinct gradient. Where several slots hold one gradient
            (an addition passes on the tensor it received, a view looks at its memory), they refer
            to one entry.
    """

    nodes: array[int] = field(default_factory=_empty)
    passes: array[int] = field(default_factory=_empty)
    threads: array[int] = field(default_factory=_empty)
    starts_ns: array[int] = field(default_factory=_empty)
    durations_ns: array[int] = field(default_factory=_empty)
    received: Sequence[tuple[int, ...]] = ()
    returned: Sequence[tuple[int, ...]] = ()
    stats: Sequence[TensorStats] = ()

    def __len__(self) -> int:
        return len(self.nodes)


class EventView(Sequence[Event]):
    """`Trace.events`: makes the Event records as they are asked for."""

    __slots__ = ("_table",)

    def __init__(self, table: EventTable) -> None:
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...
    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        if isinstance(index, slice):
            return tuple(self._event(i) for i in range(len(self))[index])
        return self._event(range(len(self))[index])

    def __iter__(self) -> Iterator[Event]:
        return map(self._event, range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} events>"

    def _event(self, order: int) -> Event:
        table = self._table
        return Event(
            order=order,
            node=table.nodes[order],
            backward_pass=table.passes[order],
            thread=table.threads[order],
            start_ns=table.starts_ns[order],
            duration_ns=table.durations_ns[order],
            received=self._stats(table.received[order]),
            returned=self._stats(table.returned[order]),
        )

    def _stats(self, positions: tuple[int, ...]) -> tuple[TensorStats | None, ...]:
        stats = self._table.stats
        return tuple([None if p == NO_GRADIENT else stats[p] for p in positions])
