"""Pictures of backward passes: folded graphs, several passes, files."""

import re
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from inspect_autograd.errors import ArgumentError, ArgumentTypeError, LayoutTimeoutError
from inspect_autograd.events.records import Evidence, Outcome, RootGradient
from inspect_autograd.events.table import EventTable
from inspect_autograd.render.norm_scale import NormScale
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.render.graphs import boxes, parse_svg, tooltips
from tests.unit.render.traces import (
    attributes,
    change,
    change_pass,
    deep,
    draw,
    edge,
    nan_of_sqrt,
    nothing_ran,
    scaled,
)

pytestmark = pytest.mark.usefixtures("no_dot")
VERMILLION = "#D55E00"


# -- folded graphs ---------------------------------------------------------------------------------


def test_a_fold_shows_the_range_of_orders_and_norms(tmp_path: Path) -> None:
    trace = deep(400)
    svg = parse_svg(draw(trace, tmp_path, ".svg"))
    # The gradient is 1 for each of three elements, and grows by 1.01 at each step.
    assert boxes(svg)["n1"] == [
        "1–800. MulBackward0 ×800",
        "f32[3]",
        f"|{3**0.5:.3g} … {3**0.5 * 1.01**799:.3g}|",
    ]
    scale = NormScale(0, 4)
    assert attributes(draw(trace, tmp_path), "n1")["fillcolor"] == scale.color(3**0.5 * 1.01**799)


def test_what_is_not_finite_inside_a_fold_is_counted(tmp_path: Path) -> None:
    trace = deep(400, lambda y: (y - y.detach()).sqrt() * 0)
    text = draw(trace, tmp_path, ".txt", view="scope")
    full = draw(trace, tmp_path, ".txt")
    # The one before sqrt receives 0; sqrt makes NaN of it; 401 nodes and x pass it on.
    assert "NaN or Inf at 403 nodes, beginning at SqrtBackward0 (order 402).\n" in full
    assert "SqrtBackward0" in text
    folded = draw(trace, tmp_path, ".txt", view="band")
    (born,) = [line for line in folded.splitlines() if "BORN" in line]
    assert "NaN BORN INSIDE  at SqrtBackward0" in born
    counts = [int(n) for n in re.findall(r"NaN at (\d+) of \d+ nodes", folded)]
    assert sum(counts) == 403 - folded.count("leaf f32[3] NaN")
    source = draw(trace, tmp_path, view="band")
    assert source.count("shape=doubleoctagon") == 1


def test_arrows_of_a_fold_carry_what_is_not_finite(tmp_path: Path) -> None:
    trace = deep(400, lambda y: (y - y.detach()).sqrt() * 0)
    source = draw(trace, tmp_path, view="chain")
    bold = [line for line in source.splitlines() if "->" in line and VERMILLION in line]
    assert any(line.startswith(f"\t{edge_end}") for line in bold for edge_end in ("n",))
    leaf = [line for line in bold if re.search(r"-> n\d+ ", line)]
    assert leaf
    assert all("penwidth=3.6" in line for line in bold)


def encoder(layers: int) -> Any:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    model = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
    loss = model(torch.randn(2, 3, 8)).square().sum()
    return record_by_plain_hooks(loss, model)


def test_a_repeated_block_shows_the_ranges_of_its_copies(tmp_path: Path) -> None:
    trace = encoder(3)
    shown = boxes(parse_svg(draw(trace, tmp_path, ".svg", view="repeat")))
    (bias,) = [text for text in shown.values() if "linear1.bias" in text[0] and "…" in text[0]]
    leaves = [node for node in trace.graph.leaves() if node.label.endswith("linear1.bias")]
    copies = [event for node in leaves for event in trace.of(node)]
    inside = [event for event in copies if int(trace.node_of(event).label.split(".")[1]) > 0]
    orders = sorted(event.order for event in inside)
    norms = [event.received[0].l2 for event in inside if event.received[0] is not None]
    assert len(orders) == 2
    assert bias == [
        f"{orders[0]}…{orders[-1]}. layers.1…2.linear1.bias",
        "f32[16] ×2",
        f"|{min(norms):.3g} … {max(norms):.3g}|",
    ]


def test_every_arrow_of_every_view_knows_what_was_sent(tmp_path: Path) -> None:
    trace = encoder(3)
    for view in ("full", "chain", "scope", "repeat", "band"):
        source = draw(trace, tmp_path, view=view)
        plain = [
            line
            for line in source.splitlines()
            if re.match(r"\t\w+ -> \w+", line) and "tooltip=" not in line
        ]
        # Only the arrow from the name of the root has none.
        assert [line for line in plain if not line.startswith("\tr0 -> n0 ")] == []


def test_a_fold_that_ran_in_part_says_so(tmp_path: Path) -> None:
    trace = deep(200)
    table = trace.data.table
    half = 101
    cut = EventTable(
        nodes=table.nodes[:half],
        passes=table.passes[:half],
        threads=table.threads[:half],
        starts_ns=table.starts_ns[:half],
        durations_ns=table.durations_ns[:half],
        received=table.received[:half],
        returned=table.returned[:half],
        stats=table.stats,
    )
    outcome = Outcome("raised", "RuntimeError", "stopped", node=101)
    text = draw(change_pass(change(trace, table=cut), outcome=outcome), tmp_path, ".txt")
    assert "RAISED INSIDE  100 of 400 nodes ran\n" in text
    assert "101 of 402 nodes ran." in text


# -- several passes --------------------------------------------------------------------------------


def two_passes() -> Any:
    """`scaled`, run twice; the second time with gradients ten times as large."""
    trace = scaled()
    table = trace.data.table
    larger = [replace(one, l2=one.l2 * 10) for one in table.stats if one.l2 is not None]
    count, size = len(table), len(table.stats)
    both = EventTable(
        nodes=table.nodes * 2,
        passes=array("q", [0] * count + [1] * count),
        threads=table.threads * 2,
        starts_ns=table.starts_ns * 2,
        durations_ns=table.durations_ns * 2,
        received=[*table.received, *(tuple(p + size for p in row) for row in table.received)],
        returned=[*table.returned, *(tuple(p + size for p in row) for row in table.returned)],
        stats=[*table.stats, *larger],
    )
    first = trace.passes[0]
    second = replace(first, id=1, file="train.py", line=41, function="step")
    return change(trace, table=both, passes=(first, second))


def test_the_last_pass_is_drawn_unless_another_is_asked_for(tmp_path: Path) -> None:
    last = draw(two_passes(), tmp_path, ".txt")
    assert "Pass 1 of passes 0 to 1: backward() at train.py:41 in step" in last
    assert "5. x  leaf f32[4] |2e+03|" in last
    first = draw(two_passes(), tmp_path, ".txt", backward_pass=0)
    assert "Pass 0 of passes 0 to 1: backward() at plain_hooks.py:1 in run" in first
    assert "2. x  leaf f32[4] |200|" in first
    assert draw(two_passes(), tmp_path, ".txt", backward_pass=1) == last


def test_a_pass_inside_another_is_drawn_with_it(tmp_path: Path) -> None:
    trace = two_passes()
    first, second = trace.passes
    # As if node 1 of the first pass had run the second one, which took in node 2 alone.
    table = replace(trace.data.table, nodes=array("q", [0, 1, 0, 2, 2, 2]))
    table = replace(table, passes=array("q", [0, 0, 0, 1, 1, 1]))
    nested = change(trace, table=table, passes=(first, replace(second, parent=1, parent_pass=0)))
    text = draw(nested, tmp_path, ".txt")
    assert "Pass 0 of passes 0 to 1" in text
    assert "Drawn with it: 1 pass that its nodes ran." in text
    assert "did not run" not in text
    inner = draw(nested, tmp_path, ".txt", backward_pass=1)
    assert inner.count("did not run") == 2


def test_a_pass_that_starts_elsewhere_has_an_arrow_of_its_own(tmp_path: Path) -> None:
    trace = scaled()
    root = RootGradient(1, 0, False, trace.events[1].received[0])
    source = draw(change_pass(trace, id=0, roots=(root,)), tmp_path)
    assert "<B>pass 0</B>" in source
    assert "penwidth=1.6, color=black" in edge(source, "r1 -> n1 ")
    assert "style=dashed" in edge(source, "r0 -> n0 ")
    assert 'tooltip="given: f32[4] norm 2' in source


@pytest.mark.parametrize(
    ("id", "words"),
    [(2, "expected one of 0, 1"), (-1, "backward_pass is -1"), (10**9, "trace.passes")],
)
def test_a_pass_that_there_is_not_is_refused(id: int, words: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=words):
        two_passes().render(tmp_path / "a.svg", backward_pass=id)
    assert not (tmp_path / "a.svg").exists()


@pytest.mark.parametrize("id", ["0", True, 0.0, scaled])
def test_what_is_no_id_is_refused(id: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentTypeError, match="expected the id of a pass, an int"):
        scaled().render(tmp_path / "a.svg", backward_pass=id)


def test_a_pass_of_a_trace_without_any_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no backward pass ran in this trace"):
        nothing_ran().render(tmp_path / "a.svg", backward_pass=0)


# -- the file --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "beginning"),
    [
        (".png", b"\x89PNG"),
        (".svg", b"<?xml"),
        (".pdf", b"%PDF-"),
        (".dot", b"digraph {"),
        (".txt", b"6 nodes, 6 edges"),
    ],
)
def test_the_suffix_chooses_the_format_and_nothing_is_random(
    suffix: str, beginning: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    assert nan_of_sqrt().render(str(path)) == path
    first = path.read_bytes()
    assert first.startswith(beginning)
    assert nan_of_sqrt().render(tmp_path / f"b{suffix}").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.jpeg", {}, "which has the suffix '.jpeg'"),
        ("missing/a.png", {}, "does not exist"),
        ("a.png", {"view": "flat"}, "view is 'flat'"),
        ("a.png", {"timeout": 0}, "timeout is 0"),
        ("a.png", {"title": 3}, "title is 3"),
    ],
)
def test_options_are_checked_as_for_a_graph(
    name: str, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises((ArgumentError, ArgumentTypeError), match=re.escape(words)):
        scaled().render(tmp_path / name, **options)


def test_the_layout_is_ended_when_its_time_is_up(tmp_path: Path) -> None:
    with pytest.raises(LayoutTimeoutError):
        scaled().render(tmp_path / "a.svg", timeout=1e-6)
    assert not (tmp_path / "a.svg").exists()


def test_tooltips_hold_all_numbers(tmp_path: Path) -> None:
    lines = "\n".join(tooltips(parse_svg(draw(scaled(), tmp_path, ".svg"))))
    assert "received: f32[4] norm 200, min 100, max 100, mean 100, zeros 0, NaN 0, Inf 0" in lines
    assert "order 2, took " in lines
    assert "sent: f32[4] norm 2, min 1, max 1, mean 1, zeros 0, NaN 0, Inf 0" in lines


def test_names_with_signs_of_html_come_out_as_they_are(tmp_path: Path) -> None:
    x = torch.ones(1, requires_grad=True)
    trace = record_by_plain_hooks((x * 2).sum(), {'<b>"x"&\\n': x})
    shown = boxes(parse_svg(draw(trace, tmp_path, ".svg")))
    assert shown["n2"][0] == '2. <b>"x"&\\n'


def test_why_it_is_not_finite_is_told(tmp_path: Path) -> None:
    found = tuple(Evidence(event, "", f"reason {event}") for event in (1, 2, 3, 4))
    trace = change(nan_of_sqrt(), evidence=(found[1], Evidence(99, "", "elsewhere")))
    text = draw(trace, tmp_path, ".txt")
    assert (
        "beginning at SqrtBackward0 (order 2).\nSqrtBackward0 (order 2): reason 2\nNumber:" in text
    )
    # What was seen at nodes where nothing was born explains nothing.
    assert draw(change(trace, evidence=found), tmp_path, ".txt") == text


def test_many_reasons_are_bounded(tmp_path: Path) -> None:
    x = torch.zeros(2, requires_grad=True)
    trace = record_by_plain_hooks(torch.cat([x.sqrt() for _ in range(5)]).sum(), {"x": x})
    found = tuple(Evidence(event.order, "", f"reason {event.order}") for event in trace.events)
    text = draw(change(trace, evidence=found), tmp_path, ".txt")
    assert text.count(": reason ") == 2
    assert "and 2 more nodes" in text


def test_edits_and_notes_are_told_and_bounded(tmp_path: Path) -> None:
    trace = change(scaled(), edits=("clipped x",), notes=tuple(f"note {i}" for i in range(5)))
    text = draw(trace, tmp_path, ".txt")
    assert "Changed by edit_gradients: clipped x\n" in text
    assert "Note: note 2\nNote: 2 more.\n" in text


def test_a_graph_without_a_trace_looks_as_ever(tmp_path: Path) -> None:
    plain = scaled().graph.render(tmp_path / "a.dot").read_text(encoding="utf-8")
    assert "penwidth=1.6, color=black, weight=99" in plain
    assert "labeltooltip" not in plain
    assert "\tn0 -> n1\n" in plain
    assert '\tn1 [label=<MulBackward0<BR/><FONT POINT-SIZE="9" COLOR="#555555">f32[4]</FONT>>' in (
        plain
    )
