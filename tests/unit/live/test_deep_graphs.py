"""Deep graphs are captured and freed with the process alive; nothing is kept alive.

What would crash runs in a process of its own.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.graph.records import Edge
from inspect_autograd.graph.tables import EdgeTable
from inspect_autograd.graph.topology import topological_order
from inspect_autograd.live.stepping_stones import (
    METADATA_KEY,
    SPACING,
    choose_stones,
    drain,
)
from inspect_autograd.live.walk import walk_graph

PROGRAM = """
import gc, sys, threading
import torch
import inspect_autograd as ia
from inspect_autograd.live.stepping_stones import drain

def chain(depth):
    y = torch.ones(1, requires_grad=True)
    for _ in range(depth):
        y = y.neg()
    return y
"""


def run(body: str) -> str:
    """Run a program that builds on PROGRAM; fails with its output if it does not end well."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout.strip()


def test_without_stones_a_deep_graph_crashes() -> None:
    """The reason for all this; if it ever passes, stepping stones can go."""
    if torch.__version__ < "2.13":
        pytest.skip("nodes own their Python wrappers from 2.13 on")
    body = PROGRAM + textwrap.dedent("""
        node = (y := chain(300_000)).grad_fn
        held = []
        while node is not None:
            held.append(node)
            node = node.next_functions[0][0] if node.next_functions else None
        del node
        held.clear()
        del y
    """)
    result = subprocess.run([sys.executable, "-c", body], capture_output=True, check=False)
    assert result.returncode < 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "place", "first", "collector"),
    [
        (1_000_000, "main", "tensor", "enable"),
        # Where a crash would come at 42 000 nodes, or at 5 000 in the thread, these are plenty.
        (200_000, "main", "graph", "disable"),
        (200_000, "thread", "tensor", "disable"),
        (1_000_000, "thread", "graph", "enable"),
    ],
)
def test_a_million_nodes(depth: int, place: str, first: str, collector: str) -> None:
    second = {"tensor": "graph", "graph": "tensor"}[first]
    output = run(f"""
        gc.{collector}()
        def work():
            tensor = chain({depth})
            graph = ia.capture(tensor)
            print(len(graph))
            del {first}
            del {second}
        if "{place}" == "main":
            work()
        else:
            threading.stack_size(512 * 1024)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        print(drain())
    """)
    assert output.split() == [str(depth + 1), "True"]


@pytest.mark.parametrize("stack_kib", [1024, 256])
def test_in_a_thread_with_a_small_stack(stack_kib: int) -> None:
    run(f"""
        def work():
            tensor = chain(100_000)
            graph = ia.capture(tensor)
            del tensor
        threading.stack_size({stack_kib} * 1024)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert drain()
    """)


@pytest.mark.parametrize(
    "body",
    [
        # Alive when the interpreter ends, in a global.
        "tensor = chain(300_000); graph = ia.capture(tensor)",
        # Dropped right before the end: the freeing goes on while the interpreter goes down.
        # So many nodes that it cannot be over by then.
        "tensor = chain(1_000_000); ia.capture(tensor); del tensor",
        # After a completed backward.
        "y = chain(300_000); ia.capture(y); y.sum().backward(); del y; drain()",
        # Held in the middle: both halves are freed one after the other.
        """
        a = chain(150_000); b = a
        for _ in range(150_000): b = b.neg()
        ia.capture(b); middle = a.grad_fn; del b; drain(); del a, middle; drain()
        """,
        # A temporary that only capture holds.
        "ia.capture(chain(300_000)); drain()",
        # Cut: the nodes behind the cut were seen, and pieces add up to the whole.
        """
        y = x = torch.ones(1, requires_grad=True)
        for _ in range(1000):
            for _ in range(300): y = y.neg()
            ia.capture(y, max_nodes=300)
        del y; drain()
        """,
        # Every state of an unrolled recurrence hangs on the root too.
        """
        h = torch.ones(1, requires_grad=True); all_h = []
        for _ in range(100_000): h = h.neg(); all_h.append(h)
        y = torch.cat(all_h); ia.capture(y); all_h.clear(); del h, y; drain()
        """,
        # Interrupted in the middle of the walk.
        """
        y = chain(300_000)
        threading.Timer(0.05, __import__("_thread").interrupt_main).start()
        try:
            while True: ia.capture(y)
        except KeyboardInterrupt: pass
        del y; drain()
        """,
    ],
)
def test_the_process_survives(body: str) -> None:
    run(textwrap.dedent(body))


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="the platform has no fork")
def test_the_process_survives_a_fork() -> None:
    output = run("""
        import os, time
        from inspect_autograd.live.stepping_stones import _drain
        y = chain(100_000)
        ia.capture(y)
        child = os.fork()
        if child == 0:
            # Not drain(), which would start the thread: it has to be there by itself.
            before, deadline = _drain.released, time.monotonic() + 20
            del y
            while _drain.released == before and time.monotonic() < deadline:
                time.sleep(0.01)
            os._exit(0 if _drain.released > before else 1)
        print(os.waitpid(child, 0)[1])
        del y
        print(drain())
    """)
    assert output.split() == ["0", "True"]


@pytest.fixture
def no_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Token(torch.autograd.Function):
    """Keeps an object alive exactly as long as its node."""

    @staticmethod
    def forward(ctx, x, token):  # type: ignore[no-untyped-def]
        ctx.token = token
        return x * 1

    @staticmethod
    def backward(ctx, *grads):  # type: ignore[no-untyped-def]
        return grads[0], None


class Flag:
    def __init__(self, fallen: list[bool]) -> None:
        self.fallen = fallen

    def __del__(self) -> None:
        self.fallen.append(True)


@pytest.mark.parametrize("depth", [1, 2000])
@pytest.mark.usefixtures("no_gc")
def test_the_graph_dies_with_the_tensors(depth: int) -> None:
    fallen: list[bool] = []
    x = torch.ones(2, requires_grad=True)
    y = Token.apply(x, Flag(fallen))  # type: ignore[no-untyped-call]
    for _ in range(depth):
        y = y.neg()
    graph = ia.capture(y, params={"x": x})
    assert fallen == []
    del y
    assert drain()
    assert fallen == [True]
    assert len(graph) == depth + 2


@pytest.mark.usefixtures("no_gc")
def test_capturing_in_a_loop_does_not_grow_memory() -> None:
    script = """
        import resource
        gc.disable()
        y = chain(2000)
        def work():
            for _ in range(60): ia.capture(y); ia.capture(chain(2000))
            drain()
        work()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work(); work()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    grown_kib = int(run(script))
    # 240 graphs of 2000 nodes would be some 100 MB if they stayed.
    assert grown_kib < 20_000


# -- where the stones go -----------------------------------------------------------------------


def longest_way_without(stones: set[int], edges: EdgeTable) -> int:
    """Nodes on the longest way that meets no stone, by following all ways in order."""
    longest = [1] * (len(edges.starts) - 1)
    best = 0
    for node in topological_order(edges):
        if node in stones:
            longest[node] = 0
        best = max(best, longest[node])
        for target in edges.targets[edges.starts[node] : edges.starts[node + 1]]:
            longest[target] = max(longest[target], longest[node] + 1)
    return best


@pytest.mark.parametrize("skip", [1, 2, 7, 499, 500, 501])
@pytest.mark.parametrize("ordered", [True, False])
def test_no_long_way_avoids_the_stones(skip: int, ordered: bool) -> None:
    size = 5000
    edges = [Edge(i, 0, i + 1, 0) for i in range(size - 1)]
    edges += [Edge(i, 1, i + skip, 0) for i in range(0, size - skip, 3)]
    table = EdgeTable.from_edges(size, edges)
    # Numbers of one thread fall along the edges; those of several need not.
    numbers = [size - i for i in range(size)] if ordered else [i % 10 for i in range(size)]
    stones = choose_stones(numbers, table)
    assert 0 < len(stones) <= size // SPACING * (1 + (skip + 2) // 3) + SPACING
    assert longest_way_without(stones, table) <= SPACING


def test_shallow_graphs_get_none() -> None:
    y = torch.ones(2, requires_grad=True)
    for _ in range(SPACING - 10):
        y = y.neg()
    live = walk_graph([y.grad_fn])
    assert not any(METADATA_KEY in node.metadata for node in live.nodes)


def test_stones_are_not_planted_twice() -> None:
    y = torch.ones(2, requires_grad=True)
    for _ in range(3 * SPACING):
        y = y.neg()
    first = walk_graph([y.grad_fn])
    stones = [node.metadata.get(METADATA_KEY) for node in first.nodes]
    assert 2 <= sum(stone is not None for stone in stones) <= 4
    again = walk_graph([y.grad_fn])
    assert all(
        node.metadata.get(METADATA_KEY) is stone
        for node, stone in zip(again.nodes, stones, strict=True)
    )
    assert "deep graph" in repr(next(stone for stone in stones if stone is not None))


def test_capture_returns_the_same_with_stones() -> None:
    y = torch.ones(2, requires_grad=True)
    for _ in range(2 * SPACING):
        y = y.neg()
    assert ia.capture(y) == ia.capture(y)
