"""What a trace costs in memory, and that the deepest graphs can be traced and freed."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

import inspect_autograd as ia
from inspect_autograd.events.records import StatsLevel
from inspect_autograd.live.stepping_stones import drain

from .ways_through_a_trace import leaves_no_trace

LEVELS = get_args(StatsLevel)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    with leaves_no_trace():
        yield


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
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["100001", "0", "True"]


# -- memory ------------------------------------------------------------------------------------


def chain(length: int) -> Tensor:
    y = torch.ones(3, requires_grad=True)
    for _ in range(length):
        y = y * 1.0
    return y.sum()


@pytest.mark.parametrize("level", LEVELS)
def test_memory_of_an_event(level: StatsLevel) -> None:
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


@pytest.mark.parametrize("level", LEVELS)
def test_hooks_do_not_set_off_the_garbage_collector(level: StatsLevel) -> None:
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

    tracemalloc.start()
    try:
        for _ in range(50):
            step()
        gc.collect()  # It also empties the lists in which Python keeps memory for later.
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            step()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200 * 100
