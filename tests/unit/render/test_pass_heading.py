"""A backward pass in one line."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest

from inspect_autograd.events.records import Outcome, PassInput, RootGradient
from inspect_autograd.render.pass_heading import describe_input, pass_heading
from tests.unit.events.trace_parts import backward_pass, full, small_graph

AT = "backward() at train.py:41 in step"
ROOT = "from SumBackward0 given f32[] |1| (PyTorch's own 1)"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, f"{AT}, {ROOT}: completed"),
        ({"function": "<module>"}, f"backward() at train.py:41, {ROOT}: completed"),
        ({"function": "a\nb"}, f"backward() at train.py:41 in a␊b, {ROOT}: completed"),
        ({"function": None, "file": None}, f"backward() at unknown place, {ROOT}: completed"),
        ({"call": "grad"}, f"autograd.grad() at train.py:41 in step, {ROOT}: completed"),
        ({"call": "engine"}, f"a backward pass at train.py:41 in step, {ROOT}: completed"),
        ({"parent": 1, "parent_pass": 0}, f"{AT}, called by MulBackward0 #1, {ROOT}: completed"),
    ],
)
def test_what_called_it(changes: dict[str, Any], text: str) -> None:
    assert pass_heading(small_graph(), backward_pass(**changes)) == text


@pytest.mark.parametrize(
    ("roots", "text"),
    [
        ((), f"{AT}: completed"),
        (
            (RootGradient(1, 2, False, full(nan)),),
            f"{AT}, from output 2 of MulBackward0 given f32[2] |nan| NaN (the caller's): completed",
        ),
        (
            tuple(RootGradient(i, 0, False, None) for i in range(4)),
            f"{AT}, from SumBackward0 and MulBackward0 and … 4 roots: completed",
        ),
    ],
)
def test_roots(roots: tuple[RootGradient, ...], text: str) -> None:
    assert pass_heading(small_graph(), backward_pass(roots=roots)) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"create_graph": True, "retain_graph": True}, ", create_graph=True"),
        ({"create_graph": True}, ", create_graph=True, retain_graph=False"),
        ({"retain_graph": True}, ", retain_graph=True"),
        ({"inputs": ()}, ", inputs=[]"),
        (
            {"inputs": tuple(PassInput(2, 0, (f"p{i}",), None) for i in range(5))},
            ", inputs=[p0, p1, p2, … 5 in all]",
        ),
    ],
)
def test_options_that_are_not_the_default(changes: dict[str, Any], text: str) -> None:
    heading = pass_heading(small_graph(), backward_pass(**changes))
    assert heading == f"{AT}, {ROOT}{text}: completed"


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome("raised", "RuntimeError", "no", 1), "raised RuntimeError"),
        (Outcome("running"), "running"),
    ],
)
def test_outcomes(outcome: Outcome, text: str) -> None:
    assert pass_heading(small_graph(), backward_pass(outcome=outcome)) == f"{AT}, {ROOT}: {text}"


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (PassInput(2, 0, ("w", "tied"), None), "w"),
        (PassInput(2, 0, (), None), "w"),
        (PassInput(1, 0, (), None), "MulBackward0"),
        (PassInput(1, 3, (), None), "output 3 of MulBackward0"),
        (PassInput(None, 0, (), None), "an unreached tensor"),
        (PassInput(None, 0, ("v",), None), "v"),
    ],
)
def test_inputs(item: PassInput, text: str) -> None:
    assert describe_input(small_graph(), item) == text
