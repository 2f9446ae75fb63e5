"""A gradient flow as bars."""

import io
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from inspect_autograd.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from inspect_autograd.events.gradient_flow import GradientFlow, find_gradient_flow
from inspect_autograd.events.records import TensorStats, TracedParameter
from inspect_autograd.render.gradient_flow_plot import MAX_BARS, choose_rows, plot_gradient_flow
from tests.unit.hand_traces import make_trace, stats
from tests.unit.render.graphs import F4, make_graph, parse_svg

matplotlib = pytest.importorskip("matplotlib")

NAN = stats(float("nan"))


def flow_of(gradients: Mapping[str, float | TensorStats | None], **options: Any) -> GradientFlow:
    """Of leaves of one node, each with a gradient of this norm; without a gradient for None."""
    count = len(gradients)
    graph = make_graph(
        ["AddBackward0", *["AccumulateGrad"] * count],
        [(0, i + 1) for i in range(count)],
        leaves={i + 1: name for i, name in enumerate(gradients)},
    )
    events: list[Any] = []
    for i, gradient in enumerate(gradients.values()):
        if gradient is not None:
            known = gradient if isinstance(gradient, TensorStats) else stats(gradient)
            events.append((i + 1, 0, [known], []))
    return find_gradient_flow(make_trace(graph, events), **options)


def mixed() -> GradientFlow:
    return flow_of(
        {"a.w": 1.0, "a.b": 2.0, "b.w": 0.5, "b.b": NAN, "c.w": 0.0, "c.b": 1e-9, "d.w": None}
    )


def many(count: int, per_module: int = 2) -> GradientFlow:
    return flow_of({f"layers.{i // per_module}.p{i}": 1.0 + i for i in range(count)})


def svg_of(flow: GradientFlow, tmp_path: Path, **settings: Any) -> str:
    """The SVG with its text as text: by itself it draws letters as outlines."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = flow.plot(tmp_path / "flow.svg")
    return path.read_text(encoding="utf-8")


def comments(svg: str) -> list[str]:
    """The texts of a picture, which matplotlib writes as comments beside their outlines."""
    lines = svg.split("<!-- ")[1:]
    return [line.partition(" -->")[0] for line in lines]


def test_the_suffix_chooses_the_format(tmp_path: Path) -> None:
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    for suffix, start in starts.items():
        path = tmp_path / f"flow{suffix}"
        assert plot_gradient_flow(mixed(), path) == path
        assert path.read_bytes().startswith(start)
    assert mixed().plot(str(tmp_path / "UPPER.PNG")).exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        "flow.png", "flow.svg", "flow.pdf", "UPPER.PNG"
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_flow_gives_the_same_file(tmp_path: Path, suffix: str) -> None:
    first = mixed().plot(tmp_path / f"a{suffix}").read_bytes()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.hashsalt": "x"}):
        second = mixed().plot(tmp_path / f"b{suffix}").read_bytes()
        assert matplotlib.rcParams["font.size"] == 20
    assert first == second


def test_nothing_of_the_program_is_touched(tmp_path: Path) -> None:
    code = (
        "import sys, matplotlib\n"
        # Reading the backend would choose one, and import pyplot for that.
        "def settings():\n"
        "    keys = [key for key in matplotlib.rcParams if key != 'backend']\n"
        "    return {key: matplotlib.rcParams[key] for key in keys}\n"
        "before = settings()\n"
        "from tests.unit.render.test_gradient_flow_plot import mixed\n"
        f"mixed().plot({str(tmp_path / 'flow.png')!r})\n"
        "assert settings() == before\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    root = Path(__file__).parents[3]
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root)
    assert printed.strip() == "False"


def test_every_bar_says_its_norm_and_its_flags(tmp_path: Path) -> None:
    texts = comments(svg_of(mixed(), tmp_path))
    for name in ("a.w", "a.b", "b.w", "b.b", "c.w", "c.b", "d.w"):
        assert name in texts
    for label in (
        "1.0e+00",
        "NaN  non-finite",
        "0  dead",
        "1.0e-09  vanishing",
        "no gradient  missing",
    ):
        assert label in texts
    assert texts.index("a.w") < texts.index("b.w") < texts.index("d.w"), "the order of the model"
    assert "flagged: 1 non-finite, 1 missing, 1 dead, 1 vanishing" in " ".join(texts)


def test_flags_are_told_by_hatch_and_the_thresholds_by_lines(tmp_path: Path) -> None:
    svg = svg_of(mixed(), tmp_path)
    parse_svg(svg)
    # The bars of b.b and c.b, and the legend.
    assert svg.count("<pattern") >= 2
    assert svg.count("url(#h") >= 4
    texts = comments(svg)
    assert {"not flagged", "non-finite", "vanishing", "vanishing below", "exploding above"} <= {
        *texts
    }
    healthy = svg_of(flow_of({"w": 1.0, "v": 2.0}), tmp_path)
    assert "<pattern" not in healthy
    assert "nothing looks wrong" in " ".join(comments(healthy))
    # Dotted: the thresholds of vanishing gradients, one for each bar and one in the legend.
    assert healthy.count("stroke-dasharray") == 3


def test_the_length_of_a_bar_is_the_logarithm_of_the_norm(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    from inspect_autograd.render import gradient_flow_plot

    flow = flow_of({"w": 1e-3, "v": 1.0, "u": 1e3})
    figure = Figure()
    gradient_flow_plot._draw(figure, flow, flow.rows, "")
    figure.savefig(io.BytesIO(), format="png")
    (axes,) = figure.axes
    pixels = [patch.get_extents().x1 for patch in axes.patches]
    ends = [axes.transData.inverted().transform((pixel, 0))[0] for pixel in pixels]
    assert ends == pytest.approx([-3.0, 0.0, 3.0])
    left, right = axes.get_xlim()
    # The RMS near the loss is that of u, so that norms of 1e-3 and 1e9 are the thresholds.
    assert left <= -3.0
    assert right >= 9.0
    labels = {label.get_text() for label in axes.get_xticklabels()}
    assert {"$10^{0}$", "$10^{8}$"} <= labels
    top, bottom = (axes.transData.transform((0.0, i))[1] for i in (0, 2))
    assert top > bottom, "the first row is at the top"


def test_a_module_with_a_flagged_parameter_is_marked(tmp_path: Path) -> None:
    flow = flow_of({"a.w": 1.0, "a.b": None, "b.w": 1.0, "": 2.0, "top": 3.0}, by="module")
    texts = comments(svg_of(flow, tmp_path))
    assert "1.0e+00  1 missing" in texts
    assert {"a", "b", "(no name)", "(outermost)"} <= {*texts}
    assert "parameters flagged: 1 missing" in " ".join(texts)


def test_two_hundred_bars_keep_their_size(tmp_path: Path) -> None:
    rows, caption = choose_rows(many(MAX_BARS))
    assert (len(rows), caption) == (MAX_BARS, "")
    heights = {}
    for count in (20, MAX_BARS):
        svg = parse_svg(svg_of(many(count), tmp_path))
        heights[count] = float(svg.attrib["height"].removesuffix("pt"))
    # 0.2 inches, 14.4 points, for each bar.
    assert heights[MAX_BARS] - heights[20] == pytest.approx(180 * 14.4)


def test_more_bars_are_joined_by_module() -> None:
    flow = many(MAX_BARS + 20, per_module=4)
    rows, caption = choose_rows(flow)
    assert len(rows) == 55
    assert caption == "220 parameters by module, 2 levels deep"
    assert rows[0].name == "layers.0"
    assert sum(row.parameters for row in rows) == 220
    one_each = many(MAX_BARS + 20, per_module=1)
    rows, caption = choose_rows(one_each)
    assert [row.name for row in rows] == ["layers"]
    assert caption == "220 parameters by module, 1 levels deep"


def test_bars_that_no_module_joins_are_cut_and_flagged_ones_kept() -> None:
    gradients: dict[str, float | TensorStats | None] = {f"m{i}.p": 1.0 for i in range(250)}
    gradients["m249.p"] = 0.0
    gradients["m248.p"] = None
    rows, caption = choose_rows(flow_of(gradients))
    assert len(rows) == MAX_BARS
    assert [row.name for row in rows[-3:]] == ["m197.p", "m248.p", "m249.p"]
    assert caption == "200 of 250 parameters; 0 that are not shown are flagged"
    gradients = {f"m{i}.p": 0.0 for i in range(250)}
    assert choose_rows(flow_of(gradients))[1].startswith("200 of 250 parameters; 50 that are not")


@pytest.mark.parametrize(
    "name",
    [
        "$x$ and $y",
        "a<b>&\"c'",
        "line\nbreak",
        "名前",
        "\U0001f600",
        "$x$",
        "_hidden",
        "x" * 500,
        r"$\frac$",
    ],
)
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    parse_svg(svg_of(flow_of({name: 1.0}), tmp_path))
    flow_of({name: 1.0}).plot(tmp_path / "flow.png")


@pytest.mark.parametrize(
    "norms",
    [[], [0.0], [None], [float("nan")], [float("inf")], [1e-320, 1e300], [5e-324], [1e308], [1.0]],
)
def test_any_sizes_can_be_drawn(tmp_path: Path, norms: Sequence[float | None]) -> None:
    flow = flow_of({f"p{i}": norm for i, norm in enumerate(norms)})
    parse_svg(svg_of(flow, tmp_path))


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        (
            "flow.jpg",
            ArgumentError,
            "which has the suffix '.jpg'; expected one of .png, .svg, .pdf",
        ),
        ("flow", ArgumentError, "which has no suffix"),
        ("missing/flow.png", ArgumentError, "does not exist"),
        (3, ArgumentTypeError, "path is 3 of type int"),
        (b"flow.png", ArgumentTypeError, "of type bytes"),
    ],
)
def test_bad_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any, error: type[Exception], text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        mixed().plot(path)
    assert text in str(caught.value)
    assert "What to do:" in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_without_matplotlib_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "inspect-autograd\[plot\]"'):
        mixed().plot(tmp_path / "flow.png")


def test_a_leaf_that_is_not_reached_is_drawn(tmp_path: Path) -> None:
    graph = make_graph(["AddBackward0", "AccumulateGrad"], [(0, 1)], leaves={1: "w"})
    head = TracedParameter(("head",), F4, None)
    flow = find_gradient_flow(make_trace(graph, [(1, 0, [stats(1.0)], [])], unreached=[head]))
    assert "no gradient  missing" in comments(svg_of(flow, tmp_path))
