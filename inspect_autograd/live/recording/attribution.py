"""From the rows of the calls to what each node's record says of its creation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType
from typing import Any

from ...graph.creation import Creation, SourceLine
from ...graph.tables import NodeTable
from ..private_torch import LiveNode, sequence_nrs
from .calls import ROW, CallSite, ModuleCall, Position
from .function_names import qualified_name

__all__ = ["Attribution", "CallChunk", "Made", "MadeNodes", "SourceLines"]


class SourceLines:
    """Turns positions in code objects into lines; each is looked up once."""

    def __init__(self) -> None:
        self._lines: dict[tuple[CodeType, int], SourceLine] = {}

    def find(self, position: Position | None) -> SourceLine | None:
        """The line of a position."""
        if position is None:
            return None
        known = self._lines.get(position)
        if known is None:
            code, offset = position
            known = SourceLine(code.co_filename, _line_at(code, offset), code.co_qualname)
            self._lines[position] = known
        return known

    def find_all(self, positions: Iterable[Position]) -> tuple[SourceLine, ...]:
        """The lines of several."""
        return tuple(line for line in map(self.find, positions) if line is not None)


def _line_at(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


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

    def __init__(self, first: int, made: Sequence[tuple[int, int]], find: Any) -> None:
        self.first = first
        self.ends = [number for number, _ in made]
        self.makers = [maker for _, maker in made]
        self.find = find

    def maker_of(self, number: int) -> Made | None:
        """The node that ran when a node was made; None if none of this pass did."""
        if not self.ends or not self.first <= number < self.ends[-1]:
            return None
        made: Made = self.find(self.makers[bisect_right(self.ends, number)])
        return made


@dataclass(slots=True, eq=False)
class CallChunk:
    """What one thread called in one step.

    Attributes:
        thread: Name of the thread.
        owner: Tells threads apart; identifiers of threads are used again.
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


class Attribution:
    """Tells what is known of the creation of nodes.

    Args:
        chunks: All that was called in the steps that are kept.
        lines: Finds source lines.
        dropped: How many steps were dropped before these.
    """

    def __init__(self, chunks: Sequence[CallChunk], lines: SourceLines, dropped: int) -> None:
        self._chunks = chunks
        self._lines = lines
        self._dropped = dropped
        self._known: dict[tuple[int, int], tuple[Creation, str | None]] = {}
        self._by_thread: dict[int, list[CallChunk]] = {}
        for chunk in chunks:  # Of one thread, with rising numbers.
            self._by_thread.setdefault(chunk.owner, []).append(chunk)

    def describe(self, number: int, chunk: CallChunk | None) -> tuple[Creation, str | None]:
        """The creation, and the module path, of a node with this sequence number.

        Args:
            number: Its sequence number.
            chunk: The calls of the thread that made it; None if that is not known.
        """
        if chunk is None:
            return Creation(reason=self._reason_without_chunk(number)), None
        place = chunk.find_row(number)
        creation, scope = (
            self._from_row(chunk, place) if place is not None else self._from_module(chunk, number)
        )
        for made in chunk.made:
            maker = made.maker_of(number)
            if maker is not None:
                return _made_by(maker, creation, scope, seen=place is not None)
        return creation, scope

    def find_chunk(self, number: int) -> list[CallChunk]:
        """The calls during which a number was given out; several where threads were at work."""
        candidates = []
        for chunks in self._by_thread.values():
            place = bisect_right(chunks, number, key=_first_nr)
            if place:
                candidates.append(chunks[place - 1])
        exact = [
            chunk
            for chunk in candidates
            if chunk.find_row(number) is not None
            or any(made.maker_of(number) is not None for made in chunk.made)
        ]
        return exact or [c for c in candidates if c.find_module(number) or c.is_inside(number)]

    def creation_of(self, node: LiveNode) -> Creation:
        """What is known of the creation of a live node."""
        (number,) = sequence_nrs([node])
        found = self.find_chunk(number)
        return self.describe(number, found[0] if len(found) == 1 else None)[0]

    def _from_row(self, chunk: CallChunk, place: int) -> tuple[Creation, str | None]:
        key = id(chunk), place
        known = self._known.get(key)
        if known is None:
            _, _, function, site, module, _ = chunk.rows[place : place + ROW]
            creation = self._creation(site, module, chunk, function=_name_of(function))
            known = self._known[key] = creation, None if module is None else module.path
        return known

    def _from_module(self, chunk: CallChunk, number: int) -> tuple[Creation, str | None]:
        """A node that no seen call made: what is known is the module that ran, if one did."""
        module = chunk.find_module(number)
        reason = (
            "no function mode sees what made it: TorchScript, C++ code, or a view whose grad_fn "
            "PyTorch made anew after an in-place change"
        )
        if module is None:
            return Creation(thread=chunk.thread, reason=reason), None
        creation = self._creation(module.site, module, chunk, function=None)
        reason += "; the line is the one that called the module"
        return replace(creation, reason=reason), module.path

    def _creation(
        self, site: CallSite, module: ModuleCall | None, chunk: CallChunk, *, function: str | None
    ) -> Creation:
        position, inner = site
        return Creation(
            function=function,
            source=self._lines.find(position),
            stack=self._lines.find_all(inner),
            call=None if module is None else module.number,
            thread=chunk.thread,
        )

    def _reason_without_chunk(self, number: int) -> str:
        if self._dropped:
            return "made in a step that is not kept any more (limit=), or in one before the block"
        first = min((chunk.first_nr for chunk in self._chunks), default=0)
        if number < first:
            return "made before the block of the recording was entered"
        return "made in a thread that was not recorded, or where no function mode sees it"


def _first_nr(chunk: CallChunk) -> int:
    return chunk.first_nr


def _name_of(function: Any) -> str:
    if isinstance(function, str):
        return function
    if isinstance(function, type):
        return f"{function.__qualname__}.apply"
    return qualified_name(function)


def _made_by(
    maker: Made, creation: Creation, scope: str | None, *, seen: bool
) -> tuple[Creation, str | None]:
    """A node that a backward pass made.

    Where the backward of a custom Function, or a recomputed forward pass, called something, that
    is the call. Else PyTorch's own formula made it, and the line is that of the forward call.
    """
    if seen:
        return replace(creation, made_by=maker.label), maker.scope if scope is None else scope
    of = maker.creation or Creation(reason="the node that made it is not attributed either")
    return replace(of, made_by=maker.label), maker.scope


def attribute(
    table: NodeTable,
    attribution: Attribution,
    chunk_of: Mapping[int, CallChunk],
) -> NodeTable:
    """The same nodes with creation and scope.

    Args:
        table: As described from the live nodes.
        attribution: Knows the calls.
        chunk_of: By node id, the calls of the thread that made it, where several may be it.
    """
    creations: dict[int, Creation] = {}
    scopes: dict[int, str] = {}
    for id, number in enumerate(table.sequence_nrs):
        if number is None:
            parameter = table.parameters.get(id)
            if parameter is not None and parameter.name is not None:
                scopes[id] = parameter.name.rpartition(".")[0]
            continue
        chunk = chunk_of.get(id)
        if chunk is None:
            found = attribution.find_chunk(number)
            chunk = found[0] if len(found) == 1 else None
            if len(found) > 1:
                creations[id] = Creation(reason="two threads were at work; either may have made it")
                continue
        creation, scope = attribution.describe(number, chunk)
        creations[id] = creation
        if scope is not None:
            scopes[id] = scope
    return replace(table, creations=creations, scopes=scopes)
