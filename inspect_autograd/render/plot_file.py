"""What all pictures drawn by matplotlib have in common: the file, and text that can be drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingDependencyError
from ..graph.atomic_write import write_atomically
from .escape import visible
from .picture_format import choose_format
from .style import BACKGROUND

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FONT_SIZE", "legible", "write_figure"]

FORMATS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}
# What would change between two runs that draw the same.
UNDATED: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
DPI = 110
FONT_SIZE = 8.5


def write_figure(
    path: str | os.PathLike[str],
    draw: Callable[[Figure], None],
    *,
    size: tuple[float, float],
    example: str,
) -> Path:
    """Draw into a file, whatever the program has set up for its own figures.

    Args:
        path: Where to write; the suffix chooses the format.
        draw: Puts everything into an empty figure.
        size: Width and height in inches.
        example: A file name to propose.

    Returns:
        The path.

    Raises:
        ArgumentError: The suffix is none of `.png`, `.svg` and `.pdf`, or the file cannot be
            written.
        ArgumentTypeError: The path is none.
        MissingDependencyError: matplotlib is not installed.
    """
    target, output_format = choose_format(
        path,
        FORMATS,
        example=example,
        remedy="The suffix chooses the format of the picture: .png, .svg or .pdf.",
    )
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            "plot() needs matplotlib, which is not installed",
            remedy='Install it: pip install "inspect-autograd[plot]"',
        ) from error
    data = io.BytesIO()
    with style.context(["default", {"svg.hashsalt": "inspect_autograd", "font.size": FONT_SIZE}]):
        figure = Figure(figsize=size, facecolor=BACKGROUND, layout="constrained")
        draw(figure)
        figure.savefig(data, format=output_format, dpi=DPI, metadata=UNDATED[output_format])
    return write_atomically(target, data.getvalue())


def legible(text: str) -> str:
    r"""Text in which a character that the font lacks is written as `\u` and its number."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    text = visible(text)
    if text.isascii():
        return text
    known = get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    return "".join(c if ord(c) in known else f"\\u{ord(c):04x}" for c in text)
