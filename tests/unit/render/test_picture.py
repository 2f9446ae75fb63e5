"""Graph.render, and what a notebook shows."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inspect_autograd.errors import ArgumentError, ArgumentTypeError, LayoutTimeoutError
from inspect_autograd.render import notebook
from tests.unit.render.graphs import boxes, chain, layers, parse_svg, product, texts

SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<?xml", "dot": b"digraph {"}


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    ("suffix", "beginning"),
    [
        (".png", SIGNATURES["png"]),
        (".PNG", SIGNATURES["png"]),
        (".svg", SIGNATURES["svg"]),
        (".pdf", SIGNATURES["pdf"]),
        (".dot", SIGNATURES["dot"]),
        (".gv", SIGNATURES["dot"]),
        (".txt", b"4 nodes, 3 edges"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_the_suffix_chooses_the_format(
    suffix: str, beginning: bytes, kind: Callable[[Path], Any], tmp_path: Path
) -> None:
    path = tmp_path / f"graph{suffix}"
    assert product().render(kind(path)) == path
    assert path.read_bytes().startswith(beginning)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "empty"] == [path.name]


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("suffix", [".svg", ".dot", ".txt", ".pdf", ".png"])
def test_the_same_graph_gives_the_same_file(suffix: str, tmp_path: Path) -> None:
    first = layers(3).render(tmp_path / f"a{suffix}").read_bytes()
    second = layers(3).render(tmp_path / f"b{suffix}").read_bytes()
    assert first == second


@pytest.mark.usefixtures("no_dot")
def test_options_reach_the_picture(tmp_path: Path) -> None:
    path = layers(100).render(tmp_path / "a.svg", view="scope", title="A & B")
    shown = texts(parse_svg(path.read_bytes()))
    assert "A & B" in shown
    assert any(text.startswith("402 nodes shown as ") for text in shown)
    named = [text[0] for text in boxes(parse_svg(path.read_bytes())).values()]
    assert [name for name in named if name.startswith("layers.")] == [
        f"layers.{i}" for i in reversed(range(100))
    ]


def test_the_direction_is_one_of_two(tmp_path: Path) -> None:
    down = product().render(tmp_path / "a.dot").read_text(encoding="utf-8")
    right = product().render(tmp_path / "b.dot", direction="right").read_text(encoding="utf-8")
    assert right == down.replace('rankdir="TB"', 'rankdir="LR"')
    assert right != down
    wrong: Any = "left"
    with pytest.raises(ArgumentError, match="direction is 'left'; expected 'down' or 'right'"):
        product().render(tmp_path / "c.dot", direction=wrong)
    assert not (tmp_path / "c.dot").exists()


def test_text_is_folded_like_a_picture(tmp_path: Path) -> None:
    text = chain(1000).render(tmp_path / "a.txt", title="Deep").read_text(encoding="utf-8")
    assert text.startswith("Deep\n\n2 nodes")
    assert "1001 nodes shown as 2 boxes" in text
    full = chain(1000).render(tmp_path / "b.txt", view="full").read_text(encoding="utf-8")
    assert full.count("MulBackward0  f32[4]") == 1000


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("graph", "which has no suffix; expected one of .png, .svg, .pdf, .dot, .gv, .txt"),
        ("graph.jpeg", "which has the suffix '.jpeg'"),
        ("graph.", "expected one of"),
        ("", "which has no suffix"),
        ("missing/graph.png", "does not exist"),
        ("folder.png", "which is a folder"),
    ],
)
def test_a_path_that_cannot_be_used_is_explained(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ArgumentError) as caught:
        product().render(name)
    assert words in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("path", [None, 3, b"graph.png", ["graph.png"]])
def test_a_path_of_the_wrong_type_is_explained(path: Any) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a string or a Path"):
        product().render(path)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
def test_a_timeout_has_to_be_a_time(timeout: float, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="timeout is"):
        product().render(tmp_path / "a.svg", timeout=timeout)


@pytest.mark.parametrize("timeout", [None, "30", True])
def test_a_timeout_has_to_be_a_number(timeout: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError, match="timeout is"):
        product().render(tmp_path / "a.svg", timeout=timeout)


def test_a_title_has_to_be_text(tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError, match="title is 3 of type int"):
        product().render(tmp_path / "a.svg", title=3)  # type: ignore[arg-type]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_explained(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ArgumentError, match="cannot be written"):
        product().render(tmp_path / "a.dot")


def test_a_failure_leaves_the_old_file_as_it_was(
    fake_dot: Callable[[str], Path], tmp_path: Path
) -> None:
    fake_dot("import time; time.sleep(20)")
    path = tmp_path / "a.svg"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(LayoutTimeoutError):
        product().render(path, timeout=0.3)
    assert path.read_text(encoding="utf-8") == "old"
    assert not [*tmp_path.glob("*.part")]


@pytest.mark.usefixtures("no_dot")
def test_a_png_that_cannot_be_read_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspect_autograd.render.layout.MAX_SIDE", 500)
    with pytest.warns(UserWarning, match=r"a\.png would be too large .* dots per inch"):
        chain(80).render(tmp_path / "a.png")
    height = int.from_bytes((tmp_path / "a.png").read_bytes()[20:24])
    assert 400 < height <= 500


@pytest.mark.usefixtures("no_dot")
def test_a_notebook_shows_the_picture() -> None:
    svg = product()._repr_svg_()
    assert svg is not None
    assert svg.startswith('<svg style="max-width: 100%; height: auto" ')
    assert boxes(parse_svg(svg))["n2"] == ["w", "f32[4]"]


def test_a_notebook_shows_the_text_if_there_is_no_picture(
    fake_dot: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot("import time; time.sleep(20)")
    monkeypatch.setattr(notebook, "TIMEOUT", 0.3)
    # Warnings are errors in this test run, which must not reach the notebook either.
    assert product()._repr_svg_() is None
    with pytest.warns(UserWarning, match="no picture of the graph: the layout of 4 boxes"):
        assert product()._repr_svg_() is None


class Printer:
    """What IPython hands to `_repr_pretty_`."""

    def __init__(self) -> None:
        self.printed = ""

    def text(self, text: str) -> None:
        self.printed += text


def test_ipython_shows_the_overview() -> None:
    printer = Printer()
    product()._repr_pretty_(printer, cycle=False)
    assert printer.printed == str(product())
