"""The observed program is not changed by breakpoints, and nothing is left of them."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia


def fail_if_asked(pause: ia.Pause) -> str:
    raise AssertionError(f"asked at {pause}")


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Mark:
    """Lives as long as the node in whose metadata it is."""


def marked(loss: torch.Tensor) -> weakref.ref[Mark]:
    mark = Mark()
    node: Any = loss.grad_fn
    node.metadata["mark"] = mark
    return weakref.ref(mark)


# -- gradients -------------------------------------------------------------------------------------


def gradients_of_a_model() -> list[torch.Tensor]:
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    x = torch.randn(2, 5, 8, requires_grad=True)
    y = checkpoint(layer, x, use_reentrant=True) + checkpoint(layer, x, use_reentrant=False)
    loss = y.square().sum()
    (first,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    (loss + first.square().sum()).backward()
    return [t.grad for t in (x, *layer.parameters()) if t.grad is not None]


@pytest.mark.parametrize(
    ("conditions", "options"),
    [
        (("*",), {"prompt": lambda pause: "continue"}),
        (("Softmax*",), {"prompt": lambda pause: "next"}),
        ((lambda pause: pause.norm < 0,), {"nonfinite": True}),
        ((lambda pause: True,), {"prompt": lambda pause: "next"}),
    ],
)
def test_gradients_are_bit_identical(conditions: Any, options: Any) -> None:
    expected = gradients_of_a_model()
    with ia.break_on(*conditions, **options):
        found = gradients_of_a_model()
    assert len(expected) == len(found) > 10
    for mine, theirs in zip(expected, found, strict=True):
        assert torch.equal(mine, theirs), (mine - theirs).abs().max()


# -- what is left ----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_limited", [True, False])
def test_no_graph_is_kept_alive(is_limited: bool) -> None:
    with no_collector():
        x = torch.ones(2, requires_grad=True)
        loss = x.exp().sum()
        mark = marked(loss)
        options: Any = {"outputs": loss} if is_limited else {}
        commands = ["p saved", "up", "saved", "list", "set 0 2 * g0", "next", "c"]
        with ia.break_on("Exp*", nonfinite=True, prompt=commands, **options):
            del options
            loss.backward()
            assert mark() is not None
            del loss
            assert mark() is None
        assert x.grad is not None
        assert x.grad.tolist() == pytest.approx([5.43656] * 2)


@pytest.mark.parametrize("is_limited", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_is_raised_at_a_stop_passes_and_all_hooks_go(
    is_limited: bool, error: type[BaseException]
) -> None:
    asked = []

    def fail(pause: ia.Pause) -> str:
        asked.append(pause.node.name)
        raise error("mine")

    x = torch.ones(2, requires_grad=True)
    loss = x.exp().sum()
    options: Any = {"outputs": loss} if is_limited else {}
    with pytest.raises(error, match="mine"), ia.break_on("Exp*", prompt=fail, **options):
        loss.backward(retain_graph=True)
    assert x.grad is None
    loss.backward()
    assert asked == ["ExpBackward0"]


def test_hooks_of_a_pass_go_with_it() -> None:
    x = torch.ones(2, requires_grad=True)
    loss = x.exp().sum()
    asked = []

    def ask(pause: ia.Pause) -> str:
        asked.append(pause.pass_number)
        return "continue"

    with ia.break_on("Exp*", prompt=ask):
        loss.backward(retain_graph=True)
        with pytest.raises(RuntimeError, match="mine"):
            raising(loss)
        loss.backward(retain_graph=True)
    # Once in each pass: hooks that had stayed would ask twice.
    assert asked == [0, 2]
    loss.backward()
    assert len(asked) == 2


def raising(loss: torch.Tensor) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("mine")

    assert loss.grad_fn is not None
    handle = loss.grad_fn.register_hook(fail)
    try:
        loss.backward(retain_graph=True)
    finally:
        handle.remove()


@pytest.mark.parametrize("is_limited", [True, False])
def test_a_block_that_is_never_left(is_limited: bool) -> None:
    with no_collector():
        x = torch.ones(2, requires_grad=True)
        loss = x.exp().sum()
        block = ia.break_on("*", outputs=loss if is_limited else None, prompt=fail_if_asked)
        block.__enter__()
        gone = weakref.ref(block)
        del block
        assert gone() is None
        loss.backward()
        assert x.grad is not None


def test_an_error_of_a_condition_passes_with_a_note() -> None:
    def fail(pause: ia.Pause) -> bool:
        raise OverflowError("mine")

    loss = torch.ones(2, requires_grad=True).exp().sum()
    with pytest.raises(OverflowError, match="mine") as caught, ia.break_on(fail):
        loss.backward()
    (note,) = caught.value.__notes__
    assert note.startswith("raised by the condition ")
    assert note.endswith("fail of break_on, before node #0 SumBackward0")


def test_what_an_expression_starts_is_not_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    loss = torch.ones(2, requires_grad=True).exp().sum()
    expression = "torch.autograd.functional.vjp(torch.exp, torch.ones(1), g0[:1])"
    with ia.break_on("Exp*", prompt=[f"p {expression}", "c"]) as block:
        loss.backward()
    assert block.stop_count == 1
    assert "(tensor([2.7183]), tensor([2.7183]))" in capsys.readouterr().out


# -- deep graphs, threads --------------------------------------------------------------------------


@pytest.mark.parametrize("is_limited", [True, False])
def test_a_deep_graph(capsys: pytest.CaptureFixture[str], is_limited: bool) -> None:
    x = torch.ones(1, requires_grad=True)
    y = x.exp()
    for _ in range(100_000):
        y = y + 1
    loss = y.sum()
    del y
    commands = ["up", "list", "saved", "next", "continue"]
    with ia.break_on("Exp*", outputs=loss if is_limited else None, prompt=commands):
        loss.backward()
    del loss
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "stopped before #100001 ExpBackward0 in pass 0: 'Exp*'"
    assert shown[3] == "#100000 AddBackward0"
    assert "stopped before #100002 AccumulateGrad in pass 0: the next node" in shown


def test_only_one_thread_asks_at_a_time() -> None:
    asking: list[int] = []
    counts: list[int] = []
    places: list[tuple[int, str]] = []

    def ask(pause: ia.Pause) -> str:
        asking.append(1)
        counts.append(len(asking))
        time.sleep(0.02)
        asking.pop()
        places.append((pause.pass_number, pause.node.name))
        return "next"

    def work(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        x = torch.ones(2, requires_grad=True)
        function(x).sum().backward()

    with ia.break_on("Sum*", prompt=ask) as block:
        threads = [threading.Thread(target=work, args=(f,)) for f in (torch.exp, torch.sin)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [1] * 6
    assert block.pass_count == 2
    # Each thread steps through its own pass, whatever the other one does.
    by_pass = [[name for number, name in places if number == pass_] for pass_ in (0, 1)]
    assert sorted(by_pass) == [
        ["SumBackward0", "ExpBackward0", "AccumulateGrad"],
        ["SumBackward0", "SinBackward0", "AccumulateGrad"],
    ]
