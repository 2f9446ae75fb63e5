"""A report in a terminal: in colours where they can be shown, as plain text where not."""

from __future__ import annotations

import io
import re
import sys

import pytest
from rich.console import Console

from inspect_autograd.diagnosis.records import Evidence
from inspect_autograd.render.report_rich import render_report_for_terminal

from .reports import NASTY, OTHER, UNKNOWN, diagnosis, report

ESCAPE = re.compile(r"\x1b\[[\d;]*m")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_a_terminal_gets_colours_and_the_same_words() -> None:
    stream = Terminal()
    one = report(diagnosis(), OTHER, facts=(Evidence("a note"),))
    render_report_for_terminal(one, stream)
    printed = stream.getvalue()
    assert "\x1b[1m" in printed
    plain = ESCAPE.sub("", printed)
    for word in re.sub(r"[^\w.]+", " ", one.to_text()).split():
        assert word in plain


def test_code_stands_alone_on_its_line() -> None:
    stream = Terminal()
    render_report_for_terminal(report(diagnosis()), stream)
    lines = [line.strip() for line in ESCAPE.sub("", stream.getvalue()).splitlines()]
    assert "y = self.layer(x)" in lines
    assert "y = y.detach()" in lines


@pytest.mark.parametrize("one", [UNKNOWN, NASTY, report(diagnosis(certainty="likely"))])
def test_every_report_can_be_printed(one: object) -> None:
    stream = Terminal()
    render_report_for_terminal(one, stream)  # type: ignore[arg-type]
    plain = ESCAPE.sub("", stream.getvalue())
    assert all(character.isprintable() or character == "\n" for character in plain)


def test_anything_else_gets_plain_text() -> None:
    stream = io.StringIO()
    report(diagnosis()).print(stream)
    assert stream.getvalue() == f"{report(diagnosis())}\n"


def test_stdout_is_where_print_goes(capsys: pytest.CaptureFixture[str]) -> None:
    report(diagnosis()).print()
    assert capsys.readouterr().out == f"{report(diagnosis())}\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_stream_that_cannot_write_everything(is_terminal: bool) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    render_report_for_terminal(report(diagnosis(), diagnosis(slug="b", source=None)), stream)
    stream.flush()
    assert b"\\u2192 Leave out detach." in raw.getvalue()


def test_without_rich_it_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()
    render_report_for_terminal(report(diagnosis()), stream)
    assert stream.getvalue() == f"{report(diagnosis())}\n"


def test_rich_shows_it_by_itself() -> None:
    console = Console(file=io.StringIO(), width=100)
    console.print(report(diagnosis()))
    assert "What to do" in console.file.getvalue()  # type: ignore[attr-defined]
