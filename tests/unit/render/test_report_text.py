"""A report as text: what stands where, what is shown once, and that it is bounded."""

from __future__ import annotations

import linecache
from dataclasses import replace
from pathlib import Path

import pytest

from inspect_autograd.diagnosis.records import Evidence, Failure, Hint
from inspect_autograd.diagnosis.report import Report
from inspect_autograd.graph.creation import SourceLine

from .reports import NASTY, OTHER, RAISED, UNKNOWN, diagnosis, report

WHOLE = """\
loss (f32[]) carries no graph: `detach` cut it.

  cause    model.py:3 in Net.forward
               y = y.detach()
  raised   train.py:12 in step
               loss.backward()
  PyTorch  RuntimeError: element 0 of tensors does not require grad

Why
  A loss without a graph has nowhere to go. That is why.

  Second paragraph.

What was found
  - y was detached (model.py:3)
  - y is made by a layer
      model.py:2  y = self.layer(x)
  - there are 3 parameters

What to do
  1. Leave out detach.
         y = self.layer(x)
  2. Or start from another tensor.

[no-graph] docs/rules/no-graph.md"""


def test_a_diagnosis_in_full() -> None:
    assert str(report(diagnosis())) == WHOLE


def test_what_is_missing_leaves_no_gap() -> None:
    bare = diagnosis(explanation="", evidence=(), hints=(), source=None)
    text = str(Report((bare,)))
    assert text == f"{bare.summary}\n\n[no-graph] docs/rules/no-graph.md"


def test_the_line_that_raised_stands_once_if_it_is_the_cause() -> None:
    text = str(report(diagnosis(source=replace(RAISED, function="another"))))
    assert "cause" not in text
    assert text.count("loss.backward()") == 1


@pytest.mark.parametrize(
    ("certainty", "words"),
    [("certain", None), ("likely", "Likely, not certain"), ("possible", "Possible only")],
)
def test_how_certain_it_is(certainty: str, words: str | None) -> None:
    third = str(report(diagnosis(certainty=certainty))).split("\n\n")[2]
    assert third.startswith(words or "Why")


def test_further_diagnoses_are_short() -> None:
    likely = diagnosis(slug="second", summary="Second.", certainty="likely")
    lines = str(report(diagnosis(), likely, OTHER)).splitlines()
    assert lines[: len(WHOLE.splitlines())] == WHOLE.splitlines()
    assert lines[len(WHOLE.splitlines()) :] == [
        "",
        "Also found (2 more):",
        "  - Second. [second, likely]",
        "      model.py:3 in Net.forward  y = y.detach()",
        "    → Leave out detach.",
        "          y = self.layer(x)",
        "  - It may be something else. [other-thing, possible]",
    ]
    full = report(diagnosis(), likely, OTHER).to_text(full=True)
    assert full.count("What to do") == 2
    assert full.endswith("[other-thing] docs/rules/other-thing.md")


def test_an_unknown_failure_is_said_to_be_unknown() -> None:
    assert str(UNKNOWN).splitlines() == [
        "This failure is not one that inspect_autograd knows.",
        "",
        "  raised   train.py:12 in step",
        "               loss.backward()",
        "  error    RuntimeError: element 0 of tensors does not require grad",
        "",
        "What was found",
        "  - `loss.backward()` was running (train.py:12)",
        "",
        "What to do",
        "  → To learn which lines made the graph, run the failing step inside a recording, and",
        "    explain the error again.",
        "         with inspect_autograd.record():",
        "             ...",
    ]


def test_a_recording_is_only_proposed_where_it_could_help() -> None:
    assert "What to do" not in str(report())


def test_nothing_was_found() -> None:
    assert str(Report(())) == "Nothing wrong was found."
    assert str(Report((), facts=(Evidence("a and b are tied"),))).splitlines() == [
        "Nothing wrong was found.",
        "",
        "Also noted:",
        "  - a and b are tied",
    ]


def test_much_evidence_is_counted() -> None:
    facts = tuple(Evidence(f"fact {i}") for i in range(20))
    short, full = (report(diagnosis(evidence=facts)).to_text(full=f) for f in (False, True))
    assert "fact 7" in short
    assert "fact 8" not in short
    assert "  - … and 12 more" in short
    assert "fact 19" in full
    assert "more" not in full


def test_one_more_piece_of_evidence_is_shown_rather_than_counted() -> None:
    facts = tuple(Evidence(f"fact {i}") for i in range(9))
    assert "fact 8" in str(report(diagnosis(evidence=facts)))


@pytest.mark.parametrize("width", [10, 40, 88, 100])
def test_lines_are_as_wide_as_asked_for(width: int) -> None:
    words = "word " * 80
    code = "x = " + "1 + " * 40 + "1"
    long = diagnosis(
        summary=words, explanation=words, evidence=(Evidence(words),), hints=(Hint(words, code),)
    )
    lines = report(long, long, failure=Failure("E", words, None)).to_text(width=width).splitlines()
    place = "model.py:3 in Net.forward  y = y.detach()"
    assert {line.strip() for line in lines if len(line) > max(width, 40)} <= {code, place}


def test_a_long_message_loses_its_end() -> None:
    failure = Failure("RuntimeError", "first. " + "and more " * 100, None)
    text = str(Report((), failure))
    assert "RuntimeError: first. and more" in " ".join(text.split())
    assert text.count("and more") < 30
    assert text.endswith(" …")


def test_no_character_of_the_program_gets_to_the_terminal() -> None:
    text = NASTY.to_text(full=True)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "x␛[31m" in text
    assert "\\u202e" in text
    text.encode()


def test_code_comes_from_the_file_where_no_traceback_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "src" / "net.py"
    path.parent.mkdir()
    path.write_text("a = 1\n    b = 2\n", encoding="utf-8")
    linecache.checkcache()
    text = str(report(diagnosis(source=SourceLine(str(path), 2, "<module>"))))
    assert f"  cause    {Path('src') / 'net.py'}:2\n               b = 2\n" in text


def test_a_file_elsewhere_has_its_whole_path(tmp_path: Path) -> None:
    text = str(report(diagnosis(source=SourceLine(str(tmp_path / "gone.py"), 9, "f"))))
    assert f"  cause    {tmp_path / 'gone.py'}:9 in f\n  raised" in text


# -- notes -------------------------------------------------------------------------------------


def test_a_note() -> None:
    assert report(diagnosis(), OTHER).to_note().splitlines() == [
        "inspect_autograd: loss (f32[]) carries no graph: `detach` cut it.",
        "  cause: model.py:3 in Net.forward  y = y.detach()",
        "  why: A loss without a graph has nowhere to go.",
        "  fix: Leave out detach.",
        "       y = self.layer(x)",
        "  [no-graph], and 1 more in inspect_autograd.explain(error)",
    ]


def test_a_note_has_at_most_12_lines_and_ends_with_the_slug() -> None:
    words = "Words and words " * 60
    lines = (
        report(
            diagnosis(
                summary=words,
                explanation=words,
                certainty="likely",
                hints=(Hint(words, "\n".join("abcdefgh")),),
            )
        )
        .to_note()
        .splitlines()
    )
    assert len(lines) == 12
    assert lines[-1] == "  [no-graph], more in inspect_autograd.explain(error)"
    assert [line.strip() for line in lines[-4:-1]] == ["a", "b", "c …"]


def test_a_note_of_an_unknown_failure_says_so() -> None:
    assert UNKNOWN.to_note().splitlines()[:2] == [
        "inspect_autograd: This failure is not one that inspect_autograd knows.",
        "  found: `loss.backward()` was running",
    ]
