"""The order of a pass, foretold, and the queue that it comes from."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.graph.ready_queue import LEAF_PRIORITY, ReadyQueue, priority_of


def branches() -> ia.Graph:
    """Ids: 0 add, 1 sum of the square, 2 sum of w, 3 mul, 4 w, 5 sin, 6 x."""
    x = torch.ones(2, requires_grad=True)
    w = torch.ones(2, requires_grad=True)
    h = x.sin()
    return ia.capture((h * w).sum() + w.sum(), params={"x": x, "w": w})


def test_later_nodes_run_first_and_leaves_at_once() -> None:
    graph = branches()
    order = ia.execution_order(graph)
    names = [graph.nodes[id].label for id in order]
    assert names == [
        "AddBackward0",
        "SumBackward0",
        "SumBackward0",
        "MulBackward0",
        "w",
        "SinBackward0",
        "x",
    ]
    # The sum of w was made last.
    assert list(order)[1] == next(n.id for n in graph.nodes if n.label == "w") - 2
    assert (order.pruned, order.captured, len(order)) == ((), (), 7)


def test_what_inputs_prune() -> None:
    graph = branches()
    label = {node.label: node.id for node in graph.nodes}
    order = ia.execution_order(graph, inputs="x")
    assert order.captured == (label["x"],)
    assert label["SinBackward0"] in order.nodes
    assert [graph.nodes[id].label for id in order.pruned] == ["SumBackward0", "w"]
    ran = ia.execution_order(graph, inputs=["x"], call="backward")
    assert ran.nodes == (*order.nodes, label["x"])
    assert ran.captured == ()
    inner = ia.execution_order(graph, inputs=graph.find("Sin*")[0])
    assert label["SinBackward0"] not in inner.nodes
    assert repr(order) == f"<5 nodes in order: {', '.join(map(str, order))}, 2 pruned>".replace(
        "5 nodes", f"{len(order)} nodes"
    )


def test_a_loaded_graph_will_do(tmp_path: Path) -> None:
    graph = branches()
    graph.save(tmp_path / "graph.json")
    loaded = ia.load(tmp_path / "graph.json", ia.Graph)
    assert list(ia.execution_order(loaded)) == list(ia.execution_order(graph))


def test_bad_arguments() -> None:
    graph = branches()
    with pytest.raises(ArgumentTypeError, match="graph is of type int"):
        ia.execution_order(3)  # type: ignore[arg-type]
    chain = ia.capture(torch.ones(2, requires_grad=True).sin().cos().exp().sum())
    with pytest.raises(ArgumentError, match="graph was folded"):
        ia.execution_order(chain.fold(by="chain"))
    with pytest.raises(ArgumentError, match="inputs holds 'y', which matches none of the 7"):
        ia.execution_order(graph, inputs="y")
    with pytest.raises(ArgumentError, match="has id 99"):
        ia.execution_order(graph, inputs=99)
    with pytest.raises(ArgumentTypeError, match="inputs is of type float"):
        ia.execution_order(graph, inputs=1.5)
    with pytest.raises(ArgumentError, match="call is 'grad', but inputs is None"):
        ia.execution_order(graph, call="grad")
    with pytest.raises(ArgumentError, match="call is 'fit'"):
        ia.execution_order(graph, call="fit")  # type: ignore[arg-type]
    x = torch.ones(1, requires_grad=True)
    with pytest.raises(ArgumentError, match="graph is not whole"):
        ia.execution_order(ia.capture((x * 2).exp(), max_nodes=1))


def test_hundred_thousand_nodes() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 1
    graph = ia.capture(y, saved=False)
    begin = time.perf_counter()
    assert list(ia.execution_order(graph)) == list(range(100_001))
    assert time.perf_counter() - begin < 30  # Not quadratic, whatever the machine.


def test_queue_takes_the_highest_number_first() -> None:
    queue = ReadyQueue([(3, 30), (9, 90), (LEAF_PRIORITY, 1), (5, 50)])
    assert queue.in_order() == (1, 90, 50, 30)
    assert len(queue) == 4
    assert [queue.pop() for _ in range(4)] == [1, 90, 50, 30]
    assert priority_of(None) == LEAF_PRIORITY
    assert priority_of(0) == 0


def test_ties_come_as_from_std_priority_queue() -> None:
    """What a C++ program with libstdc++ printed for these pushes and pops."""
    queue = ReadyQueue()
    out = []
    for node, priority in enumerate([7, 7, 7, 7, 7, 3, 7, 3, 7]):
        queue.push(priority, node)
        if node in (4, 6):
            out.append(queue.pop())
    while queue:
        out.append(queue.pop())
    assert out == EXPECTED


EXPECTED = [0, 2, 4, 6, 8, 1, 3, 5, 7]
