"""What one thread called in one step, found again by sequence number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...graph.creation import Creation
from .calls import ROW, ModuleCall

__all__ = ["CallChunk", "Made", "MadeNodes", "find_segments"]


@dataclass(frozen=True, slots=True)
class Made:
    """What is known of a node that made others while it ran backward.

    Attributes:
        label: What to call it.
        creation: How it came to be itself.
        scope: Its module path.
    """

    label: str
    creation: Creation | None
    scope: str | None


class MadeNodes:
    """Which nodes a recorded backward pass made: sequence numbers by the node that ran then.

    Attributes:
        first: The next sequence number when the pass began.
        ends: The next sequence number after each node ran, rising.
        makers: Ids of these nodes.
        find: Tells what is known of a node of that pass.
    """

    def __init__(
        self, first: int, made: Sequence[tuple[int, int]], find: Callable[[int], Made]
    ) -> None:
        self.first = first
        self.ends = [number for number, _ in made]
        self.makers = [maker for _, maker in made]
        self.find = find

    def maker_of(self, number: int) -> Made | None:
        """The node that ran when a node was made; None if none of this pass did."""
        if not self.ends or not self.first <= number < self.ends[-1]:
            return None
        return self.find(self.makers[bisect_right(self.ends, number)])


@dataclass(slots=True, eq=False)
class CallChunk:
    """What one thread called in one step.

    Attributes:
        thread: Name of the thread.
        owner: Which thread, as `ThreadCalls.key`.
        step: Index of the step.
        first_nr: The next sequence number when it began.
        rows: See `calls.ROW`.
        modules: The module calls.
        made: What backward passes of this thread made.
    """

    thread: str
    owner: int
    step: int
    first_nr: int
    rows: list[Any]
    modules: list[ModuleCall]
    made: list[MadeNodes] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _segments: list[tuple[int, int, int]] = field(default_factory=list)
    _count: int = -1

    def find_row(self, number: int) -> int | None:
        """Where the row begins of the innermost call during which a number was given out."""
        if self._count != len(self.rows):
            self._count = len(self.rows)
            self._segments = find_segments(self.rows)
            self._starts = [segment[0] for segment in self._segments]
        place = bisect_right(self._starts, number) - 1
        if place >= 0 and number < self._segments[place][1]:
            return self._segments[place][2]
        return None

    def find_module(self, number: int) -> ModuleCall | None:
        """The innermost module call during which a number was given out."""
        found = None
        for call in self.modules:  # Inner calls begin after outer ones.
            if call.first_nr <= number and (number < call.last_nr or call.last_nr < 0):
                found = call
        return found

    def is_inside(self, number: int) -> bool:
        """Whether a number was given out while this chunk was written, as far as is known."""
        last = max((r for r in self.rows[1::ROW]), default=self.first_nr)
        return self.first_nr <= number < last


def find_segments(rows: Sequence[Any]) -> list[tuple[int, int, int]]:
    """Ranges of sequence numbers that do not overlap, each with the place of its row.

    Calls of custom Functions and recorded passes enclose others; an inner call ends, and so is
    written, before the outer one. What it took of the outer one's range is its own.
    """
    segments: list[tuple[int, int, int]] = []
    for place in range(0, len(rows), ROW):
        begin, end = rows[place], rows[place + 1]
        inner: list[tuple[int, int, int]] = []
        while segments and segments[-1][1] > begin:
            inner.append(segments.pop())
        cursor = begin
        for segment in reversed(inner):
            if cursor < segment[0]:
                segments.append((cursor, min(segment[0], end), place))
            segments.append(segment)
            cursor = max(cursor, segment[1])
        if cursor < end:
            segments.append((cursor, end, place))
    return segments
