"""What is said without having seen the node: names and numbers, and that it is no proof."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.events.nonfinite_fixes import FIX_OF_KIND, FIXES, TROUBLE
from inspect_autograd.events.nonfinite_report import NonfiniteReport
from inspect_autograd.events.records import Evidence, TensorStats
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.tensor_meta import TensorMeta
from inspect_autograd.live.nonfinite.examine import RULES
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.events.nonfinite_programs import broken, leaf, report
from tests.unit.hand_traces import EventRow, make_pass, make_trace, stats

NAN, INF = math.nan, math.inf


def unseen(loss: torch.Tensor, params: Any = None) -> NonfiniteReport:
    return report(record_by_plain_hooks(loss, params))


def test_a_name_that_is_known_for_it() -> None:
    found = unseen(leaf(0, 1).sqrt().sum())
    assert found.rule == ""
    assert "names and numbers alone" in found.explanation
    assert "the derivative of sqrt is infinite at 0" in found.explanation
    assert found.fix.startswith("If that is it: ")
    assert FIXES["sqrt-at-zero"] in found.fix
    assert found.values == {"received": "f32[2], at most 1", "returned": "f32[2], 1 Inf"}


def test_a_name_that_is_not_known_for_it() -> None:
    found = unseen((leaf(1, 1) * torch.tensor([INF, NAN])).sum())
    assert (found.what, found.rule) == ("NaN and Inf", "")
    assert "Known of" not in found.explanation
    assert "A hook on this node may have made it" in found.explanation
    assert found.fix == FIX_OF_KIND["born"]
    assert found.values["returned[0]"] == "f32[2], 1 NaN, 1 Inf"


def test_large_gradients_in_half_precision() -> None:
    h = leaf(1, 2, dtype=torch.half)
    found = unseen(((h * 300) * 300).sum())
    assert found.rule == ""
    assert "Likely an overflow: it received up to 300" in found.explanation
    assert "bfloat16" in found.fix


def test_small_gradients_in_half_precision_say_nothing() -> None:
    found = unseen((leaf(1, dtype=torch.half) * INF).sum())
    assert "overflow" not in found.explanation


def test_a_cast_of_what_the_dtype_cannot_hold_is_certain() -> None:
    found = unseen((leaf(1.0).half().float() * 7e4).sum())
    assert found.node_label == "ToCopyBackward0"
    assert "reaches 70000, beyond 65504, the largest float16" in found.explanation


def test_nan_in_half_precision_is_not_called_an_overflow() -> None:
    h = leaf(0, dtype=torch.half)
    found = unseen(((h * NAN) * 300).sum())
    assert (found.what, found.fix) == ("NaN", FIX_OF_KIND["born"])


def test_a_custom_function() -> None:
    found = unseen(broken(leaf(1)).sum())
    assert "BrokenBackward belongs to a custom Function" in found.explanation
    assert FIXES["custom-function"] in found.fix


def with_evidence(rule: str, text: str) -> Trace:
    x = leaf(0, 1)
    trace = record_by_plain_hooks(x.sqrt().sum(), {"x": x})
    evidence = (Evidence(0, "other", "of another event"), Evidence(1, rule, text, {"a": "b"}))
    return Trace(replace(trace.data, evidence=evidence))


def test_evidence_goes_before_names() -> None:
    found = report(with_evidence("overflow", "It was large."))
    assert (found.rule, found.explanation) == ("overflow", "It was large.")
    assert (found.values, found.fix) == ({"a": "b"}, FIXES["overflow"])


def test_a_rule_of_which_no_fix_is_known() -> None:
    found = report(with_evidence("brand-new", "Who knows."))
    assert (found.rule, found.fix) == ("brand-new", FIX_OF_KIND["born"])


def test_evidence_without_a_rule_is_kept_beside_what_names_tell() -> None:
    found = report(with_evidence("", "No rule explains it."))
    assert found.rule == ""
    assert found.explanation.startswith("No rule explains it. Known of SqrtBackward0")
    assert found.values == {"a": "b"}


def test_half_precision_is_named_once() -> None:
    h = leaf(1, 2, dtype=torch.half)
    trace = record_by_plain_hooks(((h * 300) * 300).sum(), {"h": h})
    text = "No rule explains it. The numbers are float16, so an overflow is likely."
    evidence = (Evidence(2, "", text),)
    found = report(Trace(replace(trace.data, evidence=evidence)))
    assert found.event == 2
    assert found.explanation == text
    assert FIXES["half-overflow"] in found.fix


def test_what_edit_gradients_changed_is_named() -> None:
    x = leaf(1, 2)
    y = x * 1.0
    y.register_hook(lambda gradient: gradient * NAN)
    trace = record_by_plain_hooks((y * 3).sum(), {"x": x})
    edits = tuple(f"edit {number}" for number in range(7))
    found = report(Trace(replace(trace.data, edits=edits)))
    assert "changed edit 0, edit 1, edit 2, edit 3, edit 4, … 2 more." in found.explanation


def test_many_sources_are_cut_and_it_is_said() -> None:
    x = leaf(1.0)
    y = x * 1.0
    total = sum(y * 1e38 for _ in range(8))
    assert isinstance(total, torch.Tensor)
    found = unseen(total, {"x": x})
    assert found.kind == "accumulated"
    assert "8 gradients are added up" in found.explanation
    assert len(found.values) == 6
    assert found.values["…"] == "3 more"


def test_a_norm_alone_still_tells_nan() -> None:
    x = leaf(1, 1)
    graph = ia.capture((x * 2).sum(), params={"x": x})
    nan = TensorStats(TensorMeta((2,), "float32"), l2=NAN)
    rows: list[EventRow] = [(0, 0, [stats(1.0)], [nan]), (1, 0, [nan], [nan, None])]
    found = report(make_trace(graph, rows, passes=[make_pass(file=None, line=None)]))
    assert (found.what, found.place) == ("NaN", "")
    assert found.values["returned"] == "f32[2], NaN in it"
    assert found.headline == "NaN was born at #0 SumBackward0 (event 0 of pass 0)"


def test_every_rule_and_every_name_has_a_fix() -> None:
    assert {rule for rule, _ in TROUBLE.values()} <= set(FIXES)
    assert set(TROUBLE) <= {*RULES}
    for fix in [*FIXES.values(), *FIX_OF_KIND.values()]:
        assert fix.endswith((".", "`."))
        assert fix.count("`") % 2 == 0


def sample(**changes: Any) -> NonfiniteReport:
    plain = NonfiniteReport("born", "NaN", 7, 5, "SqrtBackward0", 0, "train.py:41", 0, "", "Why.")
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("kind", "words", "rest"),
    [
        ("born", "born at", ""),
        ("root", "in the gradient given to the root", ""),
        ("accumulated", "born where gradients are added up for", ""),
        ("changed", "put in by a hook on the way to", ""),
        ("unknown", "first seen at", "; the birth was not seen"),
    ],
)
def test_headlines(kind: str, words: str, rest: str) -> None:
    line = f"NaN was {words} #5 SqrtBackward0 (event 7 of pass 0, train.py:41){rest}"
    assert str(sample(kind=kind)).splitlines()[0] == line


def test_two_things_are_plural() -> None:
    assert sample(what="NaN and Inf").headline.startswith("NaN and Inf were born at")


def test_the_whole_text() -> None:
    text = str(
        sample(
            rule="sqrt-at-zero",
            values={"result": "f32[2] = 0"},
            fix="Do this.",
            passed_on=("#6 A", "#7 B"),
            passed_on_count=2,
            reached=("w",),
            others={"LogBackward0": 3},
        )
    )
    assert text.splitlines()[1:] == [
        "  Why.",
        "  rule: sqrt-at-zero",
        "    result: f32[2] = 0",
        "  What to do: Do this.",
        "  Passed on by 2 nodes: #6 A, #7 B.",
        "  It reached the gradient of 1: w.",
        "  Later births that do not come from this one: LogBackward0 (3).",
    ]


def test_long_lists_are_cut_and_long_text_is_wrapped() -> None:
    names = tuple(f"layers.{number}.weight" for number in range(9))
    text = str(
        sample(reached=names, passed_on=("#1 A",), passed_on_count=4, explanation="why " * 60)
    )
    assert "It reached the gradients of 9: layers.0.weight," in text
    assert "layers.4.weight, … 4 more." in text
    assert "Passed on by 4 nodes: #1 A, … 3 more." in text
    assert max(map(len, text.splitlines())) <= 96
