"""Tables of plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ..render.escape import visible

__all__ = ["display_width", "format_table"]


def display_width(text: str) -> int:
    """Columns that a text takes in a terminal: two per wide character, none per combining one."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def format_table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Rows in aligned columns, maybe under a header; columns without any text are left out."""
    cells = [[visible(cell) for cell in row] for row in rows]
    used = [i for i in range(max(map(len, cells), default=0)) if any(row[i] for row in cells)]
    table = [[row[i] for i in used] for row in (*([header] if header else []), *cells)]
    widths = [max(map(display_width, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(
            cell + " " * (width - display_width(cell))
            for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    )
