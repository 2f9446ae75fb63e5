"""A Report in the colours of a terminal, by rich."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from ..diagnosis.report import Report
from .report_text import LABEL, WIDTH, render_report
from .report_view import Fact, Finding, Place, ReportView, page_of, view_report

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

__all__ = ["render_report_for_terminal", "rich_lines"]

MAX_WIDTH = 100
"""Columns; longer lines are hard to read."""
_BACKTICKS = re.compile(r"`[^`]+`")


def render_report_for_terminal(
    report: Report, stream: TextIO | None = None, *, full: bool = False
) -> None:
    """Print a report: in colours to a terminal, as plain text to anything else.

    Never fails for what the stream cannot write, since it is for the moment when a program dies.

    Args:
        report: The report.
        stream: Where to; stderr by default.
        full: Whether further diagnoses are shown in full too.
    """
    stream = sys.stderr if stream is None else stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if _is_terminal(stream) and encoding.lower().replace("-", "").startswith("utf"):
        try:
            from rich.console import Console, Group
        except ImportError:
            pass
        else:
            console = Console(file=stream, highlight=False, soft_wrap=False)
            width = min(console.width, MAX_WIDTH)
            console.print(Group(*rich_lines(view_report(report, full=full))), width=width)
            return
    text = f"{render_report(report, width=WIDTH, full=full)}\n"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def rich_lines(view: ReportView) -> Iterator[RenderableType]:
    """The parts of a report for a console of rich."""
    for i, finding in enumerate(view.findings):
        if i:
            yield ""
        yield from _finding(finding)
    if view.others:
        yield _heading(view.others_title)
        for finding in view.others:
            yield from _short(finding)
    if view.notes:
        yield _heading("Also noted")
        yield from map(_fact, view.notes)


def _finding(finding: Finding) -> Iterator[RenderableType]:
    from rich.text import Text

    yield _sentence(finding.summary, "bold")
    if finding.places or finding.message:
        yield ""
    for place in finding.places:
        yield from _place(place)
    if finding.message:
        yield _hanging(Text(f"{finding.speaker:{LABEL}}", "dim"), Text(finding.message, "red"))
    if finding.certainty:
        yield ""
        yield Text(finding.certainty, "yellow")
    for i, paragraph in enumerate(finding.paragraphs):
        yield "" if i else _heading("Why")
        yield _indented(_sentence(paragraph))
    if finding.facts:
        yield _heading("What was found")
        yield from map(_fact, finding.facts)
        if finding.more_facts:
            yield Text(f"  - … and {finding.more_facts} more", "dim")
    if finding.steps:
        yield _heading("What to do")
        is_choice = len(finding.steps) > 1
        for number, step in enumerate(finding.steps, 1):
            sign = Text(f"{number}." if is_choice else "→", "bold green")
            yield _hanging(sign, _sentence(step.text))
            yield from _code(step.code)
    if finding.slug:
        yield Text(f"\n[{finding.slug}] {page_of(finding.slug)}", "dim")


def _short(finding: Finding) -> Iterator[RenderableType]:
    from rich.text import Text

    summary = _sentence(finding.summary)
    summary.append(f" [{finding.label}]", "dim")
    yield _hanging(Text("-"), summary)
    if finding.places and finding.places[0].label == "cause":
        yield _indented(_location(finding.places[0]), 4)
    if finding.steps:
        yield _indented(_hanging(Text("→", "green"), _sentence(finding.steps[0].text)), 2)
        yield from _code(finding.steps[0].code)


def _place(place: Place) -> Iterator[RenderableType]:
    from rich.text import Text

    yield _hanging(Text(f"{place.label:{LABEL}}", "dim"), Text(place.where, "cyan"))
    if place.code:
        yield _indented(Text(place.code, "bold"), LABEL + 7)


def _fact(fact: Fact) -> RenderableType:
    from rich.text import Text

    text = _sentence(fact.text)
    if fact.place is not None and not fact.place.code:
        text.append(f" ({fact.place.where})", "cyan")
    elif fact.place is not None:
        text.append("\n")
        text.append_text(_location(fact.place))
    return _hanging(Text("-", "dim"), text)


def _location(place: Place) -> Text:
    from rich.text import Text

    return Text.assemble((place.where, "cyan"), "  ", place.code)


def _code(lines: Iterable[str]) -> Iterator[RenderableType]:
    from rich.syntax import Syntax

    code = "\n".join(lines)
    if code:
        # The colours of the terminal itself, so that they fit a light and a dark one.
        yield _indented(Syntax(code, "python", theme="ansi_dark", background_color="default"), 9)


def _heading(text: str) -> RenderableType:
    from rich.text import Text

    return Text(f"\n{text}", "bold")


def _sentence(text: str, style: str = "") -> Text:
    """A text whose parts between backticks stand out as code."""
    from rich.text import Text

    sentence = Text(text, style)
    for found in _BACKTICKS.finditer(text):
        sentence.stylize("cyan", *found.span())
    return sentence


def _hanging(sign: Text, text: Text) -> RenderableType:
    """A sign before a text whose further lines are indented as its first."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(sign, text)
    return _indented(grid)


def _indented(renderable: RenderableType, columns: int = 2) -> RenderableType:
    from rich.padding import Padding

    return Padding(renderable, (0, 0, 0, columns), expand=False)
