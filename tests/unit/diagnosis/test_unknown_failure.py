"""The facts of a failure that no rule recognises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.scene import (
    CallFacts,
    FrameFacts,
    RunningFacts,
    Scene,
    TensorFacts,
)
from inspect_autograd.diagnosis.unknown_failure import MAX_FACTS, describe_tensor, find_facts
from inspect_autograd.graph.creation import SourceLine
from inspect_autograd.graph.tensor_meta import TensorMeta

LINE = SourceLine("train.py", 3, "f")
META = TensorMeta((3,), "float32")
X = TensorFacts(("x",), META, requires_grad=True)
Y = TensorFacts(("y",), META, requires_grad=True, is_leaf=False, grad_fn="MulBackward0", node=0)
TORCH = FrameFacts(SourceLine("torch/x.py", 1, "g"), "", "torch")


def texts(**facts: Any) -> list[str]:
    return [fact.text for fact in find_facts(Scene(**facts))]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "x is f32[3], a leaf that requires grad"),
        ({"is_parameter": True}, "x is f32[3], a parameter that requires grad"),
        ({"requires_grad": False}, "x is f32[3], without a graph"),
        ({"version": 1}, "x is f32[3], a leaf that requires grad, written in place once"),
        ({"version": 4}, "x is f32[3], a leaf that requires grad, written in place 4 times"),
        ({"names": ()}, "a tensor f32[3], a leaf that requires grad"),
        ({"kind": "DTensor"}, "x is f32[3], a DTensor, a leaf that requires grad"),
        (
            {"is_inference": True, "requires_grad": False, "version": None},
            "x is f32[3], without a graph, made in inference mode",
        ),
        (
            {"grad_fn": "SliceBackward0", "is_leaf": False, "is_view": True},
            "x is f32[3], made by SliceBackward0, a view of another tensor",
        ),
    ],
)
def test_a_tensor_in_words(changes: dict[str, Any], text: str) -> None:
    assert describe_tensor(replace(X, **changes)) == text


def test_what_ran_and_on_what() -> None:
    frame = FrameFacts(LINE, "z = x.foo(y); w = 1", "user", expression="x.foo(y)")
    facts = find_facts(Scene(frames=(frame, TORCH), involved=(X, Y)))
    assert [(fact.text, fact.source) for fact in facts] == [
        ("`x.foo(y)` was running", LINE),
        ("x is f32[3], a leaf that requires grad", None),
        ("y is f32[3], made by MulBackward0", None),
    ]
    assert facts[2].node == 0


def test_the_outputs_of_a_call_unless_the_line_names_them() -> None:
    call = CallFacts("backward", (X, Y))
    assert texts(call=call) == [
        "backward() started from x, f32[3], a leaf that requires grad",
        "backward() started from y, f32[3], made by MulBackward0",
    ]
    assert texts(call=call, involved=(Y,)) == [
        "y is f32[3], made by MulBackward0",
        "backward() started from x, f32[3], a leaf that requires grad",
    ]


def test_nodes_with_written_tensors() -> None:
    y = torch.ones(3, requires_grad=True).exp()
    z = y * 2
    y.add_(1)
    graph = ia.capture(z)
    found = find_facts(
        Scene(graph=graph, running=RunningFacts("MulBackward0", 0, "trace"), transforms=("vmap",))
    )
    assert [fact.text for fact in found] == [
        "inside vmap",
        "MulBackward0 was running",
        "a tensor that ExpBackward0 saved was written since",
    ]
    assert found[2].node == graph.find("Exp*")[0].id


def test_many_nodes_are_counted() -> None:
    y = torch.ones((), requires_grad=True)
    for _ in range(9):
        y = y * y
    y.backward()
    found = texts(graph=ia.capture(y))
    assert found[0] == "a tensor that MulBackward0 saved was freed"
    assert found[-1] == "so it was with 3 more nodes"
    assert len(found) == 7


def test_modes_chain_warnings_and_notes() -> None:
    cause = Failure("KeyError", "'a'\nmore", LINE)
    assert texts(
        is_grad_enabled=False,
        chain=(cause,),
        warnings=(("UserWarning", "careful"),),
        notes=("a hook could not be found",),
    ) == [
        "gradients were turned off (no_grad)",
        "it came from KeyError: 'a'",
        "PyTorch warned (UserWarning): careful",
        "not known: a hook could not be found",
    ]
    assert texts(is_grad_enabled=False, is_inference_mode=True) == ["inference mode was on"]


def test_what_the_program_raised_itself() -> None:
    frame = FrameFacts(LINE, "raise ValueError(x)", "user")
    assert texts(frames=(TORCH, frame)) == ["the program raised this itself, not PyTorch"]
    plain = FrameFacts(LINE, "1 / 0", "user")
    assert texts(frames=(plain,)) == [
        "no code of PyTorch is in the traceback, and no tensor on its last line"
    ]
    assert texts(frames=(plain, TORCH)) == []


def test_there_is_an_end_to_it() -> None:
    failures = tuple(f"note {i}" for i in range(100))
    assert len(texts(notes=failures)) == MAX_FACTS


def test_what_cannot_be_put_into_words_is_left_out() -> None:
    running = RunningFacts("MulBackward0", 10**9, "trace")
    graph = ia.capture(torch.ones(3, requires_grad=True) * 2)
    assert texts(graph=graph, running=running, notes=("n",)) == ["not known: n"]
