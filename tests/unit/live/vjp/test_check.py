"""check_vjp as a whole: which nodes, what it leaves as it was, and bad input."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import threading
import weakref
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, NoGraphError
from inspect_autograd.live.private_torch import function_base
from inspect_autograd.live.vjp import check_vjp

APPLY = vars(function_base()).get("apply")


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * grad * x**2  # It should be 3.


cube: Any = Cube.apply  # As programs write it: bound before anything can be put in its place.


def program() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    return x, (2 * cube(x.sin())).sum()


def test_every_node_but_leaves_is_checked() -> None:
    report = check_vjp(lambda: program()[1])
    assert [(check.node, check.name, check.status) for check in report.checks] == [
        (0, "SumBackward0", "right"),
        (1, "MulBackward0", "right"),
        (2, "CubeBackward", "wrong"),
        (3, "SinBackward0", "right"),
    ]
    assert report.is_right is False
    assert [check.name for check in report.wrong] == ["CubeBackward"]
    assert len(report.right) == 3
    assert report.not_checked == ()
    argument = report.wrong[0].arguments[0]
    assert (argument.leads_to, str(argument.meta)) == (3, "f32[2]")
    assert argument.diagnosis == "is off by the factor 0.667"


def test_ids_are_those_of_capture() -> None:
    _, loss = program()
    graph = ia.capture(loss)
    assert [check.name for check in check_vjp(loss).checks] == [
        graph.nodes[check.node].name for check in check_vjp(loss).checks
    ]


def test_nodes_are_chosen_in_every_way() -> None:
    _, loss = program()
    (record,) = ia.capture(loss).find("Cube*")
    assert loss.grad_fn is not None
    live = loss.grad_fn.next_functions[0][0].next_functions[0][0]  # type: ignore[union-attr]
    for node in (2, record, "Cube*", "*ube*", live):
        assert [check.node for check in check_vjp(loss, node=node).checks] == [2]
    (leaf,) = check_vjp(loss, node="AccumulateGrad").checks
    assert leaf.reason == "a leaf only accumulates what it receives"


def test_numbers_do_not_depend_on_which_nodes_are_checked() -> None:
    _, loss = program()
    assert check_vjp(loss, node=2).checks[0] == check_vjp(loss).checks[2]
    assert check_vjp(loss, node=2, seed=1).checks[0] != check_vjp(loss).checks[2]


def test_parameters_are_found_by_name() -> None:
    model = torch.nn.Linear(2, 1)
    report = check_vjp(lambda: model(torch.ones(1, 2)), params=model, node="weight")
    assert [check.reason for check in report.checks] == ["a leaf only accumulates what it receives"]


def test_the_program_goes_on_as_if_nothing_had_been() -> None:
    x, loss = program()
    expected = torch.autograd.grad(loss, x, retain_graph=True)[0]
    seen: list[str] = []
    handles = []
    pending: list[Any] = [loss.grad_fn]
    while pending:
        node = pending.pop()
        handles.append(node.register_hook(lambda *_: seen.append("hook")))
        handles.append(node.register_prehook(lambda *_: seen.append("prehook")))
        pending += [next_node for next_node, _ in node.next_functions if next_node is not None]
    x.register_hook(lambda _: seen.append("tensor hook"))
    state = torch.get_rng_state()
    for _ in range(2):
        assert check_vjp(loss).is_right is False
    assert seen == []
    before: Any = x.grad
    assert before is None
    assert torch.equal(torch.get_rng_state(), state)
    loss.backward()
    assert x.grad is not None
    assert torch.equal(x.grad, expected)


def test_nothing_stays_in_place_of_apply() -> None:
    assert vars(function_base()).get("apply") is APPLY
    check_vjp(lambda: program()[1])
    assert vars(function_base()).get("apply") is APPLY

    def fail() -> torch.Tensor:
        assert "apply" in vars(function_base())
        cube(torch.ones(2, requires_grad=True))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_vjp(fail)
    assert vars(function_base()).get("apply") is APPLY


def test_checks_inside_each_other_and_in_other_threads() -> None:
    results: list[bool | None] = []

    def outer() -> torch.Tensor:
        results.append(check_vjp(lambda: program()[1]).is_right)
        thread = threading.Thread(
            target=lambda: results.append(check_vjp(lambda: program()[1]).is_right)
        )
        thread.start()
        thread.join()
        return program()[1]

    assert check_vjp(outer).is_right is False
    assert results == [False, False]
    assert vars(function_base()).get("apply") is APPLY


def test_errors_of_the_function_pass_through() -> None:
    def fail() -> torch.Tensor:
        raise OverflowError("mine")

    with pytest.raises(OverflowError, match="mine"):
        check_vjp(fail)


class Watched:
    """Lives in the metadata of a node, and so as long as the node does."""


@pytest.mark.parametrize("with_function", [True, False])
def test_the_graph_is_freed_without_the_garbage_collector(with_function: bool) -> None:
    watched: list[weakref.ref[Watched]] = []

    def make() -> torch.Tensor:
        _, loss = program()
        mark = Watched()
        node: Any = loss.grad_fn
        node.next_functions[0][0].metadata["mark"] = mark
        watched.append(weakref.ref(mark))
        return loss

    gc.collect()
    gc.disable()
    try:
        report = check_vjp(make if with_function else make())
        assert report.is_right is False
        assert watched[0]() is None
    finally:
        gc.enable()


def test_a_checkpoint_is_not_run_again() -> None:
    runs: list[int] = []

    def block(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return x.sin().exp()

    for use_reentrant in (False, True):
        runs.clear()
        x = torch.ones(2, requires_grad=True)
        loss = checkpoint(block, x, use_reentrant=use_reentrant).sum()
        report = check_vjp(loss)
        assert runs == [1]
        assert report.is_right
        assert {check.reason[:15] for check in report.not_checked} == {
            "it is part of P" if use_reentrant else "what it saved i"
        }


def test_a_model() -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 8, dropout=0.3, batch_first=True)
    x = torch.randn(2, 3, 8)
    report = check_vjp(lambda: layer(x).square().mean(), params=layer)
    assert report.is_right
    assert report.not_checked == ()
    names = {check.name for check in report.checks}
    assert {"NativeLayerNormBackward0", "AddmmBackward0", "ReluBackward0"} <= names
    assert len(report.checks) > 40


def test_convolution_and_batch_norm() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ELU(), torch.nn.MaxPool2d(2)
    )
    x = torch.randn(2, 1, 6, 6)
    report = check_vjp(lambda: model(x).sum(), params=model)
    assert report.is_right
    assert report.not_checked == ()


def test_in_place_operations_and_views() -> None:
    def make() -> torch.Tensor:
        x = torch.arange(1.0, 7.0, requires_grad=True) * 1
        x.mul_(2)
        x[1:3].exp_()
        first, second = x.view(2, 3).unbind()
        return (first * second).max(dim=0).values

    report = check_vjp(make)
    assert report.is_right
    reasons = {check.name: check.reason for check in report.not_checked}
    assert reasons.pop("CopySlices") == "it stands for an in-place change of a view"
    assert all("not known" in reason or "told" in reason for reason in reasons.values()), reasons


def test_a_node_of_a_library_that_was_made_outside() -> None:
    x = torch.tensor([0.5, 1.5], requires_grad=True)
    before = cube(x.sin())
    report = check_vjp(lambda: 2 * before)
    sources = {check.name: check.source for check in report.checks}
    assert sources == {
        "MulBackward0": "the call that made the node",
        "CubeBackward": "its leaves and saved tensors",
        "SinBackward0": "what the node saved",
    }


def test_large_tensors_are_not_checked() -> None:
    x = torch.ones(5, requires_grad=True)
    for outputs in (lambda: cube(x), cube(x)):
        (check,) = check_vjp(outputs, max_elements=4).checks
        assert check.reason == (
            "it works on a tensor of 5 elements, which is more than max_elements=4"
        )
    assert check_vjp(lambda: cube(x), max_elements=4).is_right is None


def test_tolerances() -> None:
    x = torch.ones(2, dtype=torch.float64, requires_grad=True)
    # 2/3 of what it should be.
    assert check_vjp(lambda: cube(x), rtol=0.34).is_right
    assert check_vjp(lambda: cube(x), rtol=0.32, atol=0).is_right is False
    assert check_vjp(lambda: cube(x), rtol=0, atol=100).is_right
    # A step as large as x itself: ((2x)³ - 0) / 2x = 4x², not 3x².
    (check,) = check_vjp(lambda: x**3, eps=1.0, rtol=1e-3, atol=0).checks
    argument = check.arguments[0]
    assert argument.left_out == 2 or argument.status == "wrong"


class Mine(torch.Tensor):
    pass


def test_tensors_that_finite_differences_cannot_be_taken_of() -> None:
    x = torch.ones(2, 2, requires_grad=True)
    (check, *_) = check_vjp(lambda: x.to_sparse() * 2).checks
    assert check.reason == "it works on a sparse_coo tensor"
    meta = torch.ones(2, device="meta", requires_grad=True)
    (check,) = check_vjp(lambda: meta.exp()).checks  # noqa: PLW0108
    assert check.reason == "it works on a tensor of device meta, which has no values"
    mine = torch.ones(2).as_subclass(Mine).requires_grad_()
    report = check_vjp(lambda: mine.exp(), node="Exp*")  # noqa: PLW0108
    assert report.checks[0].reason == "it works on a Mine, a subclass of Tensor"
    empty = torch.ones(0, requires_grad=True)
    (check,) = check_vjp(lambda: empty.exp()).checks  # noqa: PLW0108
    assert check.reason == "self: it has no elements"


def test_a_deep_graph_does_not_crash() -> None:
    # With so small a stack, some 5 000 nodes would be too deep.
    code = """
import threading
import torch
from inspect_autograd.live.vjp import check_vjp
x = torch.ones((), requires_grad=True)
def make():
    y = x
    for _ in range(12_000):
        y = y + 1
    return y
def fail():
    make()
    raise ValueError
def run():
    assert check_vjp(make, node=0).is_right
    assert check_vjp(make(), node=11_999).is_right
    try:
        check_vjp(fail)
    except ValueError:
        print("alive")
threading.stack_size(1 << 20)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=False
    )
    assert (done.stdout, done.returncode) == ("alive\n", 0), done.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"node": 9}, ArgumentError, "node is 9; expected an id from 0 to 4"),
        ({"node": True}, ArgumentTypeError, "node is of type bool; expected a node's id"),
        ({"node": "Sine*"}, ArgumentError, "node 'Sine*' matches none of the 5 nodes"),
        ({"node": 0.5}, ArgumentTypeError, "node is of type float"),
        ({"rtol": -1}, ArgumentError, "rtol is -1; expected a finite number of 0 or more"),
        ({"atol": "1"}, ArgumentTypeError, "atol is '1' of type str; expected a number or None"),
        ({"eps": 0.0}, ArgumentError, "eps is 0.0; expected a finite number above 0"),
        ({"eps": float("nan")}, ArgumentError, "eps is nan; expected a finite number above 0"),
        ({"max_elements": 0}, ArgumentError, "max_elements is 0; expected 1 or more"),
        ({"max_elements": 1.0}, ArgumentTypeError, "max_elements is 1.0 of type float"),
        ({"seed": -1}, ArgumentError, "seed is -1; expected 0 or more"),
    ],
)
def test_bad_arguments(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        check_vjp(program()[1], **arguments)


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [
        (torch.nn.Linear(1, 1), ArgumentTypeError, "outputs is a Linear module"),
        (lambda x, y: x, ArgumentTypeError, "a function that needs the arguments x, y"),
        (lambda: 3, ArgumentTypeError, "outputs is of type int and holds no tensor"),
        (lambda: torch.ones(2), NoGraphError, "carries no autograd graph"),
        (3, ArgumentTypeError, "outputs is of type int and holds no tensor"),
    ],
)
def test_bad_outputs(outputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_vjp(outputs)


def test_nodes_of_another_graph() -> None:
    other = torch.ones(2, requires_grad=True).exp()
    with pytest.raises(ArgumentError, match="is the live node ExpBackward0, which is not in"):
        check_vjp(program()[1], node=other.grad_fn)
    with pytest.raises(ArgumentError, match="is the record #0 ExpBackward0"):
        check_vjp(program()[1], node=ia.capture(other).nodes[0])
