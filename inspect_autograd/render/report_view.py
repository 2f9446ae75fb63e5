"""What a report shows, in order, whatever it is shown as: text, HTML, colours in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..diagnosis.records import Certainty, Diagnosis, Evidence, Hint
from ..diagnosis.report import Report
from ..graph.creation import SourceLine
from .code_line import code_of, place_text
from .escape import shorten, visible

__all__ = ["Fact", "Finding", "Place", "ReportView", "Step", "one_line", "page_of", "view_report"]

MAX_FACTS = 8
"""Of one diagnosis; what to do should still be on the first screen."""
MAX_MESSAGE_CHARS = 180
MAX_CODE_CHARS = 100
CERTAINTY: dict[Certainty, str] = {
    "certain": "",
    "likely": "Likely, not certain: this fits best what was found.",
    "possible": "Possible only: what was found does not tell this cause from others.",
}
UNKNOWN = "This failure is not one that inspect_autograd knows."
NOTHING = "Nothing wrong was found."
RECORD = Hint(
    "To learn which lines made the graph, run the failing step inside a recording, and explain "
    "the error again.",
    "with inspect_autograd.record():\n    ...",
)


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the program.

    Attributes:
        label: What it is: `cause` or `raised`; empty where it stands at a fact.
        where: `train.py:12`, with the function if there is one.
        code: The line; empty if it cannot be read, or was shown already.
    """

    label: str
    where: str
    code: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One piece of evidence; `place` is None where it has no line, or its text names it."""

    text: str
    place: Place | None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a text, and the lines of code to paste."""

    text: str
    code: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnosis, or what stands in its place where there is none.

    Attributes:
        summary: The answer in one sentence.
        certainty: A sentence; empty where it is certain.
        places: The line to change, and the one that raised.
        message: What PyTorch said, with the type of the exception; empty without a failure.
        paragraphs: Why.
        facts: The evidence.
        more_facts: How many more there are.
        steps: What to do.
        slug: Empty where there is no diagnosis.
        label: The slug, with how certain it is in one word, unless it is certain.
    """

    summary: str
    certainty: str = ""
    places: tuple[Place, ...] = ()
    message: str = ""
    paragraphs: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    more_facts: int = 0
    steps: tuple[Step, ...] = ()
    slug: str = ""
    label: str = ""

    @property
    def speaker(self) -> str:
        """Whose words `message` are: of a failure that is not known, maybe not PyTorch's."""
        return "PyTorch" if self.slug else "error"


@dataclass(frozen=True, slots=True)
class ReportView:
    """All that is shown.

    Attributes:
        findings: In full; at least one.
        others_title: Stands above `others`.
        others: The further diagnoses, to be shown in short.
        notes: Facts about the report as a whole.
    """

    findings: tuple[Finding, ...]
    others_title: str = ""
    others: tuple[Finding, ...] = ()
    notes: tuple[Fact, ...] = ()


def view_report(report: Report, *, full: bool = False) -> ReportView:
    """What is shown of a report.

    Args:
        report: The report.
        full: Whether every diagnosis is shown in full, and with all its evidence.
    """
    if not report.diagnoses:
        return _without_diagnosis(report)
    count = len(report.diagnoses) if full else 1
    found = [
        _finding(diagnosis, report, limit=None if full else MAX_FACTS)
        for diagnosis in report.diagnoses
    ]
    title = "" if count == len(found) else f"Also found ({len(found) - count} more)"
    return ReportView(
        tuple(found[:count]), title, tuple(found[count:]), tuple(_facts(report.facts, report, ()))
    )


def page_of(slug: str) -> str:
    """Where the documentation of a diagnosis is."""
    return f"docs/rules/{slug}.md"


def one_line(text: str) -> str:
    """A text in which every character can be seen, with single spaces."""
    return visible(" ".join(text.split()))


def _without_diagnosis(report: Report) -> ReportView:
    raised = _raised(report)
    facts = tuple(_facts(report.facts, report, () if raised is None else (raised,)))
    if report.failure is None:
        return ReportView((Finding(NOTHING),), notes=facts)
    scene = report.scene
    is_backward = scene is not None and scene.call is not None and scene.recording is None
    finding = Finding(
        UNKNOWN,
        places=_places(None, report),
        message=_message(report),
        facts=facts,
        steps=(_step(RECORD),) if is_backward else (),
    )
    return ReportView((finding,))


def _finding(diagnosis: Diagnosis, report: Report, *, limit: int | None) -> Finding:
    places = _places(diagnosis.source, report)
    shown = [s for s in (diagnosis.source, _raised(report)) if s is not None]
    facts = tuple(_facts(diagnosis.evidence, report, shown))
    kept = facts if limit is None or len(facts) <= limit + 1 else facts[:limit]
    slug = visible(diagnosis.slug)
    paragraphs = (one_line(part) for part in diagnosis.explanation.split("\n\n"))
    return Finding(
        one_line(diagnosis.summary),
        CERTAINTY[diagnosis.certainty],
        places,
        _message(report),
        tuple(filter(None, paragraphs)),
        kept,
        len(facts) - len(kept),
        tuple(map(_step, diagnosis.hints)),
        slug,
        slug if diagnosis.certainty == "certain" else f"{slug}, {diagnosis.certainty}",
    )


def _raised(report: Report) -> SourceLine | None:
    return None if report.failure is None else report.failure.source


def _places(cause: SourceLine | None, report: Report) -> tuple[Place, ...]:
    raised = _raised(report)
    if (
        cause is not None
        and raised is not None
        and (cause.file, cause.line)
        == (
            raised.file,
            raised.line,
        )
    ):
        cause = None
    labelled = (("cause", cause), ("raised", raised))
    return tuple(_place(label, source, report) for label, source in labelled if source is not None)


def _place(label: str, source: SourceLine, report: Report) -> Place:
    function = source.function if source.function not in ("", "<module>") else ""
    where = f"{place_text(source)}{f' in {visible(function)}' if function else ''}"
    return Place(label, where, shorten(code_of(source, report), MAX_CODE_CHARS))


def _facts(
    evidence: Iterable[Evidence], report: Report, shown: Sequence[SourceLine]
) -> Iterable[Fact]:
    """The facts; a line is shown with its folders and its code once only."""
    seen = {(source.file, source.line) for source in shown}
    for item in evidence:
        text, source, place = one_line(item.text), item.source, None
        if source is not None and (source.file, source.line) not in seen:
            code = shorten(code_of(source, report), MAX_CODE_CHARS)
            place = Place("", place_text(source), code)
            seen.add((source.file, source.line))
        elif source is not None and source.short not in text:
            place = Place("", visible(source.short), "")
        yield Fact(text, place)


def _step(hint: Hint) -> Step:
    lines = tuple(visible(line.expandtabs(4)) for line in hint.code.strip("\n").splitlines())
    return Step(one_line(hint.text), lines)


def _message(report: Report) -> str:
    failure = report.failure
    if failure is None:
        return ""
    return one_line(f"{failure.type}: {_cut(' '.join(failure.message.split()))}")


def _cut(message: str) -> str:
    """Its beginning; PyTorch's own hints, which come later, are what the report replaces."""
    if len(message) <= MAX_MESSAGE_CHARS:
        return message
    return message[: MAX_MESSAGE_CHARS - 1].rsplit(" ", 1)[0] + " …"
