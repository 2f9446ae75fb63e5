"""How boxes and arrows look on which a backward pass is drawn."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from inspect_autograd.events.records import Outcome, RootGradient
from inspect_autograd.graph.records import Truncation
from inspect_autograd.render.norm_scale import SHADES, NormScale, contrast
from tests.conformance.plain_hooks import naive_stats, record_by_plain_hooks
from tests.unit.render.graphs import arrows, boxes, parse_svg, texts, tooltips
from tests.unit.render.traces import (
    attributes,
    change,
    change_pass,
    draw,
    edge,
    inf_of_sum,
    key_of,
    limited_to_weight,
    mlp,
    nan_of_sqrt,
    nothing_ran,
    raised,
    scaled,
    without_numbers,
)

pytestmark = pytest.mark.usefixtures("no_dot")
VERMILLION = "#D55E00"


def test_boxes_show_order_name_and_what_was_received(tmp_path: Path) -> None:
    svg = parse_svg(draw(scaled(), tmp_path, ".svg"))
    # By hand: the loss receives 1; the product four ones; x four times 100.
    assert boxes(svg) == {
        "n0": ["0. SumBackward0", "f32[] |1|"],
        "n1": ["1. MulBackward0", "f32[4] |2|"],
        "n2": ["2. x", "f32[4] |200|"],
        "r0": ["loss"],
    }
    assert arrows(svg) == ["n0->n1", "n1->n2", "r0->n0"]


def test_boxes_are_coloured_by_the_norm_on_a_log_scale(tmp_path: Path) -> None:
    source = draw(scaled(), tmp_path)
    scale = NormScale(0, 3)  # Holds 1, 2 and 200.
    for key, norm in (("n0", 1.0), ("n1", 2.0), ("n2", 200.0)):
        look = attributes(source, key)
        assert look["fillcolor"] == scale.color(norm)
        assert contrast(look["fontcolor"], look["fillcolor"]) >= 4.5


def test_arrows_are_as_wide_as_the_norm_that_was_sent(tmp_path: Path) -> None:
    source = draw(scaled(), tmp_path)
    widths = [
        float(re.findall(r"penwidth=([\d.]+)", edge(source, ends))[0])
        for ends in ("n0 -> n1", "n1 -> n2")
    ]
    # From 0.6 at |1| to 2.4 at |1000|: |2| is at 0.1003 of the way, |200| at 0.767.
    assert widths == pytest.approx([0.78, 1.98], abs=0.01)


def test_an_arrow_says_its_norm_only_where_the_box_it_leads_to_does_not(tmp_path: Path) -> None:
    x = torch.tensor([3.0], requires_grad=True)
    trace = record_by_plain_hooks((x * 5 + x * 7).sum(), {"x": x})
    source = draw(trace, tmp_path)
    leaf = key_of(trace, "x")
    sent = [line for line in source.splitlines() if re.match(rf"\tn\d+ -> {leaf} ", line)]
    labels = sorted(re.findall(r'\[label=" (.*?)"', "".join(sent)))
    assert labels == ["|5|", "|7|"]
    assert " |12|" in source
    assert "label=" not in edge(source, "n0 -> n1 ").replace("labeltooltip", "")


def test_the_legend_shows_the_scale_and_what_occurs(tmp_path: Path) -> None:
    shown = texts(parse_svg(draw(scaled(), tmp_path, ".svg")))
    start = shown.index("norm received:")
    assert shown[start + 1 : start + 5] == ["1", "10", "100", "1000"]
    assert {"operation", "parameter or input"} <= {*shown}
    assert not {"did not run", "NaN / Inf", "no numbers", "raised here", "0"} & {*shown}


def test_captions_say_which_pass_it_is(tmp_path: Path) -> None:
    once = draw(mlp(), tmp_path, ".txt", title="A & B")
    assert once.startswith("A & B\n\n11 nodes")
    assert "backward() at plain_hooks.py:1 in run, from MeanBackward0 given" in once
    assert "all 11 nodes ran." in once
    assert "of passes" not in once
    assert "NaN or Inf" not in once


# -- what is not finite ----------------------------------------------------------------------------


def test_nan_is_unmistakable_where_it_is_born(tmp_path: Path) -> None:
    trace = nan_of_sqrt()
    shown = boxes(parse_svg(draw(trace, tmp_path, ".svg")))
    born = key_of(trace, "Sqrt*")
    # sqrt receives 1 for each of the three elements above 0.
    assert shown[born] == ["2. SqrtBackward0", "f32[4] |1.73|", "NaN BORN HERE"]
    source = draw(trace, tmp_path)
    look = attributes(source, born)
    assert look["shape"] == "doubleoctagon"
    assert look["color"] == VERMILLION
    assert float(look["penwidth"]) > 3
    assert (
        f"NaN or Inf at 4 nodes, beginning at SqrtBackward0 (order {trace.events[2].order})."
        in (draw(trace, tmp_path, ".txt"))
    )


def test_nan_is_bold_and_doubly_framed_where_it_arrives(tmp_path: Path) -> None:
    source = draw(nan_of_sqrt(), tmp_path)
    for pattern, text in (("Mul*", "3. MulBackward0"), ("x", "4. x")):
        key = key_of(nan_of_sqrt(), pattern)
        look = attributes(source, key)
        assert (look["peripheries"], look["color"]) == ("2", VERMILLION)
        assert f"\t{key} [label=<{text}<BR/><B>f32[4] NaN ×1</B>>" in source
    # What is finite looks as ever.
    assert "peripheries" not in attributes(source, key_of(nan_of_sqrt(), "Where*"))


def test_arrows_that_carry_nan_are_bold(tmp_path: Path) -> None:
    source = draw(nan_of_sqrt(), tmp_path)
    sqrt, mul = key_of(nan_of_sqrt(), "Sqrt*"), key_of(nan_of_sqrt(), "Mul*")
    line = edge(source, f"{sqrt} -> {mul} ")
    assert f'color="{VERMILLION}"' in line
    assert "penwidth=3.6" in line
    assert 'tooltip="sent: f32[4] NaN ×1' in line
    # The other branch of where is finite.
    assert VERMILLION not in edge(source, f"{key_of(nan_of_sqrt(), 'Where*')} -> {mul} ")


def test_inf_that_a_sum_makes_is_told_at_the_node_that_received_it(tmp_path: Path) -> None:
    trace = inf_of_sum()
    shown = boxes(parse_svg(draw(trace, tmp_path, ".svg")))
    (node,) = [text for text in shown.values() if "BORN" in " ".join(text)]
    assert node[1:] == ["f32[2] Inf ×2", "Inf BORN IN A SUM"]
    assert draw(trace, tmp_path).count("shape=doubleoctagon") == 1
    assert shown[key_of(trace, "x")][1:] == ["f32[2] Inf ×2"]


def test_inf_that_a_hook_makes_is_told(tmp_path: Path) -> None:
    x = torch.ones(2, requires_grad=True)
    h = x * 2
    h.register_hook(lambda gradient: gradient / 0)
    trace = record_by_plain_hooks((h * 3).sum(), {"x": x})
    text = draw(trace, tmp_path, ".txt")
    assert text.count("BORN") == 1
    assert re.search(r"2\. MulBackward0  f32\[2\] Inf ×2  #2  Inf BORN IN A HOOK\n", text)


def test_what_the_caller_gave_is_not_blamed_on_a_sum(tmp_path: Path) -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    bad = torch.tensor([float("inf"), 1.0])
    trace = record_by_plain_hooks(y, {"x": x}, lambda: y.backward(bad))
    root = RootGradient(0, 0, False, naive_stats(bad))
    text = draw(change_pass(trace, roots=(root,)), tmp_path, ".txt")
    assert "0. MulBackward0  f32[2] Inf ×1  #0  Inf WAS GIVEN\n" in text
    assert "BORN" not in text
    assert "beginning at MulBackward0 (order 0)." in text


def test_without_all_edges_nothing_is_blamed_on_a_sum(tmp_path: Path) -> None:
    trace = inf_of_sum()
    cut = change(trace, graph=replace(trace.graph, truncation=Truncation(7, 1)))
    text = draw(cut, tmp_path, ".txt")
    assert "BORN" not in text
    assert "Inf ×2" in text


def test_a_slot_that_is_not_finite_is_never_left_out(tmp_path: Path) -> None:
    x = torch.ones(12, requires_grad=True)
    parts = x.split(2)
    loss = sum((part * (i + 1)).sum() for i, part in enumerate(parts[:5]))
    loss = loss + (parts[5] * float("inf")).sum()
    assert isinstance(loss, torch.Tensor)
    trace = record_by_plain_hooks(loss, {"x": x})
    (split,) = [
        text
        for text in boxes(parse_svg(draw(trace, tmp_path, ".svg"))).values()
        if "SplitBackward0" in text[0]
    ]
    assert split[1].startswith("f32[2] Inf ×2, ")
    assert split[-1].endswith(", … 6 in all")


# -- what did not run ------------------------------------------------------------------------------


def test_nodes_that_did_not_run_are_dashed_and_say_so(tmp_path: Path) -> None:
    trace = limited_to_weight()
    source = draw(trace, tmp_path)
    shown = boxes(parse_svg(draw(trace, tmp_path, ".svg")))
    tanh = key_of(trace, "Tanh*")
    assert shown[tanh] == ["TanhBackward0", "f32[16, 8]", "did not run"]
    look = attributes(source, tanh)
    assert "dashed" in look["style"]
    assert look["fillcolor"] == "#FFFFFF"
    assert contrast(look["fontcolor"], "#FFFFFF") >= 4.5
    assert "4 of 11 nodes ran." in draw(trace, tmp_path, ".txt")


def test_what_autograd_grad_returned_is_shown_where_it_was_taken(tmp_path: Path) -> None:
    trace = limited_to_weight()
    weight = key_of(trace, "2.weight")
    stats = trace.passes[0].inputs[0].stats  # type: ignore[index]
    assert stats is not None
    shown = boxes(parse_svg(draw(trace, tmp_path, ".svg")))
    assert shown[weight] == [
        "2.weight",
        f"f32[1, 8] |{stats.l2:.3g}|",
        "returned by autograd.grad, not run",
    ]
    look = attributes(draw(trace, tmp_path), weight)
    assert "dashed" in look["style"]
    assert look["fillcolor"] not in ("#FFFFFF", "#E4E4E4")


def test_the_largest_of_several_gradients_gives_the_colour(tmp_path: Path) -> None:
    trace = limited_to_weight()
    (given,) = trace.passes[0].inputs or ()
    assert given.stats is not None
    both = [replace(given, stats=replace(given.stats, l2=norm)) for norm in (1000.0, 0.5)]
    source = draw(change_pass(trace, inputs=tuple(both)), tmp_path)
    assert attributes(source, key_of(trace, "2.weight"))["fillcolor"] == SHADES[-1]


def test_arrows_without_a_gradient_are_dashed_and_grey(tmp_path: Path) -> None:
    source = draw(limited_to_weight(), tmp_path)
    bias = edge(source, f"n2 -> {key_of(limited_to_weight(), '2.bias')} ")
    assert "style=dashed" in bias
    assert "no gradient was sent (None)" in bias
    below = edge(source, f"{key_of(limited_to_weight(), 'Tanh*')} -> ")
    assert "style=dashed" in below
    assert 'tooltip="not run"' in below
    shown = texts(parse_svg(draw(limited_to_weight(), tmp_path, ".svg")))
    assert "dashed arrow: no gradient sent" in shown


def test_the_node_that_raised_is_marked_and_the_error_told(tmp_path: Path) -> None:
    trace = raised()
    svg = parse_svg(draw(trace, tmp_path, ".svg"))
    assert boxes(svg)["n2"] == ["BrokenBackward", "f32[3]", "RAISED HERE"]
    assert boxes(svg)["n3"][-1] == "did not run"
    shown = texts(svg)
    assert "raised here" in shown
    text = draw(trace, tmp_path, ".txt")
    assert (
        "The pass raised RuntimeError in BrokenBackward (node 2): this backward is <broken>\n"
        in text
    )
    assert "The traced block raised" not in text
    assert attributes(draw(trace, tmp_path), "n2")["color"] == VERMILLION


def test_an_error_outside_of_the_pass_is_told_apart(tmp_path: Path) -> None:
    outcome = Outcome("raised", "KeyError", "'step'\nmore")
    text = draw(change(mlp(), outcome=outcome), tmp_path, ".txt")
    assert "The traced block raised KeyError: 'step'\n" in text
    assert "The pass raised" not in text


def test_a_trace_in_which_nothing_ran_is_drawn(tmp_path: Path) -> None:
    trace = nothing_ran()
    shown = boxes(parse_svg(draw(trace, tmp_path, ".svg")))
    assert len(shown) == 12
    assert all("did not run" in text for key, text in shown.items() if key != "r0")
    source = draw(trace, tmp_path)
    assert "No backward pass ran in this trace" in source
    assert "style=dashed" in edge(source, "r0 -> n0 ")
    assert "norm received:" not in source


# -- numbers that are not there --------------------------------------------------------------------


def test_without_numbers_there_is_order_but_no_colour(tmp_path: Path) -> None:
    trace = without_numbers(scaled())
    svg = parse_svg(draw(trace, tmp_path, ".svg"))
    assert boxes(svg)["n2"] == ["2. x", "f32[4]"]
    assert "ran; norms were not computed" in texts(svg)
    assert "norm received:" not in texts(svg)
    source = draw(trace, tmp_path)
    assert {attributes(source, f"n{id}")["fillcolor"] for id in range(3)} == {"#E4E4E4"}
    assert "Norms were not computed (stats='meta')." in source.replace('<BR ALIGN="LEFT"/>', " ")
    assert "penwidth" not in edge(source, "n0 -> n1 ")


def test_one_gradient_without_numbers_is_told_apart(tmp_path: Path) -> None:
    trace = scaled()
    stats = [*trace.data.table.stats]
    (position,) = trace.data.table.received[1]
    stats[position] = replace(stats[position], l2=None, min=None, max=None, note="on meta")
    trace = change(trace, table=replace(trace.data.table, stats=stats))
    svg = parse_svg(draw(trace, tmp_path, ".svg"))
    assert boxes(svg)["n1"] == ["1. MulBackward0", "f32[4]"]
    assert "no numbers" in texts(svg)
    assert any("(on meta)" in tooltip for tooltip in tooltips(svg))
    assert attributes(draw(trace, tmp_path), "n1")["fillcolor"] == "#E4E4E4"


def test_a_gradient_of_zero_is_white_and_named_in_the_legend(tmp_path: Path) -> None:
    x = torch.ones(2, requires_grad=True)
    trace = record_by_plain_hooks((torch.relu(-x) * 3).sum(), {"x": x})
    source = draw(trace, tmp_path)
    look = attributes(source, key_of(trace, "x"))
    assert (look["fillcolor"], look["style"]) == ("#FFFFFF", "rounded,filled")
    shown = texts(parse_svg(draw(trace, tmp_path, ".svg")))
    assert shown[shown.index("norm received:") + 1] == "0"


def test_a_norm_that_overflows_is_not_called_inf(tmp_path: Path) -> None:
    trace = scaled()
    stats = [*trace.data.table.stats]
    (position,) = trace.data.table.received[2]
    stats[position] = replace(stats[position], l2=float("inf"), max=1e300)
    text = draw(change(trace, table=replace(trace.data.table, stats=stats)), tmp_path, ".txt")
    assert "2. x  leaf f32[4] |inf|  #2  norm overflows\n" in text
    assert "NaN or Inf" not in text


def test_complex_gradients_have_norms(tmp_path: Path) -> None:
    z = torch.tensor([3 + 4j], requires_grad=True)
    # The derivative of |z|² with respect to z is 2z in PyTorch's convention: norm 10.
    trace = record_by_plain_hooks((z * z.conj()).real.sum())
    assert "leaf c64[1] |10|" in draw(trace, tmp_path, ".txt")
