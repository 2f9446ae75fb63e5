"""From DOT source to a picture, within a time budget, with whatever Graphviz there is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from time import monotonic

from ..errors import LayoutError, LayoutTimeoutError
from .engine import Engine, EngineError, EngineTimeout, find_engines, run_engine

__all__ = ["LEGIBLE_DPI", "Picture", "lay_out"]

DPI = 144
"""Twice the resolution of the layout's points, so that PNGs are sharp on today's screens."""
LEGIBLE_DPI = 60
"""With fewer dots per inch, small print cannot be read."""
MAX_SIDE = 32_000
"""Pixels; cairo, which draws PNGs, cannot go beyond 32767."""
SHARP_PIXELS = 12_000_000
"""Up to here a PNG has its full resolution; a larger one is less dense, down to `PLAIN_DPI`."""
MAX_PIXELS = 25_000_000
"""What can be drawn in a few seconds and opened by a viewer."""
PLAIN_DPI = 96
FEW_BOXES = 60
"""So few boxes fit on a PNG at full resolution, whatever they hold."""

_BEGINNINGS = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<"}
_BOUNDS = re.compile(r'\bbb="[-\d.e+]+,[-\d.e+]+,([-\d.e+]+),([-\d.e+]+)"')
_NO_FONT = re.compile(r"^node \S+ \S+ \S+ (\S+)", re.MULTILINE)
_REMEDY_FAILED = (
    "Write the graph to a .dot or .txt file, which needs no Graphviz, or draw less of it with "
    "view='scope' or view='band'."
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture.

    Attributes:
        data: The contents of its file.
        dpi: Resolution, for PNG.
    """

    data: bytes
    dpi: float | None = None


def lay_out(source: str, output_format: str, *, timeout: float, boxes: int) -> Picture:
    """Lay DOT source out.

    Each engine is tried in turn until one succeeds, so a `dot` that is broken or lacks a format
    does no harm.

    Args:
        source: DOT source of `dot.to_dot`.
        output_format: `png`, `svg` or `pdf`.
        timeout: Seconds for all of it.
        boxes: How many boxes there are, about.

    Raises:
        LayoutError: No engine succeeded; says why each of them did not.
        LayoutTimeoutError: The time was up. All processes have been ended.
    """
    deadline = monotonic() + timeout
    failures = []
    for engine in find_engines():
        try:
            return _draw(engine, source, output_format, deadline, boxes)
        except EngineError as error:
            failures.append(f"{engine.name}: {error}")
        except EngineTimeout as error:
            raise LayoutTimeoutError(
                f"the layout of {boxes} boxes did not finish within timeout={timeout:g} seconds",
                remedy="Draw fewer boxes (view='auto' or view='scope'), give it more time "
                "(timeout=300), or write a .dot or .txt file, which needs no layout.",
            ) from error
    if not failures:
        raise LayoutError(
            "there is no Graphviz: no dot on PATH, and pygraphviz is not installed",
            remedy="pip install pygraphviz, which brings Graphviz along; or write a .dot or .txt "
            "file, which needs none.",
        )
    raise LayoutError("Graphviz failed; " + "; ".join(failures), remedy=_REMEDY_FAILED)


def _draw(engine: Engine, source: str, output_format: str, deadline: float, boxes: int) -> Picture:
    def run(text: str, layout: str, wanted: str) -> bytes:
        left = deadline - monotonic()
        if left <= 0:
            raise EngineTimeout
        data, complaints = run_engine(
            engine, text, layout=layout, output_format=wanted, timeout=left
        )
        # Graphviz goes on after some errors and leaves out what it could not draw.
        if "Error:" in complaints:
            raise EngineError(f"it left something out: {complaints}")
        return data

    if output_format != "svg" and not _has_fonts(engine):
        raise EngineError(
            "it finds no font on this machine, so every letter would be an empty box; install "
            "one (on Debian: apt-get install fonts-dejavu-core), or write an .svg file, which is "
            "drawn with the fonts of the viewer"
        )
    dpi = None
    layout = "dot"
    if output_format == "png":
        dpi = float(DPI)
        if boxes > FEW_BOXES:
            # The layout first, to learn the size; drawing a finished layout costs little.
            source, layout = run(source, "dot", "dot").decode("utf-8"), "nop2"
            dpi = _fitting_dpi(source)
        source = source.replace("graph [", f"graph [dpi={dpi:g}, ", 1)
    data = run(source, layout, output_format)
    if not data.startswith(_BEGINNINGS[output_format]):
        raise EngineError(f"what it wrote is not {output_format.upper()}: {data[:40]!r}")
    return Picture(data, dpi)


def _fitting_dpi(laid_out: str) -> float:
    """The resolution, `DPI` at most, at which a laid-out graph fits on a PNG."""
    match = _BOUNDS.search(laid_out)
    if match is None:
        raise EngineError("the layout has no size")
    # In inches, with the margin around everything.
    width, height = (float(size) / 72 + 1 for size in match.groups())
    area = width * height
    sharp = min(DPI, sqrt(SHARP_PIXELS / area))
    plain = min(PLAIN_DPI, sqrt(MAX_PIXELS / area))
    return round(min(max(sharp, plain), MAX_SIDE / max(width, height)), 1)


@lru_cache(maxsize=8)
def _has_fonts(engine: Engine) -> bool:
    """Whether an engine has letters to draw with; without it draws boxes and says nothing."""
    # Without a font every character is drawn as a box of one width, this letter and a character
    # of a private plane alike.
    source = (
        'digraph { node [shape=plain, margin=0, width=0, height=0]; a [label="iiiiiiii"]; '
        'b [label="' + "\U000f0001" * 8 + '"] }'
    )
    try:
        data, _ = run_engine(engine, source, layout="dot", output_format="plain", timeout=10)
    except (EngineError, EngineTimeout):
        return True  # The picture itself will tell what is wrong.
    widths = _NO_FONT.findall(data.decode("utf-8", "replace"))
    return len(widths) != 2 or widths[0] != widths[1]
