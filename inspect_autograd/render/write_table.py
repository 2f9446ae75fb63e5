"""The writes of a recording, summed up by line of the program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..events.effects import Mutation
from .escape import shorten, visible
from .table import format_table

__all__ = ["write_lines"]

MAX_NAMES = 3
MAX_NAMES_CHARS = 60
MAX_CELL_CHARS = 40
TITLES = ("function", "line", "module", "writes", "tensors", "")
RIGHT = (3, 4)


@dataclass(slots=True)
class _Place:
    """The writes of one function in one line."""

    function: str
    line: str
    scope: str | None
    writes: int = 0
    tensors: dict[str, None] = field(default_factory=dict)
    unnamed: int = 0


def write_lines(mutations: Iterable[Mutation], max_rows: int) -> list[str]:
    """The titles, and a row for each function and line, in the order of their first writes.

    Args:
        mutations: The writes.
        max_rows: How many rows at most; what is left out is said.
    """
    places = _group(mutations)
    if not places:
        return []
    lines = format_table([_cells(place) for place in places[:max_rows]], TITLES, RIGHT).splitlines()
    rest = places[max_rows:]
    if rest:
        writes = sum(place.writes for place in rest)
        lines.append(
            f"… and {writes} more in {len(rest)} place{'s' * (len(rest) > 1)}; "
            "recording.mutations has all"
        )
    return lines


def _group(mutations: Iterable[Mutation]) -> Sequence[_Place]:
    places: dict[tuple[object, ...], _Place] = {}
    for write in mutations:
        key = (write.function, write.source, write.scope)
        line = "" if write.source is None else write.source.short
        place = places.setdefault(key, _Place(write.function, line, write.scope))
        place.writes += 1
        name = write.tensor or write.view_of
        if name:
            place.tensors[name] = None
        else:
            place.unnamed += 1
    return [*places.values()]


def _cells(place: _Place) -> list[str]:
    names = ", ".join([*place.tensors][:MAX_NAMES])
    more = len(place.tensors) - MAX_NAMES
    parts = [shorten(visible(names), MAX_NAMES_CHARS)] if names else []
    if more > 0:
        parts.append(f"… {more} more")
    if place.unnamed:
        parts.append(f"{place.unnamed} without a name")
    scope = "" if place.scope is None else place.scope or "(outermost)"
    return [
        shorten(visible(place.function), MAX_CELL_CHARS),
        shorten(visible(place.line), MAX_CELL_CHARS),
        shorten(visible(scope), MAX_CELL_CHARS),
        str(place.writes),
        str(len(place.tensors)) if place.tensors else "",
        ", ".join(parts),
    ]
