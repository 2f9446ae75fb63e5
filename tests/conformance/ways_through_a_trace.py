"""Ways to go through the block of a trace, and means to see what stays behind."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor

import inspect_autograd as ia

__all__ = [
    "ENGINE_ENTRY",
    "PACKAGE",
    "TRACES",
    "WAYS",
    "Graph",
    "assert_nothing_registered",
    "count_our_calls",
    "engine_entry",
    "leaves_no_trace",
]

PACKAGE = str(Path(ia.__file__).parent)


def engine_entry() -> Any:
    return getattr(torch.autograd, "_engine_run_backward")  # noqa: B009  it has no type


ENGINE_ENTRY = engine_entry()


@contextmanager
def leaves_no_trace() -> Iterator[None]:
    """The engine is as before afterwards, and nothing is left to the garbage collector.

    A cycle is as bad as a leak here: it would hold a graph until some collection comes by.
    """
    assert engine_entry() is ENGINE_ENTRY
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        TRACES.clear()
    assert engine_entry() is ENGINE_ENTRY


class Witness:
    """Lives as long as the node that holds it."""


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, witness: Witness) -> Tensor:
        ctx.witness = witness
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * 2 + 0 * x, None


class Graph:
    """A leaf, a loss, and references that tell whether the graph in between is still there."""

    def __init__(self) -> None:
        self.x = torch.ones(40, requires_grad=True)
        witness = Witness()
        saved = self.x.exp()
        doubled: Any = Doubled
        self.loss: Any = doubled.apply(saved, witness).sum()
        self.references: list[weakref.ref[Any]] = [
            weakref.ref(object) for object in (witness, saved, self.loss)
        ]

    def is_freed(self) -> bool:
        """Drop what this object holds, and see whether anybody else held it."""
        self.loss = None
        self.x.grad = None
        return all(reference() is None for reference in self.references)


@contextmanager
def count_our_calls() -> Iterator[list[str]]:
    """Names of the functions of the package that run meanwhile in this thread."""
    ours: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            ours.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        yield ours
    finally:
        sys.setprofile(None)


def assert_nothing_registered(loss: Tensor) -> None:
    with count_our_calls() as ours:
        loss.backward(retain_graph=True)
    assert ours == []


# -- ways through a block ----------------------------------------------------------------------

TRACES: list[Any] = []
"""What a user might keep: finished traces, and the context managers that made them."""


def plain(graph: Graph) -> None:
    with ia.trace(graph.loss, params={"x": graph.x}, stats="full") as trace:
        graph.loss.backward(retain_graph=True)
    TRACES.append(trace)


def with_everything_kept(graph: Graph) -> None:
    with ia.trace(graph.loss, keep="*") as trace:
        torch.autograd.grad(graph.loss, graph.x, create_graph=True)
    TRACES.append(trace)


def tracer_kept(graph: Graph) -> None:
    tracer = ia.trace(graph.loss)
    with tracer as trace:
        graph.loss.backward(retain_graph=True)
    TRACES.extend([trace, tracer])


def nothing_ran(graph: Graph) -> None:
    with ia.trace(graph.loss) as trace:
        pass
    TRACES.append(trace)


def looked_at_inside(graph: Graph) -> None:
    with ia.trace(graph.loss) as trace:
        graph.loss.backward(retain_graph=True)
        TRACES.extend([list(trace.events), trace.graph, trace.passes])
    TRACES.append(trace)


def block_raises(graph: Graph) -> None:
    with suppress(ValueError), ia.trace(graph.loss) as trace:
        TRACES.append(trace)
        graph.loss.backward(retain_graph=True)
        raise ValueError("mine")


def hook_raises(graph: Graph) -> None:
    handle = graph.x.register_hook(lambda gradient: 1 // 0)
    with pytest.raises(ZeroDivisionError), ia.trace(graph.loss) as trace:
        graph.loss.backward(retain_graph=True)
    handle.remove()
    TRACES.append(trace)


def hook_is_interrupted(graph: Graph) -> None:
    def interrupt(gradient: Tensor) -> None:
        raise KeyboardInterrupt

    handle = graph.x.register_hook(interrupt)
    with pytest.raises(KeyboardInterrupt), ia.trace(graph.loss) as trace:
        graph.loss.backward(retain_graph=True)
    handle.remove()
    TRACES.append(trace)


def entering_is_interrupted(graph: Graph) -> None:
    def interrupt(node: ia.Node) -> bool:
        raise KeyboardInterrupt

    tracer = ia.trace(graph.loss, keep=interrupt)
    with pytest.raises(KeyboardInterrupt), tracer:
        pass
    TRACES.append(tracer)


def entering_fails(graph: Graph) -> None:
    tracer = ia.trace(graph.loss, keep="NoSuchNode")
    with pytest.raises(ia.InspectAutogradError), tracer:
        pass
    TRACES.append(tracer)


def never_entered(graph: Graph) -> None:
    ia.trace(graph.loss)


def entered_and_dropped(graph: Graph) -> None:
    tracer = ia.trace(graph.loss)
    trace = tracer.__enter__()
    graph.loss.backward(retain_graph=True)
    del tracer, trace


def generator_closed(graph: Graph) -> None:
    def generate() -> Iterator[None]:
        with ia.trace(graph.loss) as trace:
            TRACES.append(trace)
            yield

    generator = generate()
    next(generator)
    graph.loss.backward(retain_graph=True)
    generator.close()  # type: ignore[attr-defined]


def generator_dropped(graph: Graph) -> None:
    def generate(loss: Tensor) -> Iterator[None]:
        with ia.trace(loss):
            yield

    generator = generate(graph.loss)
    next(generator)
    del generator


def nested(graph: Graph) -> None:
    with ia.trace(graph.loss) as outer, ia.trace(graph.loss) as inner:
        graph.loss.backward(retain_graph=True)
    assert len(outer) == len(inner) == 4
    TRACES.extend([outer, inner])


def left_in_the_wrong_order(graph: Graph) -> None:
    first, second = ia.trace(graph.loss), ia.trace(graph.loss)
    traces = [first.__enter__(), second.__enter__()]
    first.__exit__(None, None, None)
    graph.loss.backward(retain_graph=True)
    second.__exit__(None, None, None)
    assert [len(trace) for trace in traces] == [0, 4]
    TRACES.extend([*traces, first, second])


def twice_differentiated(graph: Graph) -> None:
    with ia.trace(graph.loss, stats="full") as trace:
        (gradient,) = torch.autograd.grad(graph.loss, graph.x, create_graph=True)
        gradient.square().sum().backward(retain_graph=True)
    TRACES.append(trace)


def in_a_thread(graph: Graph) -> None:
    def work() -> None:
        with ia.trace(graph.loss) as trace:
            graph.loss.backward(retain_graph=True)
        TRACES.append(trace)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def nonfinite(graph: Graph) -> None:
    loss = (graph.loss * 0).sqrt() * graph.loss
    with ia.trace(loss, stats="full") as trace:
        loss.backward(retain_graph=True)
    assert trace.evidence
    TRACES.append(trace)


WAYS: list[Callable[[Graph], None]] = [
    plain,
    with_everything_kept,
    tracer_kept,
    nothing_ran,
    looked_at_inside,
    block_raises,
    hook_raises,
    hook_is_interrupted,
    entering_is_interrupted,
    entering_fails,
    never_entered,
    entered_and_dropped,
    generator_closed,
    generator_dropped,
    nested,
    left_in_the_wrong_order,
    twice_differentiated,
    in_a_thread,
    nonfinite,
]
