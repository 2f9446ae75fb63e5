"""A gradient flow as a table."""

from collections.abc import Mapping

import pytest

from inspect_autograd.events.gradient_flow import GradientFlow, find_gradient_flow
from inspect_autograd.events.records import TensorStats
from inspect_autograd.render.gradient_flow_text import MAX_ROWS, align
from tests.unit.hand_traces import EventRow, make_pass, make_trace, stats
from tests.unit.render.graphs import make_graph


def flow_of(gradients: Mapping[str, float | None], **options: object) -> GradientFlow:
    """Of leaves of one node, each with a gradient of this norm; without a gradient for None."""
    count = len(gradients)
    graph = make_graph(
        ["AddBackward0", *["AccumulateGrad"] * count],
        [(0, i + 1) for i in range(count)],
        leaves={i + 1: name for i, name in enumerate(gradients)},
    )
    known: list[tuple[int, TensorStats]] = [
        (i + 1, stats(norm)) for i, norm in enumerate(gradients.values()) if norm is not None
    ]
    events: list[EventRow] = [(node, 0, [gradient], []) for node, gradient in known]
    trace = make_trace(graph, events, norms=dict.fromkeys(gradients, 2.0))
    return find_gradient_flow(trace, **options)  # type: ignore[arg-type]


def test_a_healthy_flow_as_a_whole() -> None:
    assert str(flow_of({"fc.weight": 2.0, "fc.bias": 4.0})) == (
        "Gradient flow in pass 0 (backward at train.py:41): nothing looks wrong with 2 parameters\n"
        "\n"
        "parameter  shape   |gradient|  RMS       max abs   |parameter|\n"
        "fc.weight  f32[4]  2.00e+00    1.00e+00  2.00e+00  2.00e+00\n"
        "fc.bias    f32[4]  4.00e+00    2.00e+00  4.00e+00  2.00e+00\n"
        "\n"
        "RMS near the loss: biases 2.00e+00\n"
        "vanishing: RMS below 1e-06 × that, or below the normal numbers of its dtype; "
        "exploding: RMS above 1e+06 × that, or |gradient| above 1e+06 × |parameter| of a weight\n"
        'dead: every element 0; the share of zeros is known with stats="full"'
    )


def test_flagged_rows_come_first_and_the_worst_first() -> None:
    gradients = {"ok": 1.0, "none": None, "dead": 0.0, "small": 1e-8, "nan": float("nan")}
    gradients |= {"tiny": 1e-9, "fine": 2.0}
    lines = str(flow_of(gradients)).splitlines()
    assert lines[0].endswith(
        "5 of 7 parameters flagged: 1 non-finite, 1 missing, 1 dead, 2 vanishing"
    )
    names = [line.split()[0] for line in lines[3:10]]
    assert names == ["nan", "none", "dead", "tiny", "small", "ok", "fine"]
    assert "none" in lines[4].split()[2], "a missing gradient is no 0"
    assert lines[5].split()[2] == "0"
    assert lines[6].endswith("vanishing: its RMS is 1.0e-09 × that near the loss")


def test_a_learning_rate_adds_a_column_and_its_thresholds() -> None:
    text = str(flow_of({"fc.bias": 4.0}, learning_rate=0.01))
    assert "update" in text.splitlines()[2].split()
    assert "2.00e-02" in text.splitlines()[3].split(), "0.01 · 4 / 2"
    assert "update: 0.01 · |gradient| / |parameter|, a step of plain SGD" in text
    assert "too large above 0.1, too small below 1e-06" in text


def test_by_module() -> None:
    text = str(flow_of({"a.w": 3.0, "a.b": 4.0, "w": None}, by="module"))
    lines = text.splitlines()
    assert lines[0].endswith("1 of 2 modules flagged: 1 missing (counted by parameter)")
    assert lines[2].split()[:3] == ["module", "parameters", "|gradient|"]
    assert lines[3].split()[:3] == ["(outermost)", "1", "none"]
    assert lines[4].split()[:3] == ["a", "2", "5.00e+00"]


def test_a_long_table_is_cut_and_says_so() -> None:
    gradients: dict[str, float | None] = {f"p{i}": 1.0 for i in range(MAX_ROWS)}
    text = str(flow_of(gradients))
    assert "…" not in text
    text = str(flow_of(gradients | {"last": 0.0}))
    lines = text.splitlines()
    assert lines[3].startswith("last "), "what is flagged is kept"
    assert "… and 1 more row, none of them flagged; GradientFlow.rows has all" in lines
    assert len([line for line in lines if line.startswith("p")]) == MAX_ROWS  # and the header
    text = str(flow_of(dict.fromkeys(gradients, 0.0) | {"x": 0.0, "y": 0.0, "z": 1.0}))
    assert "… and 3 more rows, 2 of them flagged; GradientFlow.rows has all" in text


def test_no_parameters() -> None:
    trace = make_trace(make_graph(["SumBackward0"], []), [], passes=[make_pass(0)])
    text = str(find_gradient_flow(trace))
    assert text.splitlines()[0].endswith("there are no parameters to show")
    assert "RMS near the loss: unknown" in text


def test_names_that_would_break_the_table() -> None:
    lines = str(flow_of({"a\nb": 1.0, "x" * 200: 1.0})).splitlines()
    assert lines[3].startswith("a␊b ")
    assert "…" in lines[4]
    assert len(lines[4]) < 130


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([["1", "", "3"]], "a  c\n1  3"),
        ([["1", "", "3"], ["", "22", ""]], "a  b   c\n1      3\n   22"),
        ([], ""),
    ],
)
def test_columns_without_text_are_left_out(rows: list[list[str]], text: str) -> None:
    assert align(["a", "b", "c"], rows) == text
