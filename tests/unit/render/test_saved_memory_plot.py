"""What is kept for backward as bars."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from inspect_autograd.graph.records import Storage
from inspect_autograd.graph.tensor_meta import format_bytes
from inspect_autograd.render import saved_memory_plot
from inspect_autograd.render.saved_memory_plot import MAX_BARS
from tests.unit.graph.memory_graphs import graph_of, saved
from tests.unit.render.graphs import parse_svg

matplotlib = pytest.importorskip("matplotlib")


def mixed() -> ia.SavedMemory:
    """Op0 holds 300 B alone and 100 B with Op1, and 50 B of w; Op2 a packed tensor."""
    kept = [
        [saved(0, 300), saved(1, 100), saved(2, 50)],
        [saved(1, 100)],
        [saved(None, None, "packed"), saved(2, 50)],
    ]
    return graph_of(kept, [Storage(300), Storage(100), Storage(50, ("w",))]).saved_memory()


def of_size(*sizes: int) -> ia.SavedMemory:
    kept = [[saved(i, size)] for i, size in enumerate(sizes)]
    return graph_of(kept, [Storage(size) for size in sizes]).saved_memory()


def svg_of(memory: ia.SavedMemory, tmp_path: Path) -> str:
    return memory.plot(tmp_path / "memory.svg").read_text(encoding="utf-8")


def comments(svg: str) -> list[str]:
    """The texts of a picture, which matplotlib writes as comments beside their outlines."""
    return [line.partition(" -->")[0] for line in svg.split("<!-- ")[1:]]


def draw(memory: ia.SavedMemory) -> Any:
    """The axes, drawn."""
    from matplotlib.figure import Figure

    figure = Figure()
    saved_memory_plot._draw(figure, memory, memory.rows)
    figure.savefig(io.BytesIO(), format="png")
    (axes,) = figure.axes
    return axes


def test_the_suffix_chooses_the_format(tmp_path: Path) -> None:
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    for suffix, start in starts.items():
        path = tmp_path / f"memory{suffix}"
        assert mixed().plot(path) == path
        assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_memory_gives_the_same_file(tmp_path: Path, suffix: str) -> None:
    first = mixed().plot(tmp_path / f"a{suffix}").read_bytes()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.hashsalt": "x"}):
        second = mixed().plot(tmp_path / f"b{suffix}").read_bytes()
    assert first == second


def test_the_lengths_of_the_parts_are_their_bytes() -> None:
    bars = [(bar.get_y(), bar.get_x(), bar.get_width()) for bar in draw(mixed()).patches]
    assert [(round(y + 0.36), x, width) for y, x, width in bars] == [
        (0, 0, 300),
        (0, 300, 100),
        (0, 400, 50),
        (1, 0, 100),
        (2, 0, 50),
    ]


def test_the_parts_differ_by_colour_lightness_and_hatch() -> None:
    alone, shared, parameters = draw(mixed()).patches[:3]
    assert [bar.get_hatch() or "" for bar in (alone, shared, parameters)] == ["", "////", "...."]

    def lightness(bar: Any) -> float:
        red, green, blue, _ = bar.get_facecolor()
        return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)

    values = [lightness(bar) for bar in (alone, shared, parameters)]
    assert values[0] + 0.2 < values[1] < values[2] - 0.2


def test_every_bar_says_its_bytes_and_its_share(tmp_path: Path) -> None:
    texts = comments(svg_of(mixed(), tmp_path))
    for text in (
        "Op0Backward0",
        "400 B, 100%  + 50 B",
        "100 B, 25%",
        "50 B  (1 not counted)",
        "activations that this row alone holds",
        "activations that other rows hold as well",
        "parameters and buffers",
        "Saved for backward by operation: 400 B of activations and 50 B of parameters",
        "not counted: 1 tensor",
    ):
        assert text in texts, text
    assert texts.index("Op0Backward0") < texts.index("Op1Backward0") < texts.index("Op2Backward0")


def test_the_legend_has_what_is_there(tmp_path: Path) -> None:
    texts = comments(svg_of(of_size(10), tmp_path))
    assert "activations that this row alone holds" in texts
    assert not [text for text in texts if "other rows" in text or "buffers" in text]


def test_of_many_rows_the_largest_are_drawn(tmp_path: Path) -> None:
    memory = of_size(*range(2000, 2000 - MAX_BARS - 10, -1))
    texts = comments(svg_of(memory, tmp_path))
    assert f"Op{MAX_BARS - 1}Backward0" in texts
    assert f"Op{MAX_BARS}Backward0" not in texts
    rest = sum(range(2000 - MAX_BARS - 9, 2000 - MAX_BARS + 1))
    assert (
        f"50 of 60 rows, those that hold most; the others hold {format_bytes(rest)} alone" in texts
    )


@pytest.mark.parametrize(
    "size", [0, 1, 7, 900, 1023, 1024, 1500, 3000, 10_000, 10**6, 3 * 2**20, 10**9, 10**12, 10**15]
)
def test_ticks_are_written_without_rounding(size: int) -> None:
    axes = draw(of_size(size))
    ticks = [int(tick) for tick in axes.get_xticks()]
    assert ticks[0] == 0
    assert len(ticks) <= 9
    assert len(ticks) >= 2
    assert ticks[-1] <= axes.get_xlim()[1]
    units = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
    for tick, label in zip(ticks, axes.get_xticklabels(), strict=True):
        number, unit = label.get_text().split()
        assert float(number) * units[unit] == tick


@pytest.mark.parametrize("name", ["$x$ and $y", "a<b>&\"c'", "line\nbreak", "名前", "_", "x" * 500])
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    memory = graph_of([[saved(0, 8)]], [Storage(8)], [name]).saved_memory()
    parse_svg(svg_of(memory, tmp_path))


def test_nothing_can_be_drawn(tmp_path: Path) -> None:
    texts = comments(svg_of(graph_of([[]]).saved_memory(), tmp_path))
    assert "Saved for backward by operation: nothing" in texts


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("memory.jpg", ArgumentError, "has the suffix '.jpg'; expected one of .png, .svg, .pdf"),
        ("missing/memory.png", ArgumentError, "does not exist"),
        (3, ArgumentTypeError, "path is 3 of type int"),
    ],
)
def test_bad_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, error: type[Exception], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        mixed().plot(path)
    assert text in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "inspect-autograd\[plot\]"'):
        mixed().plot(tmp_path / "memory.png")


def test_pyplot_and_its_state_are_left_alone(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tests.unit.render.test_saved_memory_plot import mixed\n"
        f"mixed().plot({str(tmp_path / 'memory.png')!r})\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root)
    assert printed.strip() == "False"
