"""The head of a picture: its title, what was left out of it, and what the shapes mean."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import wrap

from .escape import html, shorten, visible
from .overlay import Chip
from .style import LOOKS, TEXT

__all__ = ["break_row", "header_label"]

LINE_CHARS = 72
CHIPS_PER_ROW = 5
CHIP_CHAR_WIDTH = 5.2
CHIP_MARGIN = 14
"""Points, for text of 8 points."""
MAX_TEXT_CHARS = 800


def header_label(
    title: str | None,
    captions: Sequence[str],
    looks: Collection[str],
    legend: Sequence[Sequence[Chip]] | None = None,
) -> str:
    """An HTML-like label for the whole picture.

    Args:
        title: Set in bold; None for none.
        captions: Sentences; each is broken into lines.
        looks: Names of the looks that occur, in `style.LOOKS`.
        legend: Rows of a legend, in place of the one that explains the looks.
    """
    rows = []
    if title:
        rows.append(_text_row([f"<B>{html(line)}</B>" for line in _lines(title)], 13))
    rows += [_text_row([html(line) for line in _lines(caption)], 9) for caption in captions]
    rows += _legend(_usual_legend(looks) if legend is None else legend)
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


def _usual_legend(looks: Collection[str]) -> list[list[Chip]]:
    return break_row([Chip(look.legend, look) for name, look in LOOKS.items() if name in looks])


def break_row(chips: Sequence[Chip]) -> list[list[Chip]]:
    """Chips in rows of about one length."""
    row_count = -(-len(chips) // CHIPS_PER_ROW)
    size = max(-(-len(chips) // max(row_count, 1)), 1)
    return [[*chips[i : i + size]] for i in range(0, len(chips), size)]


def _legend(rows: Sequence[Sequence[Chip]]) -> list[str]:
    """Chips that look like the boxes they explain."""
    return [f'<TR><TD ALIGN="LEFT" CELLPADDING="0">{_chip_row(row)}</TD></TR>' for row in rows]


def _chip_row(chips: Sequence[Chip]) -> str:
    """A table of its own for each row of chips, so that no chip is as wide as one above it.

    Its size is fixed, else it would be stretched to the width of the text above.
    """
    width = sum(round(CHIP_CHAR_WIDTH * len(chip.text)) + CHIP_MARGIN for chip in chips)
    attributes = f'CELLSPACING="3" ALIGN="LEFT" FIXEDSIZE="TRUE" WIDTH="{width}" HEIGHT="28"'
    return _table([f"<TR>{''.join(map(_chip, chips))}</TR>"], attributes)


def _chip(chip: Chip) -> str:
    text = f'<FONT POINT-SIZE="8" COLOR="{chip.text_color}">{html(chip.text)}</FONT>'
    look = chip.look
    if look is None:
        return f'<TD CELLPADDING="3">{text}</TD>'
    styles = [style.upper() for style in ("rounded", "dashed", "dotted") if style in look.style]
    style = f' STYLE="{",".join(styles)}"' if styles else ""
    return (
        f'<TD BORDER="{look.peripheries}" COLOR="{look.line}" BGCOLOR="{look.fill}"{style} '
        f'CELLPADDING="3">{text}</TD>'
    )
