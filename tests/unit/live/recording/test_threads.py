"""Several threads in one recording, and several recordings in one thread."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

import inspect_autograd as ia


def creations(graph: ia.Graph) -> dict[str, list[tuple[str, str | None]]]:
    """Thread and function of the nodes that have them, by name."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for node in graph.nodes:
        if node.creation is not None:
            found.setdefault(node.name, []).append((node.creation.thread, node.creation.function))
    return found


def test_threads_that_count_alike_are_told_apart() -> None:
    weight = torch.ones(3, requires_grad=True)
    results: dict[str, Tensor] = {}

    def first() -> None:
        results["first"] = (weight * 2).exp().sum()

    def second() -> None:
        # The same sequence numbers as in `first`: every new thread counts from 0.
        results["second"] = (weight + 2).exp().prod()

    with ia.record() as recording:
        threads = [threading.Thread(target=f, name=f.__name__) for f in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (results["first"] + results["second"]).backward()
    found = creations(recording.graph)
    assert found["MulBackward0"] == [("first", "Tensor.mul")]
    assert found["SumBackward0"] == [("first", "Tensor.sum")]
    assert found["ProdBackward0"] == [("second", "Tensor.prod")]
    assert sorted(found["ExpBackward0"]) == [("first", "Tensor.exp"), ("second", "Tensor.exp")]
    sums = dict.fromkeys(found["AddBackward0"])
    assert list(sums) == [("MainThread", "Tensor.add"), ("second", "Tensor.add")]


def test_the_inner_nodes_of_a_call_in_a_thread() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    x = torch.ones(2, 2, 3)
    with ia.record(model) as recording, ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda i: model(x * i), range(2)))
        sum(part.sum() for part in parts).backward()
    graph = recording.graph
    # Linear makes three nodes (view, addmm, view of the result) and a transposed weight.
    addmm = [node for node in graph.nodes if node.name == "AddmmBackward0"]
    assert [node.scope for node in addmm] == ["0", "0"]
    assert sorted(n.creation.call for n in addmm if n.creation and n.creation.call is not None) == [
        0,
        1,
    ]
    unknown = [n for n in graph.nodes if n.kind != "leaf" and not (n.creation and n.source)]
    assert [node.name for node in unknown] == []


def test_a_thread_that_outlives_the_block_goes_on_unwatched() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[float] = []

    def work() -> None:
        x = torch.ones(2, requires_grad=True)
        y = (x * 2).sum()
        begun.set()
        go_on.wait(30)
        done.append((y * 3).item())

    with ia.record() as recording:
        thread = threading.Thread(target=work)
        thread.start()
        begun.wait(30)
    go_on.set()
    thread.join()
    assert done == [12.0]
    assert recording.notes == ()


def test_a_thread_that_is_not_of_the_block_is_not_recorded() -> None:
    x = torch.ones(2, requires_grad=True)
    go, over = threading.Event(), threading.Event()

    def other() -> None:
        go.wait(30)
        (x * 5).sum().backward()
        over.set()

    thread = threading.Thread(target=other)
    thread.start()
    with ia.record() as recording:
        go.set()
        over.wait(30)
    thread.join()
    assert recording.traces == ()


def test_nested_recordings_both_see_all_of_the_inner_block() -> None:
    model = nn.Linear(2, 2)
    x = torch.ones(1, 2)
    with ia.record(model) as outer:
        before = model(x).sum()
        with ia.record({"named": model}) as inner:
            loss = model(x).tanh().sum()
            loss.backward()
        before.backward()
    assert len(outer.traces) == 2
    assert len(inner.traces) == 1
    addmm = [g.find("Addmm*")[0].scope for g in (outer.traces[0].graph, inner.graph)]
    assert addmm == ["", "named"]
    assert set(inner.graph.parameters()) == {"named.weight", "named.bias"}


def test_recordings_left_in_the_wrong_order() -> None:
    x = torch.ones(2, requires_grad=True)
    first, second = ia.record(), ia.record()
    one = first.__enter__()
    two = second.__enter__()
    first.__exit__(None, None, None)
    x.exp().sum().backward()
    second.__exit__(None, None, None)
    x.exp().sum().backward()
    assert len(one.traces) == 0
    assert len(two.traces) == 1
    assert torch._C._len_torch_function_stack() == 0
