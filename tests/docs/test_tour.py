"""The tour: its chapters lead on to each other, its figures and its notebook are those of today."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest

ROOT = Path(__file__).parents[2]
TOUR = ROOT / "docs" / "tour"
FIGURES = ROOT / "docs" / "images" / "tour"
SCRIPTS = sorted((ROOT / "scripts").glob("build_tour_*_figures.py"))
CHAPTERS = sorted(TOUR.glob("[0-9]*.md"))

IMAGE = re.compile(r"!\[([^\]]*)\]\(\.\./images/tour/([\w]+\.svg)\)")
PINNED = re.compile(r"^matplotlib==(.+)$", re.MULTILINE)


def run(script: Path, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", script, "--out", folder],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The figures, drawn anew."""
    folder = tmp_path_factory.mktemp("figures")
    for script in SCRIPTS:
        run(script, folder)
    return folder / "tour"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook, made from the pages and run anew."""
    folder = tmp_path_factory.mktemp("notebook")
    run(ROOT / "scripts" / "build_tour_notebook.py", folder)
    return folder / "tour.ipynb"


def test_the_index_lists_all_chapters_by_their_titles() -> None:
    titles = [(read(page).splitlines()[0].removeprefix("# "), page.name) for page in CHAPTERS]
    assert re.findall(r"^\| \[(.+?)\]\((.+?)\) \|", read(TOUR / "index.md"), re.M) == titles
    assert [int(title.partition(".")[0]) for title, _ in titles] == [*range(1, len(titles) + 1)]


def test_each_chapter_ends_with_the_way_to_the_next() -> None:
    titles = [read(page).splitlines()[0].removeprefix("# ") for page in CHAPTERS]
    for page, following, title in zip(CHAPTERS, CHAPTERS[1:], titles[1:], strict=False):
        assert read(page).splitlines()[-1] == f"Next: [{title}]({following.name})"
    assert read(CHAPTERS[-1]).splitlines()[-1] == "Back to [the beginning](index.md)"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_shows_output_and_says_what_to_try(page: Path) -> None:
    text = read(page)
    assert "\n>>> " in text
    assert "\n## Try next\n" in text


def test_the_figures_are_those_that_the_scripts_draw(drawn: Path) -> None:
    assert sorted(path.name for path in FIGURES.iterdir()) == sorted(
        p.name for p in drawn.iterdir()
    )


def test_every_figure_is_shown_and_described() -> None:
    shown = [match for page in CHAPTERS for match in IMAGE.findall(read(page))]
    assert sorted(name for _, name in shown) == sorted(path.name for path in FIGURES.iterdir())
    assert [name for description, name in shown if len(description) < 20] == []


def test_charts_have_not_changed(drawn: Path) -> None:
    pinned = PINNED.search(read(ROOT / "scripts" / "constraints.txt"))
    assert pinned is not None
    if mpl.__version__ != pinned[1]:
        pytest.skip(f"other versions than matplotlib {pinned[1]} draw other lines")
    charts = [path for path in drawn.iterdir() if "Matplotlib" in read(path)]
    assert len(charts) >= 10
    assert [path.name for path in charts if read(path) != read(FIGURES / path.name)] == []


def texts_of(picture: Path) -> list[str]:
    """What stands in a picture of a graph; where it stands is up to Graphviz."""
    return sorted(re.findall(r"<text[^>]*>([^<]*)</text>", read(picture)))


def test_graphs_have_not_changed(drawn: Path) -> None:
    graphs = [path for path in drawn.iterdir() if "Matplotlib" not in read(path)]
    assert len(graphs) >= 9
    assert [p.name for p in graphs if texts_of(p) != texts_of(FIGURES / p.name)] == []


def test_the_chart_of_weights_shows_the_numbers_worked_out_by_hand() -> None:
    # Letters are drawn as outlines; matplotlib names each text in a comment.
    numbers = re.findall(r"<!-- (\d+) -->", read(FIGURES / "weights.svg"))
    # 1·(0, 2, 4, 6) + 10·(1, 1, 1, 1) + 2·(3, 0, 0, 0)
    assert numbers[-4:] == ["16", "12", "14", "16"]


def test_the_chart_of_hooks_shows_the_order_that_the_page_prints() -> None:
    labels = re.findall(
        r"<!-- (hook|prehook|\w+_hook|x\.grad|3 \* \w+) -->", read(FIGURES / "hooks.svg")
    )
    multiplication = ["hook", "prehook", "3 * gradient", "hook"]
    accumulation = ["hook", "prehook", "x.grad", "accumulate_grad_hook", "hook"]
    assert labels == multiplication + accumulation


def cells_of(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(read(path))["cells"]
    return cells


def test_the_notebook_is_what_the_pages_give_when_they_are_run(notebook: Path) -> None:
    for made, stored in zip(cells_of(notebook), cells_of(TOUR / "tour.ipynb"), strict=True):
        assert made == stored


def test_the_notebook_holds_outputs_and_no_error() -> None:
    text = read(TOUR / "tour.ipynb")
    outputs = [
        output for cell in cells_of(TOUR / "tour.ipynb") for output in cell.get("outputs", [])
    ]
    assert len(outputs) > 80
    assert {output["output_type"] for output in outputs} == {"stream", "execute_result"}
    assert "tensor([ 0.,  4.,  8., 12.])" in text
    assert not re.search(r"0x[0-9a-f]{4}|ipykernel_|/tmp", text)
