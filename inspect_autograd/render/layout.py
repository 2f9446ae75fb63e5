"""From DOT source to a picture, within a time budget, with whatever Graphviz there is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import sqrt
from time import monotonic

from ..errors import LayoutError, LayoutTimeoutError
from .engine import Engine, EngineError, EngineTimeout, find_engines, last_lines, run_engine
from .fonts import has_font_folder, packaged_font_environment

__all__ = ["LEGIBLE_DPI", "Picture", "lay_out", "with_letters"]

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
_INVISIBLE = re.compile(r"Error: lost (?:r\d+|i\d+c\d+) i\d+c\d+ edge")
_PDF_DATE = re.compile(rb"(/CreationDate \(D:)\d{14}")
_WIDTH = re.compile(r"^node \S+ \S+ \S+ (\S+)", re.MULTILINE)
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


def _is_incomplete(complaints: str) -> bool:
    """Whether Graphviz left an arrow out, which it does after some errors.

    An invisible one that only keeps columns in order is no loss.
    """
    errors = re.findall(r"^Error: .*", complaints, re.MULTILINE)
    lost = [error for error in errors if error.startswith("Error: lost ")]
    seen = [error for error in lost if not _INVISIBLE.match(error)]
    return bool(seen) or (bool(errors) and not lost)


def _draw(engine: Engine, source: str, output_format: str, deadline: float, boxes: int) -> Picture:
    engine = with_letters(engine, output_format, deadline)
    dpi = None
    layout = "dot"
    if output_format == "png":
        dpi = float(DPI)
        if boxes > FEW_BOXES:
            # The layout first, to learn the size; drawing a finished layout costs little.
            source = _run(engine, source, "dot", "dot", deadline).decode("utf-8")
            layout, dpi = "nop2", _fitting_dpi(source)
        source = _with_attribute(source, f"dpi={dpi:g}")
    data = _run(engine, source, layout, output_format, deadline)
    if not data.startswith(_BEGINNINGS[output_format]):
        raise EngineError(f"what it wrote is not {output_format.upper()}: {data[:40]!r}")
    if output_format == "pdf":
        # Not every cairo obeys SOURCE_DATE_EPOCH; the same graph is to make the same file.
        data = _PDF_DATE.sub(rb"\g<1>19700101000000", data)
    return Picture(data, dpi)


def with_letters(engine: Engine, output_format: str, deadline: float) -> Engine:
    """The engine, with the packaged font where the machine has none.

    Raises:
        EngineError: There is no font at all, and the format needs one.
    """
    if output_format == "svg" and has_font_folder():
        return engine  # Its letters are drawn by the viewer; here they are only measured.
    if _has_fonts(engine, deadline):
        return engine
    packaged = replace(engine, environment=tuple(packaged_font_environment().items()))
    if packaged.environment and _has_fonts(packaged, deadline):
        return packaged
    if output_format == "svg":
        return engine
    raise EngineError(
        "it finds no font on this machine, so every letter would be an empty box; install one "
        "(pip install font-source-sans-pro), or write an .svg file, which is drawn with the "
        "fonts of the viewer"
    )


def _run(engine: Engine, source: str, layout: str, output_format: str, deadline: float) -> bytes:
    """What an engine makes of DOT source, nothing left out."""
    data, complaints = run_engine(
        engine, source, layout=layout, output_format=output_format, deadline=deadline
    )
    if _is_incomplete(complaints):
        # Nearly always an arrow that found no way between the boxes; straight ones need none.
        source = _with_attribute(source, "splines=line")
        data, complaints = run_engine(
            engine, source, layout=layout, output_format=output_format, deadline=deadline
        )
    if _is_incomplete(complaints):
        raise EngineError(f"it left something out: {last_lines(complaints)}")
    return data


def _with_attribute(source: str, attribute: str) -> str:
    """DOT source with one more attribute of the whole picture."""
    return source.replace("graph [", f"graph [{attribute}, ", 1)


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


def _has_fonts(engine: Engine, deadline: float) -> bool:
    """Whether an engine has letters to draw with; without it draws boxes and says nothing."""
    if engine not in _engines_with_fonts:
        # Without a font every character is drawn as a box of one width, this letter and a
        # character of a private plane alike.
        source = (
            'digraph { node [shape=plain, margin=0, width=0, height=0]; a [label="iiiiiiii"]; '
            f'b [label="{chr(0xF0001) * 8}"] }}'
        )
        data, _ = run_engine(engine, source, layout="dot", output_format="plain", deadline=deadline)
        widths = _WIDTH.findall(data.decode("utf-8", "replace"))
        if len(widths) == 2 and widths[0] == widths[1]:
            return False
        _engines_with_fonts.add(engine)
    return True


_engines_with_fonts: set[Engine] = set()
"""Those that have been asked; asking costs as much as a small picture."""
