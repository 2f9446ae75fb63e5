"""The tour in Chinese: its chapters are those of the tour, and it is written as Chinese is."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TOUR = DOCS / "tour-zh"
FIGURES = DOCS / "images" / "tour"
CHAPTERS = sorted(TOUR.glob("[0-9]*.md"))
PAGES = [*CHAPTERS, TOUR / "index.md"]

IMAGE = re.compile(r"!\[([^\]]*)\]\(\.\./images/tour/([\w]+\.svg)\)")
CHINESE = "[\u4e00-\u9fff]"
# GitHub takes a dollar for the start of a formula only behind a space or a few ASCII signs.
FORMULA = re.compile(r"(?P<before>[^\s(]?)\$[^$]+\$")
HALF_WIDTH = re.compile(rf"{CHINESE}[,;:?!]|{CHINESE}\.(?!\w)|[,;:?!]{CHINESE}|\({CHINESE}")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> Iterator[str]:
    """The lines outside of code and formulas that stand alone; code in a line is left out."""
    inside = False
    for line in read(page).splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield re.sub(r"`[^`]*`", "`", re.sub(r"\]\([^)]*\)", "]", line))


def title_of(page: Path) -> str:
    return read(page).splitlines()[0].removeprefix("# ")


def test_the_chapters_are_those_of_the_tour() -> None:
    assert [page.name for page in CHAPTERS] == sorted(
        page.name for page in (DOCS / "tour").glob("[0-9]*.md")
    )


def test_the_index_lists_all_chapters_by_their_titles() -> None:
    titles = [(title_of(page), page.name) for page in CHAPTERS]
    assert re.findall(r"^\| \[(.+?)\]\((.+?)\) \|", read(TOUR / "index.md"), re.M) == titles
    assert [int(title.partition(".")[0]) for title, _ in titles] == [*range(1, len(titles) + 1)]


def test_each_chapter_ends_with_the_way_to_the_next() -> None:
    for page, following in pairwise(CHAPTERS):
        last = f"下一章\uff1a[{title_of(following)}]({following.name})"
        assert read(page).splitlines()[-1] == last
    assert read(CHAPTERS[-1]).splitlines()[-1] == "回到[目录](index.md)"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda page: page.stem)
def test_a_chapter_shows_output_and_says_what_to_try(page: Path) -> None:
    assert "\n>>> " in read(page)
    assert "\n## 动手试试\n" in read(page)


def test_every_figure_of_the_tour_is_shown_and_described_in_chinese() -> None:
    shown = [match for page in CHAPTERS for match in IMAGE.findall(read(page))]
    assert sorted(name for _, name in shown) == sorted(path.name for path in FIGURES.iterdir())
    assert [name for text, name in shown if len(re.findall(CHINESE, text)) < 4] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_formula_in_a_line_has_a_space_before_it(page: Path) -> None:
    found = [formula for line in prose_of(page) for formula in FORMULA.finditer(line)]
    assert [formula[0] for formula in found if formula["before"]] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_punctuation_between_chinese_signs_is_full_width(page: Path) -> None:
    assert [found[0] for line in prose_of(page) for found in HALF_WIDTH.finditer(line)] == []
