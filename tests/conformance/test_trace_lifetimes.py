"""Nothing stays behind: no hook, no patched function, no graph, on any way out of a trace."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import inspect_autograd as ia
from inspect_autograd.live.stepping_stones import drain

PACKAGE = str(Path(ia.__file__).parent)
ENGINE_ENTRY = torch.autograd._engine_run_backward


@pytest.fixture(autouse=True)
def engine_is_as_it_was() -> Iterator[None]:
    assert torch.autograd._engine_run_backward is ENGINE_ENTRY
    yield
    assert torch.autograd._engine_run_backward is ENGINE_ENTRY


@pytest.fixture(autouse=True)
def no_garbage_collector() -> Iterator[None]:
    """A cycle is as bad as a leak here: it would hold a graph until some collection comes by."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


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
        self.loss: Any = Doubled.apply(saved, witness).sum()
        self.references = [weakref.ref(witness), weakref.ref(saved), weakref.ref(self.loss)]

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
        graph.loss.backward(retain_graph=True, create_graph=True)
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
    with pytest.raises(ValueError, match="mine"), ia.trace(graph.loss) as trace:
        graph.loss.backward(retain_graph=True)
        raise ValueError("mine")
    TRACES.append(trace)


def hook_raises(graph: Graph) -> None:
    handle = graph.x.register_hook(lambda gradient: [][0])
    with pytest.raises(IndexError), ia.trace(graph.loss) as trace:
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


WAYS = [
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


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_is_registered_afterwards(way: Callable[[Graph], None]) -> None:
    graph = Graph()
    way(graph)
    assert torch.autograd._engine_run_backward is ENGINE_ENTRY
    assert_nothing_registered(graph.loss)
    TRACES.clear()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_graph_is_freed(way: Callable[[Graph], None]) -> None:
    graph = Graph()
    way(graph)
    assert graph.is_freed()
    TRACES.clear()


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
            if (len(trace), len(trace.passes), trace.notes) != (4, 1, ()):
                problems.append(repr(trace))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each sees the passes of the others begin, but notes its own only.
    assert all("failed" not in problem for problem in problems)
    assert not problems or all(", 4 events in 1 backward pass" in p for p in problems)


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
        assert torch.autograd._engine_run_backward is ENGINE_ENTRY
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


# -- deep graphs -------------------------------------------------------------------------------

DEEP = """
import threading
import torch
import inspect_autograd as ia
from inspect_autograd.live.stepping_stones import drain

def chain():
    x = torch.ones((), requires_grad=True)
    y = x
    for _ in range({depth}):
        y = y * 1.0
    return x, y

def work():
    x, y = chain()
    with ia.trace(y, stats="meta") as trace:
        y.backward()
    print(len(trace), flush=True)
    del y, trace
    x, y = chain()
    with ia.trace(y, stats="basic") as trace:
        del y
    print(len(trace), flush=True)

threading.stack_size({stack})
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(drain(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stack", [0, 1 << 20], ids=["usual stack", "stack of 1 MB"])
def test_deep_chain(stack: int) -> None:
    # In a process of its own: what is tested for is a crash.
    program = DEEP.format(depth=100_000, stack=stack)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["100001", "0", "True"]


# -- memory ------------------------------------------------------------------------------------


def chain(length: int) -> Tensor:
    y = torch.ones(3, requires_grad=True)
    for _ in range(length):
        y = y * 1.0
    return y.sum()


@pytest.mark.parametrize("level", ["meta", "basic", "full"])
def test_memory_of_an_event(level: Any) -> None:
    loss = chain(3000)
    with ia.trace(loss, stats=level) as trace:  # What is made once is there after this.
        loss.backward(retain_graph=True)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        with ia.trace(loss, stats=level) as trace:
            loss.backward(retain_graph=True)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(trace) == 3002
    assert 50 < used / len(trace) < 1000  # Bytes; 300 to 450 were seen.


@pytest.mark.parametrize("level", ["meta", "basic", "full"])
def test_hooks_do_not_set_off_the_garbage_collector(level: Any) -> None:
    loss = chain(10_000)
    gc.enable()
    with ia.trace(loss, stats=level):
        before = [generation["collections"] for generation in gc.get_stats()]
        loss.backward(retain_graph=True)
        after = [generation["collections"] for generation in gc.get_stats()]
    # One object that stays per event would make 14 collections.
    assert after[0] - before[0] <= 2
    assert after[1:] == before[1:]


def test_traces_do_not_add_up() -> None:
    """A loop that traces every step of a training needs no more memory in the end."""
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    x = torch.ones(2, 4)

    def step() -> None:
        loss = model(x).sum()
        with ia.trace(loss, params=model, stats="full"):
            loss.backward()
        drain()

    for _ in range(5):
        step()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            step()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50 * 200
