"""The head of a picture: its title, what was left out of it, and what the shapes mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import wrap

from .escape import html, shorten, visible
from .style import LOOKS, TEXT

__all__ = ["header_label"]

LINE_CHARS = 72
CHIPS_PER_ROW = 5
CHIP_CHAR_WIDTH = 5.2
CHIP_MARGIN = 14
"""Points, for text of 8 points."""
MAX_TEXT_CHARS = 800


def header_label(title: str | None, captions: Sequence[str], looks: Collection[str]) -> str:
    """An HTML-like label for the whole picture.

    Args:
        title: Set in bold; None for none.
        captions: Sentences; each is broken into lines.
        looks: Names of the looks that occur, in `style.LOOKS`.
    """
    rows = []
    if title:
        rows.append(_text_row([f"<B>{html(line)}</B>" for line in _lines(title)], 13))
    rows += [_text_row([html(line) for line in _lines(caption)], 9) for caption in captions]
    rows += _legend(looks)
    if not rows:
        return '""'
    table = _table(rows, 'CELLSPACING="1"')
    return f"<{table}>"


def _lines(text: str) -> list[str]:
    # Kept together: `layers.0 … layers.11 ×12`.
    text = visible(shorten(text, MAX_TEXT_CHARS)).replace(" … ", "\xa0…\xa0").replace(" ×", "\xa0×")
    return wrap(text, LINE_CHARS) or [" "]


def _table(rows: Sequence[str], attributes: str) -> str:
    attributes = f'BORDER="0" CELLBORDER="0" CELLPADDING="2" {attributes}'
    return f"<TABLE {attributes}>{''.join(rows)}</TABLE>"


def _text_row(lines: Sequence[str], size: int) -> str:
    text = "".join(f'{line}<BR ALIGN="LEFT"/>' for line in lines)
    font = f'<FONT POINT-SIZE="{size}" COLOR="{TEXT}">{text}</FONT>'
    return f'<TR><TD ALIGN="LEFT" BALIGN="LEFT">{font}</TD></TR>'


def _legend(looks: Collection[str]) -> list[str]:
    """Chips that look like the boxes they explain, in rows of about one length."""
    names = [name for name in LOOKS if name in looks]
    row_count = -(-len(names) // CHIPS_PER_ROW)
    size = -(-len(names) // max(row_count, 1))
    rows = [names[i : i + size] for i in range(0, len(names), max(size, 1))]
    return [f'<TR><TD ALIGN="LEFT" CELLPADDING="0">{_chip_row(row)}</TD></TR>' for row in rows]


def _chip_row(names: Sequence[str]) -> str:
    """A table of its own for each row of chips, so that no chip is as wide as one above it.

    Its size is fixed, else it would be stretched to the width of the text above.
    """
    width = sum(round(CHIP_CHAR_WIDTH * len(LOOKS[name].legend)) + CHIP_MARGIN for name in names)
    attributes = f'CELLSPACING="3" ALIGN="LEFT" FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="28"'
    return _table([f"<TR>{''.join(map(_chip, names))}</TR>"], attributes)


def _chip(name: str) -> str:
    look = LOOKS[name]
    styles = [style.upper() for style in ("rounded", "dashed", "dotted") if style in look.style]
    style = f' STYLE="{",".join(styles)}"' if styles else ""
    text = f'<FONT POINT-SIZE="8" COLOR="{TEXT}">{html(look.legend)}</FONT>'
    return (
        f'<TD BORDER="{look.peripheries}" COLOR="{look.line}" BGCOLOR="{look.fill}"{style} '
        f'CELLPADDING="3">{text}</TD>'
    )
