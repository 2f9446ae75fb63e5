"""The head of a picture: its title, what was left out of it, and what the shapes mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import wrap

from .escape import html, shorten, visible
from .style import LOOKS, MUTED, TEXT

__all__ = ["header_label"]

LINE_CHARS = 72
CHIPS_PER_ROW = 4
MAX_TITLE_CHARS = 200


def header_label(title: str | None, captions: Sequence[str], looks: Collection[str]) -> str:
    """An HTML-like label for the whole picture.

    Args:
        title: Set in bold; None for none.
        captions: Sentences; each is broken into lines.
        looks: Names of the looks that occur, in `style.LOOKS`.
    """
    rows = []
    if title:
        rows += [_text_row(f"<B>{html(line)}</B>", 13, TEXT) for line in _lines(title)]
    for caption in captions:
        rows += [_text_row(html(line), 10, TEXT) for line in _lines(caption)]
    rows += _legend(looks)
    if not rows:
        return '""'
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="2" CELLPADDING="1">{"".join(rows)}</TABLE>>'


def _lines(text: str) -> list[str]:
    return wrap(visible(shorten(text, 4 * MAX_TITLE_CHARS)), LINE_CHARS) or [" "]


def _text_row(content: str, size: int, color: str) -> str:
    return (
        f'<TR><TD ALIGN="LEFT" COLSPAN="{CHIPS_PER_ROW}">'
        f'<FONT POINT-SIZE="{size}" COLOR="{color}">{content}</FONT></TD></TR>'
    )


def _legend(looks: Collection[str]) -> list[str]:
    """Chips that look like the boxes they explain; none where there is nothing to explain."""
    chips = [_chip(name) for name in LOOKS if name in looks]
    rows = [chips[i : i + CHIPS_PER_ROW] for i in range(0, len(chips), CHIPS_PER_ROW)]
    return [f"<TR>{''.join(row)}</TR>" for row in rows]


def _chip(name: str) -> str:
    look = LOOKS[name]
    style = "ROUNDED" if "rounded" in look.style else ""
    if "dashed" in look.style:
        style += ",DASHED" if style else "DASHED"
    elif "dotted" in look.style:
        style += ",DOTTED" if style else "DOTTED"
    style = f' STYLE="{style}"' if style else ""
    return (
        f'<TD BORDER="{max(look.peripheries, 1)}" COLOR="{look.line}" BGCOLOR="{look.fill}"{style} CELLPADDING="3">'
        f'<FONT POINT-SIZE="8" COLOR="{MUTED}">{html(look.legend)}</FONT></TD>'
    )
