"""From the rows of the calls to what each node's record says of its creation."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...graph.creation import Creation, SourceLine
from ...graph.records import Parameter
from ...graph.tables import NodeTable
from ..private_torch import LiveNode, sequence_nrs
from .call_chunks import CallChunk, Made
from .calls import COMPILED_REGION, ROW, CallSite, ModuleCall
from .function_names import qualified_name
from .source_lines import SourceLines

__all__ = ["Attribution", "attribute"]


class Attribution:
    """Tells what is known of the creation of nodes.

    Args:
        chunks: All that was called in the steps that are kept.
        lines: Finds source lines.
        dropped: How many steps were dropped before these.
        owners: Path of the module that owns a parameter, by the name of the parameter.
    """

    def __init__(
        self,
        chunks: Sequence[CallChunk],
        lines: SourceLines,
        dropped: int,
        owners: Mapping[str, str],
    ) -> None:
        self._chunks = chunks
        self._lines = lines
        self._dropped = dropped
        self._owners = owners
        self._known: dict[tuple[int, int], tuple[Creation, str | None]] = {}
        self._by_thread: dict[int, list[CallChunk]] = {}
        for chunk in chunks:  # Of one thread, with rising numbers.
            self._by_thread.setdefault(chunk.owner, []).append(chunk)

    def compiled_notes(self) -> list[str]:
        """What is to be said of compiled code: where it ran, and that it is opaque."""
        return [
            f"compiled code ran {count} time{'s' * (count > 1)} at "
            f"{'an unknown line' if line is None else line}; what happens inside of it is not seen"
            for line, count in self._find_compiled().items()
        ]

    def _find_compiled(self) -> dict[SourceLine | None, int]:
        """Lines that ran compiled code, and how often."""
        found: dict[SourceLine | None, int] = {}
        for chunk in self._chunks:
            for place, function in enumerate(chunk.rows[2::ROW]):
                if function is COMPILED_REGION:
                    line = self._lines.find(chunk.rows[place * ROW + 3][0])
                    found[line] = found.get(line, 0) + 1
        return found

    def owner_of(self, parameter: Parameter) -> str | None:
        """Path of the module that owns a leaf; None if no module does."""
        return next((self._owners[n] for n in parameter.names if n in self._owners), None)

    @property
    def is_threaded(self) -> bool:
        """Whether more than one thread was recorded."""
        return len(self._by_thread) > 1

    def is_ambiguous(self, number: int) -> bool:
        """Whether several threads gave out a sequence number."""
        return len(self.find_chunk(number)) > 1

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

    def choose(self, chunks: list[CallChunk], owner: int | None) -> list[CallChunk]:
        """Those of several threads that may have made a node.

        Args:
            chunks: By its sequence number.
            owner: Whose mark it has. Only the first thread made nodes without one.
        """
        if owner is None:
            owner = next(iter(self._by_thread))
        return [chunk for chunk in chunks if chunk.owner == owner] or chunks

    def _from_row(self, chunk: CallChunk, place: int) -> tuple[Creation, str | None]:
        key = id(chunk), place
        known = self._known.get(key)
        if known is None:
            _, _, function, site, module, _ = chunk.rows[place : place + ROW]
            creation = self._creation(site, module, chunk, function=_name_of(function))
            if function is COMPILED_REGION:
                creation = replace(creation, reason="what happens inside of it is not seen")
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
    owners: Mapping[int, int],
) -> NodeTable:
    """The same nodes with creation and scope.

    Args:
        table: As described from the live nodes.
        attribution: Knows the calls.
        owners: By node id, the thread that made it (`CallChunk.owner`), where several may be it.
    """
    creations: dict[int, Creation] = {}
    scopes: dict[int, str] = {}
    for id, number in enumerate(table.sequence_nrs):
        if number is None:
            parameter = table.parameters.get(id)
            owner = None if parameter is None else attribution.owner_of(parameter)
            if owner is not None:
                scopes[id] = owner
            continue
        found = attribution.find_chunk(number)
        if len(found) > 1:
            found = attribution.choose(found, owners.get(id))
        if len(found) > 1:
            creations[id] = Creation(reason="two threads were at work; either may have made it")
            continue
        chunk = found[0] if found else None
        creation, scope = attribution.describe(number, chunk)
        creations[id] = creation
        if scope is not None:
            scopes[id] = scope
    return replace(table, creations=creations, scopes=scopes)
