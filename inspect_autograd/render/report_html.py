"""A Report as a fragment of HTML that can stand in any page, light or dark."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from ..diagnosis.report import Report
from .report_view import Fact, Finding, Place, page_of, view_report

__all__ = ["render_report_html"]

# Everything is styled in place: notebooks strip <style> from output that they do not trust. All
# colours are those of the page, or tones that can be read on white and on black.
_BOX = "border-left: 4px solid #d9730d; padding: 0.2em 0 0.2em 1em; max-width: 60em"
_QUIET = "opacity: 0.75"
_HEADING = "font-weight: 600; margin: 0.8em 0 0.2em"
_CODE = (
    "background: rgba(127, 127, 127, 0.15); color: inherit; border-radius: 4px; "
    "padding: 0.4em 0.7em; margin: 0.3em 0; overflow-x: auto; font-family: monospace"
)
_INLINE = (
    "background: rgba(127, 127, 127, 0.15); color: inherit; border-radius: 3px; "
    "padding: 0 0.25em; font-family: monospace"
)
_LIST = "margin: 0.2em 0; padding-left: 1.5em"
_BACKTICKS = re.compile(r"`([^`]+)`")


def render_report_html(report: Report) -> str:
    """What a notebook shows; further diagnoses can be opened.

    Needs no script, no style sheet and no other file; whatever comes from the program is escaped.
    """
    view = view_report(report, full=True)
    first, *others = view.findings
    parts = [_finding(first)]
    for finding in others:
        label = f'<span style="{_QUIET}">[{_escape(finding.label)}]</span>'
        title = f"{_text(finding.summary)} {label}"
        summary = f'<summary style="cursor: pointer">{title}</summary>'
        parts.append(f'<details style="margin: 0.8em 0">{summary}{_body(finding)}</details>')
    if view.notes:
        parts += [_heading("Also noted"), _facts(view.notes, 0)]
    return f'<div class="inspect-autograd-report" style="{_BOX}">{"".join(parts)}</div>'


def _finding(finding: Finding) -> str:
    summary = f'<div style="font-weight: 600">{_text(finding.summary)}</div>'
    return summary + _body(finding)


def _body(finding: Finding) -> str:
    parts = [_places(finding)]
    if finding.certainty:
        parts.append(f'<div style="font-style: italic">{_text(finding.certainty)}</div>')
    if finding.paragraphs:
        parts.append(_heading("Why"))
        parts += [f'<p style="margin: 0.3em 0">{_text(p)}</p>' for p in finding.paragraphs]
    if finding.facts:
        parts += [_heading("What was found"), _facts(finding.facts, finding.more_facts)]
    if finding.steps:
        steps = (f"<li>{_text(step.text)}{_block(step.code)}</li>" for step in finding.steps)
        parts += [_heading("What to do"), f'<ol style="{_LIST}">{"".join(steps)}</ol>']
    if finding.slug:
        slug, page = html.escape(finding.slug), html.escape(page_of(finding.slug))
        parts.append(f'<div style="{_QUIET}; margin-top: 0.8em">[{slug}] {page}</div>')
    return "".join(parts)


def _places(finding: Finding) -> str:
    rows = [(place.label, _place(place)) for place in finding.places]
    if finding.message:
        rows.append((finding.speaker, _escape(finding.message)))
    cells = "".join(
        f'<div style="margin: 0.3em 0"><span style="{_QUIET}">{label}</span> {content}</div>'
        for label, content in rows
    )
    return cells


def _place(place: Place) -> str:
    return f"<code>{_escape(place.where)}</code>{_block((place.code,) if place.code else ())}"


def _facts(facts: Iterable[Fact], more: int) -> str:
    items = [f"<li>{_fact(fact)}</li>" for fact in facts]
    if more:
        items.append(f"<li>… and {more} more</li>")
    return f'<ul style="{_LIST}">{"".join(items)}</ul>'


def _fact(fact: Fact) -> str:
    if fact.place is None:
        return _text(fact.text)
    code = f'<br><code style="{_INLINE}">{_escape(fact.place.code)}</code>'
    where = f'<span style="{_QUIET}">({_escape(fact.place.where)})</span>'
    return f"{_text(fact.text)} {where}{code if fact.place.code else ''}"


def _heading(text: str) -> str:
    return f'<div style="{_HEADING}">{text}</div>'


def _block(lines: Iterable[str]) -> str:
    code = "\n".join(_escape(line) for line in lines)
    return f'<pre style="{_CODE}">{code}</pre>' if code else ""


def _escape(text: str) -> str:
    return html.escape(text)


def _text(text: str) -> str:
    """A sentence; what stands between backticks is code."""
    return _BACKTICKS.sub(rf'<code style="{_INLINE}">\1</code>', _escape(text))
