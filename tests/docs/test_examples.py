"""Everything that the documentation shows as code or as a command does what it says."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest

from tests.docs.examples import DOCTEST_FLAGS, find_blocks, run_block

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "inspect_autograd").rglob("*.py"))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Classes defined in an example must find their module.
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in find_blocks(page.relative_to(ROOT), page.read_text(encoding="utf-8")):
        run_block(block, namespace)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(import_module(name), optionflags=DOCTEST_FLAGS).failed == 0
