"""Make the notebook of the tour from its pages, and run it.

python scripts/build_tour_notebook.py [--out FOLDER]
"""

import argparse
import ast
import doctest
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PAGES = Path(__file__).parents[1] / "docs" / "tour"
INTRODUCTION = """\
# How gradients are computed: a guided tour

Made from [the pages of the tour](index.md) by `scripts/build_tour_notebook.py`, and run."""
BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
# Notebooks know formulas by dollars only.
FORMULA = re.compile(r"^```math\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NEXT_PAGE = re.compile(r"^(?:Next: |Back to )\[.*\]\(.*\)\n", re.MULTILINE)
# What is not the same in every run.
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")
CELL_FILE = re.compile(r"\S*ipykernel_\d+\S*?\.py")


def make_cells(page: str) -> Iterator[NotebookNode]:
    """The cells of one page: text, and the blocks of Python between."""
    page = FORMULA.sub(r"$$\n\1$$", NEXT_PAGE.sub("", page))
    # re.split gives text and blocks in turn.
    for position, part in enumerate(BLOCK.split(page)):
        if position % 2 == 0:
            if part.strip():
                yield new_markdown_cell(part.strip())
        elif part.startswith(">>>"):
            yield from map(new_code_cell, split_doctest(part))
        else:
            yield new_code_cell(part.strip())


def split_doctest(block: str) -> Iterator[str]:
    """The code of a doctest, cut after each value shown: a cell shows the last one only."""
    lines = ""
    for example in doctest.DocTestParser().get_examples(block):
        lines += example.source
        if example.want and is_shown(example.source):
            yield lines.strip()
            lines = ""
    if lines:
        yield lines.strip()


def is_shown(source: str) -> bool:
    """Whether Python shows the value of this by itself, rather than printing something."""
    (statement,) = ast.parse(source).body
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    called = value.func if isinstance(value, ast.Call) else None
    return not (isinstance(called, ast.Name) and called.id in {"print", "show"})


def make_notebook() -> NotebookNode:
    pages = [path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("[0-9]*.md"))]
    cells = [
        new_markdown_cell(INTRODUCTION),
        *(cell for page in pages for cell in make_cells(page)),
    ]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook: NotebookNode = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    return notebook


def run(notebook: NotebookNode, folder: str) -> None:
    """Run all cells, in a kernel that works in this folder."""
    options: dict[str, Any] = {"timeout": 120, "record_timing": False}
    options["extra_arguments"] = [
        "--log-level=ERROR"
    ]  # No warning that it listens on this machine.
    place = {"metadata": {"path": folder}}
    nbclient.NotebookClient(notebook, resources=place, **options).execute()
    notebook.metadata.pop("language_info", None)  # It names the version of Python.
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = list(tidy(cell.outputs))


def tidy(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    """The outputs of a cell, as they are in every run: printed text may come in any pieces."""
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    if printed:
        yield new_output("stream", name="stdout", text=without_chance(printed))
    for output in outputs:
        if output.output_type != "stream":
            output.data = {"text/plain": without_chance(output.data["text/plain"])}
            yield output


def without_chance(text: str) -> str:
    return CELL_FILE.sub("cell", ADDRESS.sub("0x…", text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the notebook")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    notebook = make_notebook()
    with tempfile.TemporaryDirectory() as folder:  # Where the snippets write their files.
        run(notebook, folder)
    path = out / "tour.ipynb"
    nbformat.write(notebook, path)
    print("notebook:", path)


if __name__ == "__main__":
    main()
