"""break_on: where it stops, in which passes, and what it says at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    InspectAutogradError,
    NoGraphError,
)

Seen = list[tuple[str, str]]


def noting(seen: Seen, answer: str = "continue") -> Callable[[ia.Pause], str]:
    """A prompt that notes where it was asked."""

    def ask(pause: ia.Pause) -> str:
        seen.append((pause.when, pause.node.label))
        return answer

    return ask


def exp_program() -> tuple[torch.Tensor, torch.Tensor]:
    """x = 0, 0 and loss = sum(2 exp(x)): the gradient is 2, 2."""
    x = torch.zeros(2, requires_grad=True)
    return x, (2 * x.exp()).sum()


# -- conditions ------------------------------------------------------------------------------------


def test_a_glob_stops_before_the_node() -> None:
    _, loss = exp_program()
    seen: Seen = []
    with ia.break_on("Exp*", prompt=noting(seen)) as block:
        loss.backward()
    assert seen == [("before", "ExpBackward0")]
    assert (block.stop_count, block.pass_count) == (1, 1)
    assert str(block) == "break_on 'Exp*': 1 stop in 1 pass"


def test_a_glob_for_the_name_of_a_parameter() -> None:
    model = nn.Linear(2, 1)
    seen: Seen = []
    with ia.break_on("weight", params=model, prompt=noting(seen)):
        model(torch.ones(1, 2)).sum().backward()
    assert seen == [("before", "weight")]


@pytest.mark.parametrize("is_open", [True, False])
def test_a_glob_for_a_recorded_module(is_open: bool) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh(), nn.Sigmoid()))
    seen: Seen = []
    with ia.record(model) as recording:
        loss = model(torch.ones(1, 2)).sum()
        if is_open:
            with ia.break_on("1.*", prompt=noting(seen)):
                loss.backward()
    if not is_open:
        with ia.break_on("1.*", prompt=noting(seen)):
            loss.backward()
    assert seen == [("before", "SigmoidBackward0"), ("before", "TanhBackward0")]
    assert recording is not None


def test_a_predicate_is_asked_before_and_else_after() -> None:
    x = torch.full((4,), 3.0, requires_grad=True)
    loss = (x * 100).sum()
    seen: Seen = []
    # sum receives 1 and returns a gradient of norm 2; mul returns one of norm 200.
    with ia.break_on(lambda pause: pause.norm > 1.5, prompt=noting(seen)):
        loss.backward()
    assert seen == [
        ("after", "SumBackward0"),
        ("before", "MulBackward0"),
        ("before", "AccumulateGrad"),
    ]


def test_what_a_predicate_sees() -> None:
    _, loss = exp_program()
    found: list[Any] = []

    def look(pause: ia.Pause) -> bool:
        if pause.node.name == "MulBackward0":
            returned = None if pause.returned is None else pause.returned[0]
            found.append((pause.when, pause.received[0], returned, pause.norm, repr(pause)))
        return False

    with ia.break_on(look):
        loss.backward()
    (when, received, returned, norm, _), (later, _, made, later_norm, text) = found
    assert (when, later, returned) == ("before", "after", None)
    assert received.tolist() == [1, 1]
    assert made.tolist() == [2, 2]
    assert (norm, later_norm) == pytest.approx((2**0.5, 8**0.5))
    assert text == "<Pause after #1 MulBackward0>"


def test_nonfinite_stops_once_in_each_pass_and_at_its_birth() -> None:
    seen: Seen = []
    with ia.break_on(nonfinite=True, prompt=noting(seen)) as block:
        for start in (0.0, 1.0, 0.0):
            x = torch.tensor([start], requires_grad=True)
            # d sqrt / dx at 0 is Inf; everything behind it is Inf too.
            (3 * (x * 2).sqrt()).sum().backward()
    assert seen == [("after", "SqrtBackward0")] * 2
    assert block.pass_count == 3


def test_nonfinite_that_comes_from_outside_stops_before() -> None:
    x = torch.ones(2, requires_grad=True)
    seen: Seen = []
    with ia.break_on(nonfinite=True, prompt=noting(seen)):
        (x * 2).backward(torch.tensor([1.0, float("nan")]))
    assert seen == [("before", "MulBackward0")]


def test_a_sum_that_overflows_is_met_before_the_node_that_receives_it() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x * 1
    seen: Seen = []
    with ia.break_on(nonfinite=True, prompt=noting(seen)):
        ((y * 2e38) + (y * 2e38)).sum().backward()  # Together 4e38, beyond float32.
    assert seen[0][0] == "before"
    assert [label for _, label in seen] == ["MulBackward0"]


def test_a_sparse_gradient_has_a_norm_and_is_finite() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    found = []

    def look(pause: ia.Pause) -> bool:
        found.append((pause.node.name, pause.norm, pause.is_finite))
        return False

    with ia.break_on(look):
        table(torch.tensor([1, 1])).sum().backward()
    # Row 1 is looked up twice: its gradient is (2, 2).
    name, norm, is_finite = found[-1]
    assert (name, is_finite) == ("AccumulateGrad", True)
    assert norm == pytest.approx(8**0.5)


def test_values_that_cannot_be_read_meet_no_condition() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    found = []

    def look(pause: ia.Pause) -> bool:
        found.append((pause.norm != pause.norm, pause.is_finite))
        return pause.norm > 0

    with ia.break_on(look, nonfinite=True) as block:
        torch.autograd.grad(y, x, torch.eye(2), is_grads_batched=True)
    assert found == [(True, None)] * 2
    assert block.stop_count == 0


# -- passes ----------------------------------------------------------------------------------------


def test_only_the_graph_of_outputs() -> None:
    x = torch.ones(2, requires_grad=True)
    loss, other = x.exp().sum(), x.exp().prod()
    seen: Seen = []
    with ia.break_on("*", outputs=loss, prompt=noting(seen)):
        other.backward()
        assert seen == []  # Not at the leaf either, which both graphs share.
        loss.backward()
    assert [label for _, label in seen] == ["SumBackward0", "ExpBackward0", "AccumulateGrad"]


def test_a_leaf_as_output() -> None:
    x = torch.ones(2, requires_grad=True)
    seen: Seen = []
    with ia.break_on("Acc*", outputs=x, prompt=noting(seen)):
        x.backward(torch.ones(2))
    assert seen == [("before", "AccumulateGrad")]


def test_next_goes_from_node_to_node_and_ends_with_the_pass(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: Seen = []
    with ia.break_on("Mul*", prompt=noting(seen, "next")):
        exp_program()[1].backward()
        exp_program()[1].backward()
    one = [("before", name) for name in ("MulBackward0", "ExpBackward0", "AccumulateGrad")]
    assert seen == one * 2
    assert capsys.readouterr().out.count("pass 0 is over\n") == 1


def test_a_reentrant_checkpoint_is_part_of_its_pass(capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.ones(2, requires_grad=True)
    loss = checkpoint(lambda x: x.exp().sin(), x * 2, use_reentrant=True).sum()
    seen: Seen = []
    with ia.break_on("Checkpoint*", outputs=loss, prompt=noting(seen, "next")):
        loss.backward()
    assert [label for _, label in seen] == [
        "CheckpointFunctionBackward",
        "SinBackward0",
        "ExpBackward0",
        "AccumulateGrad",  # of the detached input of the checkpoint
        "MulBackward0",
        "AccumulateGrad",
    ]
    assert capsys.readouterr().out.count("pass 0 is over\n") == 1


def test_a_pass_inside_of_a_pass_over_the_same_graph_stops_once_at_each_node() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    doubled = y * 2
    loss = doubled.sum()

    def again(gradient: torch.Tensor) -> None:
        torch.autograd.grad(y, x, gradient, retain_graph=True)

    doubled.register_hook(again)
    seen: Seen = []
    with ia.break_on("Exp*", prompt=noting(seen)) as block:
        loss.backward()
    # ExpBackward0 runs in the inner pass, and then in the outer one.
    assert seen == [("before", "ExpBackward0")] * 2
    assert block.pass_count == 1


def test_nodes_that_a_pass_makes_are_stopped_at_in_the_next_one() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    seen: Seen = []
    with ia.break_on("Exp*", "Pow*", prompt=noting(seen)):
        (first,) = torch.autograd.grad(x**3, x, create_graph=True)
        first.backward()
    assert seen[0] == ("before", "PowBackward0")
    assert len(seen) == 2
    assert x.grad is not None
    assert x.grad.item() == 12


def test_a_pass_limited_to_inputs_stops_only_where_nodes_run() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    loss = y.sin().sum()
    seen: Seen = []
    with ia.break_on("*", prompt=noting(seen)):
        torch.autograd.grad(loss, y)
    assert [label for _, label in seen] == ["SumBackward0", "SinBackward0"]


# -- what is said at the end -----------------------------------------------------------------------


def test_a_glob_that_matches_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with ia.break_on("Expp*"):
        exp_program()[1].backward()
    assert capsys.readouterr().err == (
        "break_on: 'Expp*' matches none of the 4 nodes of 1 pass; "
        "the closest names are ExpBackward0\n"
    )


def test_that_no_pass_began_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with ia.break_on("Exp*"):
        pass
    assert capsys.readouterr().err == "break_on: no backward pass began in the block\n"


def test_that_no_value_met_the_condition_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with ia.break_on("Exp*", prompt=["continue"]):
        exp_program()[1].backward()
    assert capsys.readouterr().err == ""
    with ia.break_on(nonfinite=True):
        exp_program()[1].backward()
    assert capsys.readouterr().err == (
        "break_on: no stop at the 4 nodes of 1 pass, for the first NaN or Inf\n"
    )


def test_a_glob_that_matches_no_node_of_outputs_is_refused() -> None:
    _, loss = exp_program()
    with pytest.raises(ArgumentError, match=r"'Expp\*' matches none of the 4 nodes(.|\n)*ExpBack"):
        ia.break_on("Expp*", outputs=loss).__enter__()
    loss.backward()


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "options", "error", "message"),
    [
        ((), {}, ArgumentError, "conditions is empty"),
        (("",), {}, ArgumentError, r"conditions\[0\] is an empty string"),
        (("*", 3), {}, ArgumentTypeError, r"conditions\[1\] is of type int"),
        ((torch.ones(2),), {}, ArgumentTypeError, "What the pass starts from is outputs=loss"),
        ((ia.Pause,), {}, ArgumentTypeError, "type type"),
        ((), {"nonfinite": 1}, ArgumentTypeError, "nonfinite is int"),
        (("*",), {"prompt": "where"}, ArgumentTypeError, "prompt is 'where' of type str"),
        (("*",), {"prompt": [1]}, ArgumentTypeError, r"prompt is \[1\] of type list"),
    ],
)
def test_bad_arguments(
    conditions: Any, options: Any, error: type[InspectAutogradError], message: str
) -> None:
    with pytest.raises(error, match=message):
        ia.break_on(*conditions, **options)


def test_outputs_without_a_graph() -> None:
    with pytest.raises(NoGraphError), ia.break_on("*", outputs=torch.ones(2)):
        pass


def test_a_block_is_for_one_use() -> None:
    block = ia.break_on("Exp*", prompt=["c"])
    with block:
        exp_program()[1].backward()
    with pytest.raises(InspectAutogradError, match="has been entered before"), block:
        pass
