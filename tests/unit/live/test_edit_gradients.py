"""edit_gradients: what nodes receive is edited, only inside the block, and nothing is left."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch

from inspect_autograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    InspectAutogradError,
    NoGraphError,
)
from inspect_autograd.live.edit_gradients import active_edits, edit_gradients
from inspect_autograd.live.edits import add_noise, clamp, clip_norm, name_of_edit, scale, zero


def exp_program() -> tuple[torch.Tensor, torch.Tensor]:
    """x = 0, 0 and loss = sum(2 exp(x)): without edits the gradient is 2, 2."""
    x = torch.zeros(2, requires_grad=True)
    return x, (2 * x.exp()).sum()


def gradient_with(edits: Any, params: Any = None) -> list[float]:
    x, loss = exp_program()
    with edit_gradients(edits, loss, params=params):
        loss.backward()
    assert x.grad is not None
    result: list[float] = x.grad.tolist()
    return result


def test_each_ready_made_edit() -> None:
    # MulBackward0 receives (1, 1) and exp'(0) = 1, so x gets twice what the edit returns.
    assert gradient_with({"Mul*": zero()}) == [0, 0]
    assert gradient_with({"Mul*": scale(0.25)}) == [0.5, 0.5]
    assert gradient_with({"Mul*": clamp(high=0.5)}) == [1, 1]
    assert gradient_with({"Mul*": clamp(low=3)}) == [6, 6]
    assert gradient_with({"Mul*": clip_norm(5)}) == [2, 2]
    # The norm of (1, 1) is sqrt(2), so clipped to norm 1 each element is 1 / sqrt(2).
    assert gradient_with({"Mul*": clip_norm(1)}) == pytest.approx([2**0.5] * 2, rel=1e-5)


def test_zero_stops_nan_too() -> None:
    assert gradient_with({"Mul*": scale(float("nan")), "Exp*": zero()}) == [0, 0]


def test_noise_is_repeatable_and_leaves_the_random_numbers_of_the_program_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = gradient_with({"Exp*": add_noise(0.1, seed=3)})
    assert torch.equal(torch.rand(3), expected)
    assert first == gradient_with({"Exp*": add_noise(0.1, seed=3)})
    assert first != gradient_with({"Exp*": add_noise(0.1, seed=4)})
    noise = torch.randn(2, generator=torch.Generator().manual_seed(3))
    assert first == pytest.approx((2 + 0.1 * noise).tolist())


def test_edits_of_one_node_run_in_their_order() -> None:
    double, cap = scale(2), clamp(high=1.5)
    assert gradient_with({"MulBackward0": double, "Mul*": cap}) == [3, 3]
    assert gradient_with({"MulBackward0": cap, "Mul*": double}) == [4, 4]


def test_a_parameter_is_found_by_its_name() -> None:
    model = torch.nn.Linear(2, 1)
    loss = model(torch.ones(1, 2)).sum()
    with edit_gradients({"bias": scale(3)}, loss, params=model) as edits:
        loss.backward()
    assert model.bias.grad is not None
    assert model.weight.grad is not None
    assert model.bias.grad.tolist() == [3]
    assert model.weight.grad.tolist() == [[1, 1]]
    assert [edit.count for edit in edits.edits] == [1]


def test_nothing_is_edited_before_and_after_the_block() -> None:
    x, loss = exp_program()
    block = edit_gradients({"Exp*": zero()}, loss)
    loss.backward(retain_graph=True)
    with block:
        assert active_edits() == ("Exp*: zero()",)
        loss.backward(retain_graph=True)
    assert active_edits() == ()
    loss.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [4, 4]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_hooks_go_when_the_block_is_left_by_an_error(error: type[BaseException]) -> None:
    x, loss = exp_program()
    with pytest.raises(error), edit_gradients({"*": zero()}, loss):
        raise error
    assert active_edits() == ()
    loss.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_an_edit_that_raises_ends_the_pass_with_its_own_error() -> None:
    def fail(_: torch.Tensor) -> torch.Tensor:
        raise OverflowError("mine")

    x, loss = exp_program()
    with pytest.raises(OverflowError, match="mine"), edit_gradients({"Exp*": fail}, loss):
        loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_none_gradients_stay_none() -> None:
    seen = []

    class Half(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> Any:
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            seen.append(grads)
            return grads[0]

    x = torch.ones(2, requires_grad=True)
    first, _ = Half.apply(x)  # type: ignore[no-untyped-call]
    loss = first.sum()
    with edit_gradients({"HalfBackward": scale(5)}, loss) as edits:
        loss.backward()
    assert seen[0][1] is None
    assert seen[0][0].tolist() == [5, 5]
    assert edits.edits[0].count == 1


def test_second_derivatives_go_through_the_edit() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x**3
    with edit_gradients({"Pow*": lambda gradient: gradient * gradient * 5}, y):
        (first,) = torch.autograd.grad(y, x, torch.tensor(1.0), create_graph=True)
    # 5 g² · 3 x² with g = 1.
    assert first.item() == 60
    assert torch.autograd.grad(first, x)[0].item() == 60


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda gradient: gradient[:1], r"tensor of shape \[1\]; expected \[2\]"),
        (lambda gradient: gradient.double(), "dtype torch.float64; expected torch.float32"),
        (lambda gradient: gradient.to("meta"), "device meta; expected cpu"),
        (lambda gradient: None, "returned NoneType; expected a tensor"),
        (lambda gradient: gradient.mul_(2), "changed the gradient in place"),
    ],
)
def test_a_wrong_result_is_refused(edit: Any, message: str) -> None:
    _, loss = exp_program()
    with (
        pytest.raises(ArgumentError, match=message) as caught,
        edit_gradients({"Exp*": edit}, loss),
    ):
        loss.backward()
    assert "the edit Exp*: <lambda> at test_edit_gradients.py:" in str(caught.value)
    assert "at node #2 ExpBackward0" in str(caught.value)


def test_a_shared_leaf_is_not_edited_for_another_graph() -> None:
    x, loss = exp_program()
    other = (x * 3).sum()
    with edit_gradients({"AccumulateGrad": scale(10)}, loss) as edits:
        other.backward()
        assert x.grad is not None
        assert x.grad.tolist() == [3, 3]
        loss.backward()
        assert x.grad.tolist() == [23, 23]
    assert edits.edits[0].count == 1


def test_a_leaf_is_edited_also_if_the_pass_starts_in_the_middle() -> None:
    x = torch.zeros(2, requires_grad=True)
    middle = x.exp()
    loss = middle.sum()
    with edit_gradients({"AccumulateGrad": scale(10)}, loss):
        middle.backward(torch.ones(2))
    assert x.grad is not None
    assert x.grad.tolist() == [10, 10]


def test_a_leaf_given_as_output_is_edited() -> None:
    x = torch.zeros(2, requires_grad=True)
    with edit_gradients({"AccumulateGrad": scale(10)}, x):
        x.backward(torch.ones(2))
    assert x.grad is not None
    assert x.grad.tolist() == [10, 10]


class Watched:
    """Lives in the metadata of a node, and so as long as the node does."""


def test_the_graph_is_freed_inside_the_block_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        _, loss = exp_program()
        watched = Watched()
        node: Any = loss.grad_fn
        node.metadata["watched"] = watched
        del node
        alive = weakref.ref(watched)
        del watched
        with edit_gradients({"*": scale(2)}, loss):
            loss.backward()
            del loss
            assert alive() is None
    finally:
        gc.enable()


def test_nested_blocks_close_in_any_order() -> None:
    x, loss = exp_program()
    outer, inner = (edit_gradients({"Exp*": scale(factor)}, loss) for factor in (2, 3))
    outer.__enter__()
    inner.__enter__()
    assert active_edits() == ("Exp*: scale(2)", "Exp*: scale(3)")
    outer.__exit__(None, None, None)
    assert active_edits() == ("Exp*: scale(3)",)
    loss.backward()
    inner.__exit__(None, None, None)
    assert x.grad is not None
    assert x.grad.tolist() == [6, 6]


def test_what_is_printed() -> None:
    _, loss = exp_program()
    with edit_gradients({"Exp*": scale(2), "*Back*": zero()}, loss) as edits:
        loss.backward()
    assert str(edits) == (
        "Exp*: scale(2): 1 node, 1 gradient edited\n*Back*: zero(): 3 nodes, 3 gradients edited"
    )


def test_names_of_edits() -> None:
    def halve(gradient: torch.Tensor) -> torch.Tensor:
        return gradient / 2

    assert name_of_edit(halve) == "halve"
    assert name_of_edit(torch.zeros_like) == "zeros_like"
    assert repr(clamp(-1, None)) == "clamp(-1, None)"
    assert repr(clip_norm(0.5)) == "clip_norm(0.5)"
    assert repr(add_noise(0.5)) == "add_noise(0.5, seed=0)"


def test_a_glob_without_a_match_names_the_closest_nodes() -> None:
    x, loss = exp_program()
    with (
        pytest.raises(ArgumentError, match=r"'Expp\*' matches none of the 4 nodes") as caught,
        edit_gradients({"Mul*": scale(2), "Expp*": zero()}, loss),
    ):
        raise AssertionError("the block must not run")
    assert caught.value.remedy == "The closest names are ExpBackward0."
    loss.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("edits", "error", "message"),
    [
        (torch.ones(2), ArgumentTypeError, "edits is of type Tensor; expected a mapping"),
        ({}, ArgumentError, "edits is empty"),
        ({3: zero()}, ArgumentTypeError, "has the key 3 of type int"),
        ({"Mul*": 0.5}, ArgumentTypeError, r"edits\['Mul\*'\] is 0.5 of type float"),
        ({"Mul*": float}, ArgumentTypeError, r"edits\['Mul\*'\] is float of type type"),
    ],
)
def test_bad_edits(edits: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        edit_gradients(edits, exp_program()[1])


def test_bad_outputs_and_reuse() -> None:
    with pytest.raises(NoGraphError), edit_gradients({"*": zero()}, torch.ones(2)):
        pass
    block = edit_gradients({"*": zero()}, exp_program()[1])
    with block:
        pass
    with pytest.raises(InspectAutogradError, match="has been entered before"), block:
        pass


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: scale("2"), ArgumentTypeError, "factor is '2' of type str"),  # type: ignore[arg-type]
        (lambda: clip_norm(0), ArgumentError, "max_norm is 0; expected a number above 0"),
        (clamp, ArgumentError, "low and high are both None"),
        (lambda: clamp(2, 1), ArgumentError, "low is 2 and high is 1"),
        (lambda: add_noise(-1), ArgumentError, "std is -1"),
        (lambda: add_noise(1, seed=0.5), ArgumentTypeError, "seed is 0.5"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments_of_edits(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_deep_graph_is_freed_without_a_crash() -> None:
    code = """
import torch
from inspect_autograd.live.edit_gradients import edit_gradients
from inspect_autograd.live.edits import scale
x = torch.ones((), requires_grad=True)
y = x
for _ in range(60_000):
    y = y + 1
with edit_gradients({"AccumulateGrad": scale(3)}, y):
    y.backward()
assert x.grad == 3
del y
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.returncode) == ("alive\n", 0), done.stderr
