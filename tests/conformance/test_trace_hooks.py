"""Traces beside hooks of the user, and of passes in several threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import inspect_autograd as ia

from .reference import assert_same_bits
from .test_trace_contexts import EXP_SUM, exp_sum, names_of
from .ways_through_a_trace import leaves_no_trace


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    with leaves_no_trace():
        yield


# -- hooks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["meta", "basic", "full"])
def test_hooks_of_the_user(level: Any) -> None:
    def run(observe: bool) -> tuple[list[Tensor | None], ia.Trace | None]:
        x = torch.ones(3, requires_grad=True)
        y = x * 2
        z = y * 3
        z.retain_grad()
        y.register_hook(lambda gradient: gradient * 10)
        assert z.grad_fn is not None
        z.grad_fn.register_prehook(lambda received: (received[0] * 100,))
        z.grad_fn.register_hook(lambda returned, received: (returned[0] * 1000, None))
        x.register_hook(lambda gradient: gradient * 7)
        x.register_post_accumulate_grad_hook(halve)
        loss = z.sum()
        if not observe:
            loss.backward()
            return [x.grad, z.grad], None
        with ia.trace(loss, stats=level) as trace:
            loss.backward()
        return [x.grad, z.grad], trace

    def halve(x: Tensor) -> None:
        assert x.grad is not None
        x.grad.mul_(0.5)

    expected, _ = run(observe=False)
    found, trace = run(observe=True)
    assert_same_bits(found, expected)
    assert expected[0] is not None
    assert expected[0].tolist() == [21e6] * 3  # 100 · 3 · 1000 · 10 · 2 · 7 / 2
    assert trace is not None
    if level != "meta":
        # What the formulas got and what went on, after the hooks of others.
        sizes = [[s and s.max for s in (*e.received, *e.returned)] for e in trace.events]
        assert sizes[:-1] == [[1, 1], [100, 3e5, None], [3e6, 6e6, None]]


def test_gradient_of_a_leaf_is_that_before_its_hooks_changed_it() -> None:
    x = torch.ones(3, requires_grad=True)

    def halve(x: Tensor) -> None:
        assert x.grad is not None
        x.grad.mul_(0.5)

    x.register_post_accumulate_grad_hook(halve)
    loss = (x * 2).sum()
    with ia.trace(loss) as trace:
        loss.backward()
    (leaf,) = trace.find("AccumulateGrad")
    assert str(leaf.received[0]) == "f32[3] |3.46|"


def test_pass_of_another_graph_inside_a_hook() -> None:
    _, y, loss = exp_sum()
    weight = torch.ones(3, requires_grad=True)

    def hook(returned: Any, received: Any) -> None:
        with torch.enable_grad():
            (weight * 3).sum().backward()

    assert y.grad_fn is not None
    y.grad_fn.register_hook(hook)
    with ia.trace(loss) as trace:
        loss.backward()
    # It is part of what the traced pass does.
    assert [p.parent for p in trace.passes] == [None, 1]
    assert names_of(trace, 1) == ["SumBackward0", "MulBackward0", "AccumulateGrad"]
    assert names_of(trace, 0) == EXP_SUM


# -- threads -----------------------------------------------------------------------------------


def test_backward_in_another_thread() -> None:
    _, _, loss = exp_sum()
    with ia.trace(loss) as trace:
        thread = threading.Thread(target=loss.backward, name="worker")
        thread.start()
        thread.join()
    assert names_of(trace) == EXP_SUM
    assert trace.threads == ("worker",)


def test_passes_of_several_threads_in_one_trace() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x
    for _ in range(50):
        y = y * 1.01
    loss = y.sum()

    # A thread that starts when another one is gone may be given its identifier.
    all_are_there = threading.Barrier(3)

    def work() -> None:
        all_are_there.wait()
        for _ in range(10):
            torch.autograd.grad(loss, x, retain_graph=True)
        all_are_there.wait()

    with ia.trace(loss) as trace:
        threads = [threading.Thread(target=work, name=f"worker {i}") for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(trace.passes) == 30
    assert all(len(names_of(trace, id)) == 51 for id in range(30))
    assert set(trace.threads) == {"worker 0", "worker 1", "worker 2"}
    for event in trace.events:
        assert trace.passes[event.backward_pass].thread == event.thread
    assert trace.notes == ()
