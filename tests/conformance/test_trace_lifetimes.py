"""Nothing stays behind: no hook, no patched function, no graph, on any way out of a trace."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia

from .ways_through_a_trace import (
    ENGINE_ENTRY,
    PACKAGE,
    WAYS,
    Graph,
    assert_nothing_registered,
    count_our_calls,
    engine_entry,
    leaves_no_trace,
)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    with leaves_no_trace():
        yield


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_is_registered_afterwards(way: Callable[[Graph], None]) -> None:
    graph = Graph()
    way(graph)
    assert engine_entry() is ENGINE_ENTRY
    assert_nothing_registered(graph.loss)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_graph_is_freed(way: Callable[[Graph], None]) -> None:
    graph = Graph()
    way(graph)
    assert graph.is_freed()


def test_the_counter_sees_our_calls() -> None:
    graph = Graph()
    with ia.trace(graph.loss), count_our_calls() as ours:
        graph.loss.backward()
    assert any("before" in name for name in ours)
    assert any("after" in name for name in ours)


@pytest.mark.parametrize("ran", [False, True])
def test_loss_dropped_inside_the_block(ran: bool) -> None:
    graph = Graph()
    with ia.trace(graph.loss, stats="full") as trace:
        if ran:
            graph.loss.backward()
        graph.loss = None
    assert graph.is_freed()
    assert len(trace) == 4 * ran


def test_kept_copies_have_no_graph() -> None:
    graph = Graph()
    with ia.trace(graph.loss, keep="*") as trace:
        torch.autograd.grad(graph.loss, graph.x, create_graph=True)
    copies = [t for kept in trace.kept.values() for t in (*kept.received, *kept.returned)]
    assert len(copies) >= 5
    assert not any(copy.requires_grad for copy in copies)


def test_another_trace_goes_on() -> None:
    """The end of one trace does not end another, whatever the order."""
    graphs = [Graph() for _ in range(3)]
    tracers = [ia.trace(graph.loss) for graph in graphs]
    traces = [tracer.__enter__() for tracer in tracers]
    for index in (1, 0, 2):
        for graph in graphs:
            graph.loss.backward(retain_graph=True)
        tracers[index].__exit__(None, None, None)
    assert [len(trace) for trace in traces] == [8, 4, 12]
    for graph in graphs:
        assert_nothing_registered(graph.loss)


def test_threads_that_trace_at_once() -> None:
    problems: list[str] = []

    def work() -> None:
        for _ in range(20):
            graph = Graph()
            with ia.trace(graph.loss) as trace:
                graph.loss.backward()
            # It sees the passes of the others begin, but notes its own only.
            if (len(trace), len(trace.passes)) != (4, 1) or "failed" in str(trace.notes):
                problems.append(f"{trace!r} {trace.notes}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


# -- interrupts at any moment ------------------------------------------------------------------


class Interrupted(KeyboardInterrupt):
    pass


def interrupt_after(seconds: float) -> None:
    def raise_it(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    signal.signal(signal.SIGALRM, raise_it)
    signal.setitimer(signal.ITIMER_REAL, seconds)


@pytest.fixture
def alarm_is_off_afterwards() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs an alarm")
@pytest.mark.parametrize("begin", ["before entering", "before leaving"])
def test_interrupts(begin: str, alarm_is_off_afterwards: None) -> None:
    x = torch.ones(3, requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * 1.0
    loss = y.sum()
    interrupted = 0
    for step in range(25):
        tracer = ia.trace(loss)
        try:
            with ExitStack() as stack:
                stack.callback(signal.setitimer, signal.ITIMER_REAL, 0)
                if begin == "before entering":
                    interrupt_after(0.0005 + 0.0006 * step)
                with tracer:
                    if begin == "before leaving":
                        interrupt_after(0.0002 + 0.0003 * step)
        except Interrupted:
            interrupted += 1
        assert engine_entry() is ENGINE_ENTRY
        assert_nothing_registered(loss)
    assert interrupted >= 5


# -- passes that are not of the trace ----------------------------------------------------------


def test_other_loss_of_the_same_model() -> None:
    """It shares the leaves, whose hooks fire; they must do no more than find that out."""
    model = nn.Linear(3, 4)
    x = torch.ones(2, 3)
    loss, other = model(x).sum(), model(x).square().sum()
    with ia.trace(loss, params=model, stats="full") as trace:
        with count_our_calls() as ours:
            other.backward()
        assert len(trace) == 0
        loss.backward()
    assert not any("measure" in name or "note" in name.rpartition(".")[2] for name in ours)
    assert len(trace) == len(trace.graph)
    assert len(trace.passes) == 1
    assert trace.notes == (
        "1 backward pass in this block ran over other graphs than the traced one",
    )


BEFORE_LEAVING = ["not_compiled.<locals>.call", "Tracer.__exit__", "Tracer.close", "finish"]


@pytest.mark.parametrize("method", ["__enter__", "__exit__"])
def test_interrupt_at_every_line(method: str) -> None:
    """At every line of the package that runs while a block is entered or left, one by one."""
    graph = Graph()
    for line in range(10_000):
        tracer = ia.trace(graph.loss)
        if method == "__exit__":
            tracer.__enter__()
        with interrupt_at_line(line) as state:
            if method == "__enter__":
                tracer.__enter__()
            else:
                tracer.__exit__(None, None, None)
        if state["at"] in BEFORE_LEAVING:
            del tracer  # Nothing has been done yet, so this is as if nobody had left the block.
        if state["at"] or method == "__exit__":
            assert engine_entry() is ENGINE_ENTRY, state
            assert_nothing_registered(graph.loss)
        if state["at"] is None:
            break
    assert 30 < line < 5000


@contextmanager
def interrupt_at_line(number: int) -> Iterator[dict[str, Any]]:
    """Raise KeyboardInterrupt before the line of the package that runs as the `number`-th."""
    state: dict[str, Any] = {"lines": 0, "at": None}

    def trace_lines(frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and state["at"] is None:
            if state["lines"] == number:
                state["at"] = frame.f_code.co_qualname
                raise KeyboardInterrupt
            state["lines"] += 1
        return trace_lines

    sys.settrace(trace_lines)
    try:
        yield state
    except KeyboardInterrupt:
        assert state["at"]
    finally:
        sys.settrace(None)
