"""`make docs` builds a site without warnings that is complete and needs no network."""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import inspect_autograd as ia
from extensions.contents import CONTENTS, MARKER
from extensions.reference import find_object
from inspect_autograd.cli.main import VERBS
from tests.docs.site_pages import find_broken, find_remote, read_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = re.compile(r"^```\{reference\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"^\$\$$|^```math$", re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does; a warning fails every test here."""
    folder = tmp_path_factory.mktemp("site").resolve()
    options = ["-qEW", "--keep-going", "-b", "html", "-d", str(folder / "cache")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(DOCS), str(folder / "html")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert (built.returncode, built.stdout.strip()) == (0, "")
    return folder / "html"


def pages_of(site: Path) -> list[Path]:
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


def documented_names() -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")]
    return [name for text in texts for block in REFERENCE.findall(text) for name in block.split()]


def test_every_page_is_there(site: Path) -> None:
    sources = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site).with_suffix("") for path in pages_of(site)}
    assert sources - built == set()
    assert len(sources) > 60


def test_the_landing_page_leads_to_every_other_page(site: Path) -> None:
    linked = {
        (site / link.partition("#")[0]).resolve() for link in read_page(site / "index.html").links
    }
    sources = {site / path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert sources - linked == {site / "index.html"}


def test_every_link_and_resource_leads_somewhere(site: Path) -> None:
    broken = {path.name: find_broken(site, path) for path in pages_of(site)}
    assert {name: targets for name, targets in broken.items() if targets} == {}


def test_nothing_is_loaded_from_another_machine(site: Path) -> None:
    files = [*pages_of(site), *site.rglob("*.css")]
    remote = {path.name: find_remote(path) for path in files}
    assert {name: targets for name, targets in remote.items() if targets} == {}
    assert any(read_page(path).loaded for path in pages_of(site))


def test_formulas_are_mathml(site: Path) -> None:
    with_formulas = [p for p in DOCS.rglob("*.md") if FORMULA.search(p.read_text(encoding="utf-8"))]
    assert with_formulas, "no page has a formula"
    for source in with_formulas:
        page = site / source.relative_to(DOCS).with_suffix(".html")
        assert read_page(page).elements.get("math", 0) > 0
        assert r"\frac" not in page.read_text(encoding="utf-8")


def test_pictures_are_there(site: Path) -> None:
    assert any("quadratic" in target for target in read_page(site / "index.html").loaded)


def test_every_public_name_is_in_the_reference_once() -> None:
    """A new name is to be listed in one of docs/reference/*.md."""
    names = documented_names()
    assert {name: names.count(name) for name in ia.__all__ if names.count(name) != 1} == {}
    assert len(names) == len({*names})


def test_every_listed_name_is_documented(site: Path) -> None:
    anchors = {a for page in (site / "reference").glob("*.html") for a in read_page(page).anchors}
    wanted = {
        f"module-inspect_autograd.{name}"
        if inspect.ismodule(find_object(name))
        else f"inspect_autograd.{name}"
        for name in documented_names()
    }
    assert wanted - anchors == set()


@pytest.mark.parametrize("name", ["Graph", "Trace", "Recording", "Stepper", "Report"])
def test_all_that_a_class_offers_is_documented(site: Path, name: str) -> None:
    documented = find_object(name)
    assert inspect.isclass(documented)
    offered = {
        f"inspect_autograd.{name}.{attribute}"
        for attribute, value in vars(documented).items()
        if not attribute.startswith("_")
        and (isinstance(value, property | classmethod | staticmethod) or inspect.isfunction(value))
    }
    anchors = {a for page in (site / "reference").glob("*.html") for a in read_page(page).anchors}
    assert offered
    assert offered - anchors == set()


def test_types_are_shown_by_their_names_and_lead_to_them(site: Path) -> None:
    text = (site / "reference" / "graphs.html").read_text(encoding="utf-8")
    assert ">inspect_autograd.graph." not in text
    assert re.search(r'href="#inspect_autograd\.SourceLine"[^>]*><em>SourceLine</em>', text)
    assert re.search(r"Return type<.*?#inspect_autograd\.Graph\"", text, re.DOTALL)


def test_a_class_is_shown_without_its_constructor_and_with_its_attributes(site: Path) -> None:
    text = (site / "reference" / "graphs.html").read_text(encoding="utf-8")
    heading = re.search(
        r'<dt class="sig[^>]*id="inspect_autograd\.Graph">(.*?)</dt>', text, re.DOTALL
    )
    assert heading is not None
    assert "node_table" not in heading[1]
    assert re.search(r"<strong>roots</strong> \(<em>tuple</em>", text)


def test_the_help_of_every_verb_is_shown(site: Path) -> None:
    text = (site / "reference" / "command-line.html").read_text(encoding="utf-8")
    shown = re.findall(r"usage: inspect-autograd ([a-z]+)", text)
    assert sorted(shown) == sorted(VERBS)
    assert {*VERBS} <= read_page(site / "reference" / "command-line.html").anchors


def test_the_landing_page_has_a_list_for_each_section() -> None:
    found = MARKER.finditer((DOCS / "index.md").read_text(encoding="utf-8"))
    assert [marker["section"] for marker in found] == [*CONTENTS]


def test_the_search_knows_names_and_words(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert '"gradient_flow"' in index
    assert json.dumps("中文") in index
    assert "function splitQuery" in (site / "_static" / "language_data.js").read_text("utf-8")
