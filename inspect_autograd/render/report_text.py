"""A Report as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap

from ..diagnosis.report import Report
from .report_view import Fact, Finding, Place, page_of, view_report

__all__ = ["WIDTH", "render_note", "render_report"]

WIDTH = 88
NARROWEST = 40
MAX_NOTE_CODE_LINES = 3
LABEL = 8
"""Columns for `cause`, `raised` and `PyTorch`."""
SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z])")


def render_report(report: Report, *, width: int = WIDTH, full: bool = False) -> str:
    """What `print(report)` shows; the first lines answer.

    Args:
        report: The report.
        width: Longest line, in columns; code is never broken, so that it can be pasted.
        full: Whether further diagnoses are shown in full too, and with all evidence.
    """
    width = max(width, NARROWEST)
    view = view_report(report, full=full)
    blocks = [block for finding in view.findings for block in _finding(finding, width)]
    if view.others:
        lines = [line for finding in view.others for line in _short(finding, width)]
        blocks.append([f"{view.others_title}:", *lines])
    if view.notes:
        blocks.append(["Also noted:", *(x for fact in view.notes for x in _fact(fact, width))])
    return "\n\n".join("\n".join(block) for block in blocks)


def _finding(finding: Finding, width: int) -> Iterator[list[str]]:
    """The parts of one diagnosis, which empty lines separate."""
    yield _wrap(finding.summary, width)
    where = [line for place in finding.places for line in _place(place)]
    if finding.message:
        where += _labelled(finding.speaker, finding.message, width)
    if where:
        yield where
    if finding.certainty:
        yield _wrap(finding.certainty, width)
    for i, paragraph in enumerate(finding.paragraphs):
        yield [*([] if i else ["Why"]), *_wrap(paragraph, width, "  ")]
    if finding.facts:
        more = [f"  - … and {finding.more_facts} more"] if finding.more_facts else []
        yield ["What was found", *(x for fact in finding.facts for x in _fact(fact, width)), *more]
    if finding.steps:
        yield ["What to do", *_steps(finding, width)]
    if finding.slug:
        yield [f"[{finding.slug}] {page_of(finding.slug)}"]


def _short(finding: Finding, width: int) -> Iterator[str]:
    """Another diagnosis: its summary, line, first hint and slug."""
    yield from _wrap(f"{finding.summary} [{finding.label}]", width, "  - ")
    if finding.places and finding.places[0].label == "cause":
        place = finding.places[0]
        yield f"      {place.where}  {place.code}".rstrip()
    if finding.steps:
        yield from _wrap(finding.steps[0].text, width, "    → ")
        yield from (f"          {line}".rstrip() for line in finding.steps[0].code)


def _place(place: Place) -> list[str]:
    lines = [f"  {place.label:{LABEL}} {place.where}"]
    if place.code:
        lines.append(f"  {'':{LABEL}}     {place.code}")
    return lines


def _labelled(label: str, text: str, width: int) -> list[str]:
    return _wrap(text, width, f"  {label:{LABEL}} ")


def _fact(fact: Fact, width: int) -> list[str]:
    if fact.place is None:
        return _wrap(fact.text, width, "  - ")
    if not fact.place.code:
        return _wrap(f"{fact.text} ({fact.place.where})", width, "  - ")
    return [*_wrap(fact.text, width, "  - "), f"      {fact.place.where}  {fact.place.code}"]


def _steps(finding: Finding, width: int) -> Iterator[str]:
    is_choice = len(finding.steps) > 1
    for number, step in enumerate(finding.steps, 1):
        yield from _wrap(step.text, width, f"  {number}. " if is_choice else "  → ")
        yield from (f"         {line}".rstrip() for line in step.code)


def _wrap(text: str, width: int, first: str = "") -> list[str]:
    """Lines of a text; those after the first are indented as the text of the first is."""
    return wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


# -- a note ------------------------------------------------------------------------------------


def render_note(report: Report, *, width: int = WIDTH) -> str:
    """The report in a few lines, as a note at an exception, below whose traceback it stands.

    So it leaves out what the traceback says: the line that raised, and the message.
    """
    view = view_report(report)
    finding = view.findings[0]
    lines = _cut(_wrap(finding.summary, width, "inspect_autograd: "), 3)
    if finding.certainty:
        lines += _cut(_wrap(finding.certainty, width, "  "), 1)
    for place in finding.places:
        if place.label == "cause":
            lines.append(f"  cause: {place.where}  {place.code}".rstrip())
    if finding.paragraphs:
        first = SENTENCE_END.split(finding.paragraphs[0])[0]
        lines += _cut(_wrap(first, width, "  why: "), 2)
    elif finding.facts:
        lines += _cut(_wrap(finding.facts[0].text, width, "  found: "), 2)
    for step in finding.steps[:1]:
        lines += _cut(_wrap(step.text, width, "  fix: "), 1)
        lines += _cut([f"       {line}".rstrip() for line in step.code], MAX_NOTE_CODE_LINES)
    if finding.slug:
        more = f", and {len(view.others)} more in" if view.others else ", more in"
        lines.append(f"  [{finding.slug}]{more} inspect_autograd.explain(error)")
    return "\n".join(lines)


def _cut(lines: list[str], most: int) -> list[str]:
    """The first lines; that there are more is said."""
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]} …"]
