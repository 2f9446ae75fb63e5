"""What our extensions of Sphinx do, piece by piece."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from docutils import nodes

from extensions.command_help import help_of
from extensions.contents import find_pages, toctree
from extensions.mathml import to_mathml
from extensions.reference import to_directive
from extensions.search_words import SearchWords, split_words
from tests.docs.site_pages import find_broken, find_remote

HERE = nodes.math()


def convert(latex: str, *, as_block: bool = False) -> str:
    return re.sub(r"\s+|<math [^>]*>|</math>", "", to_mathml(latex, HERE, as_block=as_block))


def test_a_formula_becomes_mathml() -> None:
    assert convert("x^2") == "<msup><mi>x</mi><mn>2</mn></msup>"
    assert 'display="block"' in to_mathml("x", HERE, as_block=True)
    assert 'display="block"' not in to_mathml("x", HERE, as_block=False)


def test_aligned_rows_become_a_table() -> None:
    found = convert(r"\begin{aligned} a &= b \\ c &= d \end{aligned}", as_block=True)
    assert (found.count("<mtr>"), found.count("<mtd>")) == (2, 4)


@pytest.mark.parametrize(
    ("latex", "same"),
    [
        (r"1, \dots, n", r"1, \ldots, n"),
        (r"\stackrel{a}{=}", r"\overset{a}{=}"),
        (r"\texttt{x}", r"\mathtt{x}"),
        (r"a \iff b", r"a \Longleftrightarrow b"),
    ],
)
def test_second_names_of_latex_are_known(latex: str, same: str) -> None:
    assert convert(latex) == convert(same)


def test_longer_commands_are_left_alone() -> None:
    assert convert(r"a \dotsb c") == "<mi>a</mi><mo>⋯</mo><mi>c</mi>"


def test_latex_that_is_not_known_is_shown_as_it_is() -> None:
    assert to_mathml(r"\nonsense < 1", HERE, as_block=False) == r"\nonsense &lt; 1"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a gradient_flow, f(x)", ["a", "gradient_flow", "f", "x"]),
        ("梯度", ["梯度"]),
        ("叶", ["叶"]),
        ("反向传播", ["反向", "向传", "传播"]),
        ("用backward()求梯度", ["用", "backward", "求梯", "梯度"]),
        ("naïve σ 2", ["naïve", "σ", "2"]),
    ],
)
def test_words_for_the_search(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the script")
def test_the_script_of_the_search_splits_words_alike() -> None:
    text = "用backward()求梯度, naïve σ_2 叶 反向传播"
    script = f"{SearchWords.js_splitter_code}\nconsole.log(JSON.stringify(splitQuery({text!r})))"
    printed = subprocess.check_output(["node", "-e", script], encoding="utf-8")
    assert json.loads(printed) == split_words(text)


def test_pages_are_found_by_pattern() -> None:
    pages = {"a", "b", "tour/02-b", "tour/01-a", "rules/index", "rules/x"}
    assert find_pages(["b", "a", "tour/*", "rules/*", "how-to/*"], pages) == [
        "b",
        "a",
        "tour/01-a",
        "tour/02-b",
        "rules/index",
    ]
    assert find_pages(["rules/*"], pages - {"rules/index"}) == ["rules/x"]


def test_a_page_that_no_pattern_names_is_found_too() -> None:
    pages = {"index", "tracing", "new", "also-new", "architecture", "tour/01"}
    assert find_pages(["tracing", "*"], pages) == ["tracing", "also-new", "new"]


def test_contents_are_written_as_a_directive() -> None:
    assert toctree(["a"], "hidden:") == "```{toctree}\n:hidden:\n\n/a\n```"


@pytest.mark.parametrize(
    ("name", "directive"),
    [
        ("capture", "autofunction:: inspect_autograd.capture"),
        ("Graph", "autoclass:: inspect_autograd.Graph"),
        ("edits", "automodule:: inspect_autograd.edits"),
        ("errors.ArgumentError", "autoclass:: inspect_autograd.errors.ArgumentError"),
        ("__version__", "autodata:: inspect_autograd.__version__"),
    ],
)
def test_each_kind_of_name_has_its_directive(name: str, directive: str) -> None:
    assert to_directive(name).splitlines()[0] == f".. {directive}"


def test_help_does_not_depend_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    narrow = help_of("render")
    monkeypatch.setenv("COLUMNS", "200")
    assert help_of("render") == narrow
    assert narrow.startswith("usage: inspect-autograd render")


def test_a_verb_that_is_none_has_no_help() -> None:
    with pytest.raises(
        ValueError, match="inspect-autograd nonsense --help ends with exit status 2"
    ):
        help_of("nonsense")


def test_broken_and_remote_targets_are_found(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<p id="there">')
    page = tmp_path / "a.html"
    page.write_text(
        '<a href="b.html#there"></a><a href="b.html#gone"></a><a href="c.html"></a>'
        '<a href="../a.html"></a><a href="https://example.org"></a><a href="#nowhere"></a>'
        '<script src="https://example.org/a.js"></script><img src="//example.org/b.png">'
        '<link rel="stylesheet" href="https://example.org/c.css"><link rel="next" href="https://x">'
        "<style>@import 'https://example.org/d.css'; p {background: url(e.png)}</style>"
    )
    local = [t for t in find_broken(tmp_path, page) if "example.org" not in t]
    assert local == ["b.html#gone", "c.html", "../a.html", "#nowhere", "e.png"]
    assert find_remote(page) == [
        "https://example.org/a.js",
        "//example.org/b.png",
        "https://example.org/c.css",
        "https://example.org/d.css",
    ]
