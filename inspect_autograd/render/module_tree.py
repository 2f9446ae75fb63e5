"""The modules of a graph as an indented table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..graph.fold import infer_scopes
from ..graph.fold.labels import format_names, plural
from ..graph.graph import Graph
from ..graph.modules import ModuleRow, list_modules
from ..graph.tensor_meta import format_bytes
from .escape import shorten
from .origin_text import scope_text
from .table import format_table

__all__ = ["OUTSIDE", "render_modules"]

OUTSIDE = "(outside of any module)"
TITLES = ("module", "nodes", "leaves", "saved", "saved parameters", "calls", "own nodes")
RIGHT = (1, 2, 3, 4, 5)
MAX_NAME_CHARS = 40
MAX_OWN_CHARS = 60
TOTALS = "All numbers include submodules; each storage is counted once a line."
HEADINGS = {
    "recorded": f"Modules as recorded in the forward pass. {TOTALS}",
    "inferred": f"Modules inferred from the names of the parameters. {TOTALS}",
    None: "No modules are known: none were recorded, and no parameter has a name to tell them by.",
}


def render_modules(graph: Graph, *, max_lines: int) -> str:
    """The tree of modules; see `Graph.tree`.

    Args:
        graph: Its scopes are inferred, if it has none.
        max_lines: Longest text. Where there are more lines, the innermost modules are left out
            first, and if that is not enough, the last ones; the last line says so.
    """
    scoped = infer_scopes(graph)
    rows = list_modules(scoped)
    total = len(rows) + 2
    kept = rows if total <= max_lines else _choose(rows, max(max_lines - 3, 0))
    table = format_table([_cells(row) for row in kept], TITLES, RIGHT).splitlines()
    lines = [HEADINGS[scoped.scopes], *table]
    if len(kept) == len(rows):
        return "\n".join(lines)
    left = plural(len(rows) - len(kept), "more module")
    deepest = max((row.depth for row in kept), default=0)
    is_whole = all(row.depth > deepest for row in rows if row not in kept)
    where = f", {plural(deepest + 1, 'level')} deep and deeper" if is_whole and kept else ""
    more = f'… and {left}{where}; tree(by="scope", max_lines={total}) shows all'
    return "\n".join([*lines[: max_lines - 1], more])


def _choose(rows: Sequence[ModuleRow], room: int) -> list[ModuleRow]:
    """All rows down to the deepest level that fits; else the first ones of the first level."""
    sizes = Counter(row.depth for row in rows)
    deepest, size = 0, 0
    while size + sizes[deepest] <= room:
        size += sizes[deepest]
        deepest += 1
    if deepest > 1:
        return [row for row in rows if row.depth < deepest]
    return [row for row in rows if row.depth <= 1][:room]


def _cells(row: ModuleRow) -> tuple[str, ...]:
    name = OUTSIDE if row.path is None else scope_text(row.path).rpartition(".")[2]
    return (
        "  " * row.depth + shorten(name, MAX_NAME_CHARS),
        str(row.nodes),
        str(row.leaves) if row.leaves else "",
        format_bytes(row.saved_bytes) if row.saved_bytes else "",
        format_bytes(row.parameter_bytes) if row.parameter_bytes else "",
        f"×{row.calls}" if row.calls > 1 else "",
        format_names(row.own, MAX_OWN_CHARS),
    )
