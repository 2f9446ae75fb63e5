"""Columns of a trace that take no object per entry.

A trace of 100 000 events should neither take much memory nor, while it is made, give Python's
garbage collector anything to do: collections are set off by the number of objects that stay, and
would cost more than the hooks themselves.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from ..graph.fast_records import fast_constructor
from .records import TensorStats

__all__ = ["NUMBERS", "SlotColumn", "StatsColumn"]

T = TypeVar("T")

_make_stats = fast_constructor(TensorStats)

NUMBERS = 7
"""So many numbers make up one entry of a StatsColumn: the fields of TensorStats between `meta` and
`note`, in their order."""


class _Column(Sequence[T], Generic[T]):
    """What is common to both: a sequence that makes its entries when they are looked at."""

    __slots__ = ()

    def _entry(self, index: int) -> T:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        places = range(len(self))[index]
        if isinstance(places, range):
            return tuple(map(self._entry, places))
        return self._entry(places)

    def __eq__(self, other: object) -> bool:
        """The same entries, held in whatever kind of sequence."""
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} entries>"


class SlotColumn(_Column[tuple[int, ...]]):
    """One tuple of positions per event.

    Args:
        ends: For each event, where its positions end; they begin where those before end.
        positions: The positions of all events, one after the other.
    """

    __slots__ = ("_ends", "_positions")

    def __init__(self, ends: array[int], positions: array[int]) -> None:
        self._ends = ends
        self._positions = positions

    def __len__(self) -> int:
        return len(self._ends)

    def _entry(self, index: int) -> tuple[int, ...]:
        start = self._ends[index - 1] if index else 0
        return tuple(self._positions[start : self._ends[index]])


class StatsColumn(_Column[TensorStats]):
    """What is known of each distinct gradient.

    Args:
        metas: Metadata of each.
        numbers: `NUMBERS` numbers for each, one after the other.
        notes: What there is to say, by position.
    """

    __slots__ = ("_metas", "_notes", "_numbers")

    def __init__(
        self, metas: Sequence[Any], numbers: Sequence[Any], notes: Mapping[int, str]
    ) -> None:
        self._metas = metas
        self._numbers = numbers
        self._notes = notes

    def __len__(self) -> int:
        return len(self._metas)

    def extended(self, metas: Sequence[Any], note: str) -> StatsColumn:
        """A copy as it is now, followed by entries without numbers.

        Args:
            metas: Metadata of the entries to add.
            note: Why they have no numbers.
        """
        first = len(self._metas)
        return StatsColumn(
            [*self._metas, *metas],
            [*self._numbers[: first * NUMBERS], *(None,) * (NUMBERS * len(metas))],
            {**self._notes, **{first + index: note for index in range(len(metas))}},
        )

    def _entry(self, index: int) -> TensorStats:
        first = index * NUMBERS
        numbers = self._numbers[first : first + NUMBERS]
        stats: TensorStats = _make_stats(self._metas[index], *numbers, self._notes.get(index, ""))
        return stats
