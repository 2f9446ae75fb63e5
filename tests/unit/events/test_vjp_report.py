"""The text of a VjpReport: the first lines answer, and what was cut is said."""

from __future__ import annotations

import re
from dataclasses import replace

from inspect_autograd.events.vjp_report import (
    VjpArgument,
    VjpCheck,
    VjpExample,
    VjpReport,
    VjpStatus,
)
from inspect_autograd.graph.tensor_meta import TensorMeta

WHAT = "what it received times its Jacobian"
RIGHT = VjpArgument(
    position=0,
    name="x",
    meta=TensorMeta((3,), "float32"),
    leads_to=4,
    status="right",
    max_abs_error=1e-8,
    max_rel_error=None,
    compared=2,
    left_out=1,
    examples=(VjpExample((0,), 1.0, 1.0),),
)
WRONG = replace(
    RIGHT,
    name="y",
    status="wrong",
    max_abs_error=3.0,
    max_rel_error=1.5,
    compared=3,
    left_out=0,
    diagnosis="has the wrong sign",
    examples=(VjpExample((1, 2), 1.5, -1.5), VjpExample((0, 0), 0.5, -0.5)),
)


def check(id: int, *arguments: VjpArgument) -> VjpCheck:
    status: VjpStatus = "wrong" if WRONG in arguments else "right"
    diagnosis = "the gradient of argument y has the wrong sign" if WRONG in arguments else ""
    return VjpCheck(
        id, "SwapBackward", "/a/b/train.py:12", status, diagnosis=diagnosis, arguments=arguments
    )


def left_out(id: int, reason: str = "it is a mystery") -> VjpCheck:
    return VjpCheck(id, "AddBackward0", "", "not checked", reason)


def test_a_wrong_node_comes_first() -> None:
    report = VjpReport((check(2, RIGHT), left_out(3), check(5, RIGHT, WRONG)))
    assert report.is_right is False
    answer, table, reasons = str(report).split("\n\n")
    assert answer.splitlines() == [
        f"wrong: 1 of 2 checked nodes does not return {WHAT}; 1 node not checked",
        "  #5 SwapBackward (train.py:12): the gradient of argument y has the wrong sign",
    ]
    assert [re.split(" {2,}", line) for line in table.splitlines()] == [
        ["node", "argument", "status", "largest error", "relative", "elements", "example"],
        ["#5 SwapBackward (train.py:12)", "x f32[3]", "right", "1e-08", "–", "2 (+1 left out)"],
        [
            *("#5 SwapBackward (train.py:12)", "y f32[3]", "wrong", "3", "1.5", "3"),
            "[1, 2]: got -1.5, expected 1.5",
        ],
        ["#2 SwapBackward (train.py:12)", "x f32[3]", "right", "1e-08", "–", "2 (+1 left out)"],
    ]
    columns = [re.search("wrong|right", line) for line in table.splitlines()[1:]]
    assert {found.start() for found in columns if found} == {table.index("status")}
    assert reasons == "not checked: #3 AddBackward0: it is a mystery"


def test_the_first_line_of_each_outcome() -> None:
    def first(*checks: VjpCheck) -> str:
        return str(VjpReport(checks)).splitlines()[0]

    assert first(check(1, RIGHT)) == f"right: the one checked node returns {WHAT}"
    assert first(check(1, RIGHT), check(2, RIGHT), left_out(3)) == (
        f"right: each of 2 checked nodes returns {WHAT}; 1 node not checked"
    )
    assert first(check(1, WRONG), check(2, WRONG)) == (
        f"wrong: 2 of 2 checked nodes do not return {WHAT}"
    )
    assert first(left_out(1), left_out(2)) == "nothing could be checked: 2 nodes left out"
    assert first() == "nothing could be checked"


def test_what_is_right_is_known_or_not() -> None:
    assert VjpReport((check(1, RIGHT), left_out(2))).is_right is True
    assert VjpReport((check(1, RIGHT), check(2, WRONG))).is_right is False
    assert VjpReport((left_out(2),)).is_right is None
    assert VjpReport(()).is_right is None


def test_nodes_with_one_reason_share_a_line() -> None:
    report = VjpReport((*map(left_out, range(7)), left_out(8, "another")))
    assert str(report).splitlines()[2:] == [
        "not checked: #0, #1, #2, #3, #4 and 2 more AddBackward0: it is a mystery",
        "not checked: #8 AddBackward0: another",
    ]


def test_notes_are_shown() -> None:
    report = VjpReport((replace(check(1, RIGHT), notes=("it is late",)),))
    assert "#1 SwapBackward (train.py:12): it is late" in str(report)


def test_long_reports_are_cut_and_say_so() -> None:
    report = VjpReport(tuple(replace(check(id, RIGHT), notes=("n",)) for id in range(50)))
    lines = str(report).splitlines()
    assert "… and 30 more rows; report.checks has them all" in lines
    assert "… and 30 more notes; VjpCheck.notes has them all" in lines
    report = VjpReport(tuple(left_out(id, f"reason {id}") for id in range(50)))
    assert str(report).splitlines()[-1] == (
        "… and 30 more reasons; report.not_checked has them all"
    )


def test_examples() -> None:
    assert str(VjpExample((), 2.0, None)) == "the only element: got None, expected 2"
    assert str(VjpExample((1,), 1 + 2j, 1 - 2j)) == "[1]: got 1-2j, expected 1+2j"


def test_labels() -> None:
    assert check(3, RIGHT).label == "#3 SwapBackward (train.py:12)"
    assert replace(check(3, RIGHT), place="C:\\a\\train.py:12").label.endswith("(train.py:12)")
    assert left_out(4).label == "#4 AddBackward0"
