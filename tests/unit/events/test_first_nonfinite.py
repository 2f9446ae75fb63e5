"""Where NaN or Inf was born, in real backward passes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError
from inspect_autograd.events.first_nonfinite import find_first_nonfinite
from inspect_autograd.events.records import RootGradient
from inspect_autograd.events.trace import Trace
from tests.conformance.plain_hooks import naive_stats, record_by_plain_hooks
from tests.unit.events.nonfinite_programs import (
    blamed_by_anomaly_mode,
    broken,
    leaf,
    report,
    report_of,
    trace_with_evidence,
)

NAN, INF = math.nan, math.inf
HALF = torch.float16


def masked_sqrt(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x.sqrt(), torch.zeros_like(x)).sum()


def test_the_first_line_answers() -> None:
    x = leaf(0, 1, 4)
    found = report_of(masked_sqrt(x), {"x": x})
    assert str(found).splitlines()[0] == (
        f"NaN was born at #{found.node} SqrtBackward0 (event 2 of pass 0, plain_hooks.py:1)"
    )
    assert (found.kind, found.what, found.event, found.slot) == ("born", "NaN", 2, 0)
    assert (found.rule, found.node_label) == ("zero-times-inf", "SqrtBackward0")
    assert found.values["result"] == "f32[3], 1 of 3 is 0, first at [0], from 0 to 2"
    assert "torch.where(mask, x, 1.0)" in found.fix
    assert (found.reached, found.passed_on_count, found.others) == (("x",), 0, {})


Program = Callable[[torch.Tensor], torch.Tensor]

PROGRAMS: list[tuple[str, tuple[float, ...], Program, str, str, str, str | None]] = [
    # Name; the leaf; the program; what is born where and the rule; and whom anomaly mode blames.
    ("where", (0, 1), masked_sqrt, "NaN", "SqrtBackward0", "zero-times-inf", "SqrtBackward0"),
    ("log 0", (0, 1), lambda x: x.log().sum(), "Inf", "LogBackward0", "log-at-zero", None),
    (
        "x / 0",
        (1, 2),
        lambda x: (x / torch.zeros(2)).sum(),
        "Inf",
        "DivBackward0",
        "division-by-zero",
        None,
    ),
    (
        "0 / 0",
        (0, 0),
        lambda x: (x / x).sum(),
        "NaN and Inf",
        "DivBackward0",
        "division-by-zero",
        "DivBackward0",
    ),
    (
        "1e38 · 1e38",
        (1, 1),
        lambda x: ((x * 1e38) * 1e38).sum(),
        "Inf",
        "MulBackward0",
        "overflow",
        None,
    ),
    (
        "inf · 0",
        (1, 1),
        lambda x: ((x * torch.tensor([INF, 1])) * torch.tensor([0.0, 1.0])).sum(),
        "NaN",
        "MulBackward0",
        "saved-nonfinite",
        "MulBackward0",
    ),
    (
        # The derivative of sqrt is Inf, and only the 0 below makes it NaN.
        "inf, then nan",
        (1, 1),
        lambda x: (x * 0).sqrt().sum(),
        "Inf",
        "SqrtBackward0",
        "sqrt-at-zero",
        "MulBackward0",
    ),
]


@pytest.mark.parametrize(
    ("numbers", "program", "what", "node", "rule", "_"),
    [row[1:] for row in PROGRAMS],
    ids=[row[0] for row in PROGRAMS],
)
def test_births(
    numbers: tuple[float, ...], program: Program, what: str, node: str, rule: str, _: object
) -> None:
    x = leaf(*numbers)
    found = report_of(program(x), {"x": x})
    assert (found.kind, found.what, found.node_label, found.rule) == ("born", what, node, rule)
    assert found.reached == ("x",)
    assert found.fix
    event = record_by_plain_hooks(program(x), {"x": x}).events[found.event or 0]
    assert event.node == found.node


@pytest.mark.parametrize(
    ("numbers", "program", "node", "blamed"),
    [(row[1], row[2], row[4], row[6]) for row in PROGRAMS],
    ids=[row[0] for row in PROGRAMS],
)
def test_what_anomaly_mode_says_of_the_same_programs(
    numbers: tuple[float, ...], program: Program, node: str, blamed: str | None
) -> None:
    assert blamed_by_anomaly_mode(lambda: program(leaf(*numbers))) == blamed


def test_anomaly_mode_ignores_inf_and_blames_the_node_behind() -> None:
    x = leaf(1, 1)
    assert blamed_by_anomaly_mode(lambda: (leaf(0, 1)).log().sum()) is None
    assert blamed_by_anomaly_mode(lambda: (leaf(1, 1) * 0).sqrt().sum()) == "MulBackward0"
    found = report_of((x * 0).sqrt().sum(), {"x": x})
    assert found.node_label == "SqrtBackward0"
    assert found.passed_on == (f"#{found.node + 1} MulBackward0",)
    assert (found.passed_on_count, found.others) == (1, {})


def test_a_half_precision_overflow() -> None:
    h = leaf(1, 2, dtype=HALF)
    found = report_of(((h * 300) * 300).sum(), {"h": h})
    assert (found.what, found.rule) == ("Inf", "half-overflow")
    assert "90000, beyond 65504" in found.explanation
    assert "bfloat16" in found.fix


def test_an_infinite_activation_of_the_forward_pass() -> None:
    x, w = leaf(1, 2), leaf(1, 1)
    found = report_of(((x * 1e38) * 1e38 * w * 0).sum(), {"x": x, "w": w})
    assert found.rule == "saved-nonfinite"
    assert found.reached == ("w",)
    assert "forward pass" in found.fix


def test_finite_gradients_give_nothing() -> None:
    x = leaf(1, 2)
    assert find_first_nonfinite(record_by_plain_hooks((x * x).sum(), {"x": x})) is None
    # The loss is NaN here, and every gradient finite: 1/x.
    assert find_first_nonfinite(record_by_plain_hooks(leaf(-1, 1).log().sum())) is None


def test_a_trace_without_numbers_cannot_tell() -> None:
    trace = record_by_plain_hooks(leaf(0).log().sum())
    with pytest.raises(ArgumentError, match="stats='meta'") as caught:
        find_first_nonfinite(Trace(replace(trace.data, stats_level="meta")))
    assert 'stats="basic"' in caught.value.remedy


def test_a_root_that_was_given_nan() -> None:
    x = leaf(1, 2)
    y = x * 2
    given = torch.tensor([NAN, 1.0])
    trace = record_by_plain_hooks(y, {"x": x}, lambda: y.backward(given))
    root = RootGradient(0, 0, False, naive_stats(given))
    first = replace(trace.passes[0], roots=(root,))
    found = report(Trace(replace(trace.data, passes=(first,))))
    assert (found.kind, found.what, found.event, found.slot) == ("root", "NaN", 0, 0)
    assert found.headline.startswith("NaN was in the gradient given to the root #0 MulBackward0")
    assert found.values == {"gradient given": "f32[2], 1 NaN"}
    assert found.passed_on == ("#0 MulBackward0",)
    assert found.reached == ("x",)
    assert "backward(gradient=...)" in found.fix
    # Without the record of the root, nothing says where it came from.
    unrecorded = replace(trace.passes[0], roots=())
    found = report(Trace(replace(trace.data, passes=(unrecorded,))))
    assert found.kind == "unknown"
    assert "not traced" in found.explanation


def test_finite_gradients_whose_sum_is_not() -> None:
    x = leaf(1, 2)
    y = x * 1.0
    found = report_of((y * 3e38 + y * 2e38).sum(), {"x": x})
    assert (found.kind, found.what, found.slot) == ("accumulated", "Inf", 0)
    assert found.headline.startswith("Inf was born where gradients are added up for #")
    assert "2 gradients are added up" in found.explanation
    assert "beyond 3.40282e+38, the largest float32" in found.explanation
    assert list(found.values.values()) == ["f32[2], at most 3e+38", "f32[2], at most 2e+38"]
    assert found.passed_on == (f"#{found.node} MulBackward0",)
    assert found.reached == ("x",)


def test_gradients_that_add_up_at_a_leaf() -> None:
    w = leaf(1.0)
    found = report_of((w * 2e38 + w * 2e38).sum(), {"w": w})
    assert (found.kind, found.node_label) == ("accumulated", "w")
    assert (found.passed_on_count, found.reached) == (0, ("w",))
    assert "Passed on by no node." in str(found)


def test_a_gradient_of_a_root_and_one_of_a_node_that_add_up() -> None:
    x = leaf(1.0)
    y = x * 1.0
    z = y * 3e38
    trace = record_by_plain_hooks(
        z, {"x": x}, lambda: torch.autograd.backward([z, y], [torch.ones(1), torch.tensor([3e38])])
    )
    roots = (
        RootGradient(0, 0, False, naive_stats(torch.ones(1))),
        RootGradient(1, 0, False, naive_stats(torch.tensor([3e38]))),
    )
    found = report(Trace(replace(trace.data, passes=(replace(trace.passes[0], roots=roots),))))
    assert (found.kind, found.node) == ("accumulated", 1)
    assert found.values == {
        "gradient given to the root": "f32[1], at most 3e+38",
        "#0 MulBackward0[0]": "f32[1], at most 3e+38",
    }


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_hook_that_puts_it_in(bad: float) -> None:
    x = leaf(1, 2)
    y = x * 1.0
    y.register_hook(lambda gradient: gradient * bad)
    found = report_of((y * 3).sum(), {"x": x})
    what = "NaN" if math.isnan(bad) else "Inf"
    assert (found.kind, found.what) == ("changed", what)
    assert found.headline.startswith(f"{what} was put in by a hook on the way to #2 MulBackward0")
    assert found.values == {"#1 MulBackward0[0]": "f32[2], at most 3"}
    assert "register_hook" in found.fix
    assert found.reached == ("x",)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_hook_behind_a_sum_that_cannot_overflow(bad: float) -> None:
    x = leaf(1, 2)
    y = x * 1.0
    y.register_hook(lambda gradient: gradient * bad)
    found = report_of((y * 3 + y * 4).sum(), {"x": x})
    assert found.kind == "changed"
    assert "2 gradients returned to it are finite and cannot add up" in found.explanation


def test_nan_behind_a_sum_is_never_an_overflow() -> None:
    x = leaf(1.0)
    y = x * 1.0
    y.register_hook(lambda gradient: gradient * NAN)
    assert report_of((y * 3e38 + y * 3e38).sum(), {"x": x}).kind == "changed"


def test_a_node_that_only_receives_it_is_not_where_it_was_born() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8), torch.nn.Tanh()
    )
    loss = (model(torch.randn(2, 4)) * 0).sqrt().sum()
    found = report_of(loss, model)
    assert found.node_label == "SqrtBackward0"
    # The multiplication; and tanh, addmm and t of both layers.
    assert found.passed_on[0].endswith(" MulBackward0")
    assert set(found.reached) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert found.passed_on_count == len(found.passed_on) + 2 == 7
    assert "Passed on by 7 nodes" in str(found)


def test_later_births_are_counted_by_name() -> None:
    x = leaf(0, 1)
    loss = x.log().sum() + x.sqrt().sum() + (x * 1).sqrt().sum()
    found = report_of(loss, {"x": x})
    assert found.node_label == "SqrtBackward0"
    assert found.others == {"SqrtBackward0": 1, "LogBackward0": 1}
    assert "Later births that do not come from this one" in str(found)


def test_a_birth_elsewhere_is_not_what_passes_this_one_on() -> None:
    a, b = leaf(0.0), leaf(0.0)
    # The branch of `b` was made last, so it runs first.
    loss = (a * 1).log().sum() + (b * 1).sqrt().sum()
    found = report_of(loss, {"a": a, "b": b})
    assert found.node_label == "SqrtBackward0"
    assert found.passed_on_count == 1
    assert found.others == {"LogBackward0": 1}
    assert found.reached == ("b", "a")


def test_a_custom_function() -> None:
    x = leaf(1, 2)
    found = report_of(broken(x).sum(), {"x": x})
    assert (found.node_label, found.rule) == ("BrokenBackward", "custom-function")
    assert "gradcheck" in found.fix


def test_a_leaf_without_a_name_is_reached_too() -> None:
    found = report_of(leaf(0, 1).log().sum())
    assert found.reached == (f"#{found.node + 1} f32[2] (no name)",)


def test_a_pass_that_raised_still_tells() -> None:
    x = leaf(0, 1)

    def refuse(gradient: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no more")

    y = x * 1.0
    y.register_hook(refuse)
    trace = trace_with_evidence(y.log().sum(), {"x": x})
    assert trace.outcome.status == "raised"
    found = report(trace)
    assert (found.node_label, found.reached) == ("LogBackward0", ())
    assert "It reached no leaf." in str(found)


def test_the_real_trace_tells_the_same() -> None:
    x = leaf(0, 1)
    loss = masked_sqrt(x)
    with ia.trace(loss, params={"x": x}) as trace:
        loss.backward()
    found = trace.first_nonfinite()
    assert found is not None
    assert (found.rule, found.reached) == ("zero-times-inf", ("x",))
    assert found.place.startswith("test_first_nonfinite.py:")


def test_a_recording_tells_which_line_made_the_node() -> None:
    x = leaf(0, 1)
    with ia.record(params={"x": x}, stats="basic") as recording:
        y = x.log()
        y.sum().backward()
    found = recording.traces[0].first_nonfinite()
    assert found is not None
    line = found.place.partition(":")[2]
    assert found.made_by == f"Tensor.log at test_first_nonfinite.py:{int(line) - 1}"
    assert str(found).splitlines()[1] == f"  #{found.node} was made by {found.made_by}"


def test_a_recording_tells_the_module_too() -> None:
    class Logarithm(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.log()

    model, x = torch.nn.ModuleDict({"inner": Logarithm()}), leaf(0, 1)
    with ia.record(model, stats="basic") as recording:
        model["inner"](x).sum().backward()
    found = recording.traces[0].first_nonfinite()
    assert found is not None
    assert found.made_by.endswith(" in inner")


def test_without_a_recording_no_line_is_named() -> None:
    x = leaf(0, 1)
    loss = x.log().sum()
    with ia.trace(loss, params={"x": x}) as trace:
        loss.backward()
    found = trace.first_nonfinite()
    assert found is not None
    assert found.made_by == ""
    assert "made by" not in str(found)
