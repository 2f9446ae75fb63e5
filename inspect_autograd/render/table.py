"""Tables of plain text."""

from __future__ import annotations

import io
from collections.abc import Container, Sequence

from .escape import visible

__all__ = ["format_table"]

WIDEST = 10_000
"""Columns; a line that is wider than the terminal is the terminal's to wrap, not ours to cut."""


def format_table(
    rows: Sequence[Sequence[str]], header: Sequence[str] = (), right: Container[int] = ()
) -> str:
    """Rows in aligned columns, maybe under a header; columns without any text are left out.

    Args:
        rows: The cells, one line each.
        header: The titles of the columns.
        right: Which columns are aligned to the right, as numbers are.
    """
    cells = [[visible(cell) for cell in row] for row in rows]
    used = [i for i in range(max(map(len, cells), default=0)) if any(row[i] for row in cells)]
    try:
        # Not at the top: most views print no table, and must start fast.
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        # `doctor` has to be able to say that rich is missing; then columns are not aligned.
        return "\n".join("  ".join(row[i] for i in used) for row in cells)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(header))
    for i in used:
        title = Text(header[i] if header else "")
        table.add_column(title, no_wrap=True, justify="right" if i in right else "left")
    for row in cells:
        table.add_row(*(Text(row[i]) for i in used))
    output = io.StringIO()
    Console(file=output, width=WIDEST, color_system=None, force_terminal=False).print(table)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())
