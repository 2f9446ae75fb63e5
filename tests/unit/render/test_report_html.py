"""A report as HTML: well-formed, complete, escaped, and readable on any background."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from inspect_autograd.diagnosis.report import Report

from .reports import NASTY, OTHER, UNKNOWN, diagnosis, report

VOID = {"br"}


class Page(HTMLParser):
    """Collects the text and the tags, and checks that these are closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_everything_is_said() -> None:
    page = Page(report(diagnosis(), OTHER).to_html())
    for words in (
        "loss (f32[]) carries no graph: detach cut it.",
        "model.py:3 in Net.forward",
        "y = y.detach()",
        "RuntimeError: element 0 of tensors does not require grad",
        "Second paragraph.",
        "there are 3 parameters",
        "Or start from another tensor.",
        "docs/rules/no-graph.md",
        "It may be something else.",
        "Why not?",
    ):
        assert words in page.text
    assert "details" in page.tags


def test_what_comes_from_the_program_is_escaped() -> None:
    source = NASTY.to_html()
    page = Page(source)
    assert page.tags <= {"br", "code", "div", "li", "ol", "p", "pre", "span", "ul"}
    assert "<script>alert(1)</script> & <i>" in page.text
    source.encode()


def test_nothing_is_loaded_and_nothing_runs() -> None:
    source = report(diagnosis(), OTHER).to_html()
    assert not re.search(r"https?:|src=|<script|<style|<link|url\(|\son\w+=", source)


def test_no_color_is_set_for_text_without_a_background() -> None:
    """So the page's own colours stay, light or dark."""
    styles = re.findall(r'style="([^"]*)"', report(diagnosis(), OTHER).to_html())
    colors = {
        declaration.strip()
        for style in styles
        for declaration in style.split(";")
        if "color" in declaration or "background" in declaration
    }
    assert colors == {"background: rgba(127, 127, 127, 0.15)", "color: inherit"}


def test_a_notebook_shows_it() -> None:
    assert report(diagnosis())._repr_html_() == report(diagnosis()).to_html()


def test_without_a_diagnosis() -> None:
    assert "not one that inspect_autograd knows" in Page(UNKNOWN.to_html()).text
    assert Page(Report(()).to_html()).text == "Nothing wrong was found."
