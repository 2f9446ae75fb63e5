"""What a graph keeps for backward, as an aligned table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..graph.memory_rows import HeldTensor, MemoryRow
from ..graph.saved_memory import SavedMemory
from ..graph.tensor_meta import format_bytes
from .escape import shorten, visible
from .max_lines import check_max_lines
from .table import format_table

__all__ = ["KINDS", "describe_sums", "format_share", "render_saved_memory", "row_name"]

MAX_NAME_CHARS = 60
MAX_VIEWS = 3
BAR_CELLS = 10
EIGHTHS = " ▏▎▍▌▋▊▉"
KINDS = {"op": "operation", "node": "node", "scope": "module", "line": "line"}
"""What the rows are about, in a word."""

RIGHT = (1, 2, 4, 5, 6)
"""Columns of numbers."""


def render_saved_memory(memory: SavedMemory, *, max_lines: int = 60) -> str:
    """The table that `print(memory)` shows; see `SavedMemory.table`."""
    check_max_lines(max_lines, 60)
    top = [_headline(memory), ""]
    bottom = ["", *_footer(memory)] if memory.tensors else [*_footer(memory)]
    titles = bool(memory.rows)
    total = len(top) + titles + len(memory.rows) + len(bottom)
    if total <= max_lines:
        return "\n".join([*top, *_table(memory, memory.rows), *bottom])
    # One line says what is left out.
    room = max_lines - len(top) - titles - len(bottom) - 1
    dropped = 0
    if room < 1:
        room, dropped, bottom = max(room + len(bottom), 0), len(bottom), []
    shown = memory.rows[:room]
    left_out = _left_out(memory, len(shown), dropped, total)
    lines = [*top, *_table(memory, shown), left_out, *bottom]
    if len(lines) > max_lines:
        more = f"… and {total - max_lines + 1} more lines; {_how_to_see(total)}"
        lines = [*lines[: max_lines - 1], more]
    return "\n".join(lines)


def describe_sums(memory: SavedMemory) -> str:
    """`1.5 KiB of activations and 288 B of parameters`."""
    sums = f"{format_bytes(memory.activation_bytes)} of activations"
    if not memory.parameter_bytes:
        return sums
    return f"{sums} and {format_bytes(memory.parameter_bytes)} of parameters"


def format_share(part: int, whole: int) -> str:
    """`12%`; `<1%` for what is not nothing."""
    text = f"{part / whole:.0%}"
    return "<1%" if part and text == "0%" else text


def row_name(row: MemoryRow, limit: int = MAX_NAME_CHARS) -> str:
    """The name of a row, in one line of bounded length."""
    return shorten(visible(row.name), limit)


def _headline(memory: SavedMemory) -> str:
    where = f" by {KINDS[memory.by]}"
    if memory.scopes is not None:
        how = "inferred from parameter names" if memory.scopes == "inferred" else memory.scopes
        where += f" ({how})"
    if not memory.tensors:
        return f"Saved for backward{where}: nothing"
    return f"Saved for backward{where}: {describe_sums(memory)}"


def _table(memory: SavedMemory, rows: Sequence[MemoryRow]) -> list[str]:
    header = [
        KINDS[memory.by],
        "activations",
        "alone",
        "share of activations",
        "parameters",
        "nodes",
        "tensors",
        "module" if memory.by == "node" else "",
        "line" if memory.by == "node" else "",
        "largest",
    ]
    if not rows:
        return []
    return format_table([_row(row, memory) for row in rows], header, RIGHT).splitlines()


def _row(row: MemoryRow, memory: SavedMemory) -> list[str]:
    by_node = memory.by == "node"
    unmeasured = f" ({row.unmeasured} not counted)" if row.unmeasured else ""
    return [
        row_name(row),
        format_bytes(row.activation_bytes) if row.activation_bytes else "",
        format_bytes(row.alone_bytes) if row.activation_bytes else "",
        _share(row.activation_bytes, memory.activation_bytes),
        format_bytes(row.parameter_bytes) if row.parameter_bytes else "",
        "" if by_node else str(row.nodes),
        f"{row.tensors}{unmeasured}",
        "" if not by_node or row.scope is None else row.scope or "(outermost)",
        "" if not by_node or row.source is None else row.source.short,
        _held(row.largest[0]) if row.largest else "",
    ]


def _share(part: int, whole: int) -> str:
    if not part:
        return ""
    eighths = max(round(8 * BAR_CELLS * part / whole), 1)
    bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
    return f"{format_share(part, whole):>4} {bar}"


def _held(held: HeldTensor) -> str:
    return shorten(visible(str(held)), 2 * MAX_NAME_CHARS)


def _left_out(memory: SavedMemory, shown: int, dropped: int, total: int) -> str:
    """The line that says how many rows, and lines below the table, are not there."""
    rest = memory.rows[shown:]
    parts = []
    if rest:
        alone = sum(row.alone_bytes for row in rest)
        held = f", which hold {format_bytes(alone)} alone" if memory.activation_bytes else ""
        parts.append(f"{len(rest)} more row{'s' * (len(rest) > 1)}{held}")
    if dropped:
        parts.append(f"{dropped} lines below the table")
    return f"… and {', and '.join(parts)}; {_how_to_see(total)}"


def _how_to_see(total: int) -> str:
    return f"table(max_lines={total}) shows all"


def _footer(memory: SavedMemory) -> Iterator[str]:
    if memory.activation_bytes:
        alone = sum(row.alone_bytes for row in memory.rows)
        yield (
            f"activations {format_bytes(memory.activation_bytes)} = {format_bytes(alone)} that "
            f"rows hold alone + {format_bytes(memory.shared_bytes)} that several rows hold"
        )
        yield (
            "activations: in all, each storage once; alone: what autograd would let go of if only "
            "this row went"
        )
    if memory.parameter_bytes:
        yield "parameters: memory of named tensors, which stays anyway"
    if len(memory.devices) > 1:
        sums = (f"{name} {format_bytes(size)}" for name, size in memory.devices.items())
        yield f"devices: {visible(', '.join(sums))}"
    yield from _views(memory)
    yield from (f"note: {visible(note)}" for note in memory.notes)


def _views(memory: SavedMemory) -> Iterator[str]:
    views = memory.views
    if not views:
        return
    unused = sum(view.unused_bytes for view in views)
    storages = "a storage is" if len(views) == 1 else f"{len(views)} storages are"
    yield (
        f"views: {storages} kept whole, though saved tensors look at a part only; "
        f"{format_bytes(unused)} of that is kept for nothing"
    )
    for view in views[:MAX_VIEWS]:
        held = view.largest
        more = f", and {view.tensors - 1} more" if view.tensors > 1 else ""
        yield (
            f"  {format_bytes(view.storage_bytes)} for "
            f"{shorten(visible(str(held.tensor)), MAX_NAME_CHARS)} of #{held.node} "
            f"{shorten(visible(held.node_name), MAX_NAME_CHARS)}{more}"
        )
    if len(views) > MAX_VIEWS:
        yield f"  … and {len(views) - MAX_VIEWS} more; SavedMemory.views has all"
