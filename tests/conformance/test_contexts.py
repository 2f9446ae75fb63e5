"""capture wherever it may be called: in contexts, in hooks, in threads.

What is around it must not change what it finds, and the other way round.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

import inspect_autograd as ia

from .programs import example_program
from .reference import assert_equals_live_graph, assert_same_bits, assert_saved_state


def gradients(loss: Tensor, leaves: dict[str, Tensor]) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, list(leaves.values()), retain_graph=True))


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "plain": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "meta_as_default_device": lambda: torch.device("meta"),
    "anomaly_mode": lambda: torch.autograd.detect_anomaly(check_nan=False),
    "saved_tensors_hooks": lambda: torch.autograd.graph.saved_tensors_hooks(refuse, refuse),
    "no_saved_tensors_hooks": lambda: torch.autograd.graph.disable_saved_tensors_hooks("none"),
}


def refuse(_: object) -> Tensor:
    raise AssertionError("capture ran a hook")


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.parametrize("name", CONTEXTS)
def test_every_context_gives_the_same_graph(name: str) -> None:
    loss, leaves = example_program()
    expected = ia.capture(loss, params=leaves)
    with CONTEXTS[name]():
        found = ia.capture(loss, params=leaves)
    assert found == expected
    assert_saved_state(found, assert_equals_live_graph(found, [loss], leaves))
    unobserved, unobserved_leaves = example_program()
    assert_same_bits(gradients(loss, leaves), gradients(unobserved, unobserved_leaves))


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.parametrize("name", CONTEXTS)
def test_leaf_in_every_context(name: str) -> None:
    # A leaf gives its node only by making a view of it, which some contexts forbid.
    leaf = torch.ones(2, requires_grad=True)
    expected = ia.capture(leaf, params={"leaf": leaf})
    assert [node.name for node in expected.nodes] == ["AccumulateGrad"]
    with CONTEXTS[name]():
        assert ia.capture(leaf, params={"leaf": leaf}) == expected


def test_inference_tensors_beside_a_graph() -> None:
    loss, _ = example_program()
    with torch.inference_mode():
        inference = torch.ones(2)
        graph = ia.capture({"loss": loss, "other": inference})
    assert [root.path for root in graph.roots] == ["['loss']"]
    assert [note.path for note in graph.notes] == ["['other']"]


def test_deterministic_algorithms() -> None:
    # With this setting torch fills new memory and refuses some operators.
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        loss, leaves = example_program()
        graph = ia.capture(loss, params=leaves)
        assert_same_bits(gradients(loss, leaves), gradients(*example_program()))
        assert_equals_live_graph(graph, [loss], leaves)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(before)


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
def test_anomaly_mode_tells_the_order() -> None:
    x = torch.tensor([2.0, 3.0], requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        y = (x * x * x).sum()
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x, create_graph=True)
        forward, once, twice = (ia.capture(t) for t in (y, first, second))
    in_forward = set(assert_equals_live_graph(forward, [y]))
    in_first = set(assert_equals_live_graph(once, [first])) | in_forward

    def orders(graph: ia.Graph, tensor: Tensor) -> set[tuple[int, int | None]]:
        """Which pass made a node, and which order it is said to have."""
        live = assert_equals_live_graph(graph, [tensor])
        passes = [1 if n in in_forward else 2 if n in in_first else 3 for n in live]
        records = zip(graph.nodes, passes, strict=True)
        return {(number, record.order) for record, number in records if record.kind != "leaf"}

    assert orders(forward, y) == {(1, 1)}
    assert orders(once, first) == {(1, 1), (2, 2)}
    # The third pass runs the nodes of the second, and those of the first once more. The products
    # of the first are not differentiated through, only used.
    assert orders(twice, second) == {(2, 2), (3, 2), (3, 3)}


# -- hooks and threads -------------------------------------------------------------------------


def test_inside_hooks_during_backward() -> None:
    loss, leaves = example_program()
    whole = ia.capture(loss, params=leaves)
    live = assert_equals_live_graph(whole, [loss], leaves)
    expected = gradients(loss, leaves)
    found: list[ia.Graph] = []

    def look(*_: object) -> None:
        found.append(ia.capture(loss, params=leaves))

    handles = [node.register_prehook(look) for node in live]
    handles += [node.register_hook(look) for node in live]
    handles += [leaf.register_hook(look) for leaf in leaves.values()]
    loss.backward()
    for handle in handles:
        handle.remove()
    assert_same_bits([leaf.grad for leaf in leaves.values()], expected)
    assert len(found) == 2 * len(live) + len(leaves)

    def freed(graph: ia.Graph) -> int:
        return sum(saved.state == "freed" for node in graph.nodes for saved in node.saved)

    # Backward frees what a node saved as soon as the node has run, one after the other.
    counts = [freed(graph) for graph in found]
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert len(set(counts)) >= 4
    assert all(list(graph.edges) == list(whole.edges) for graph in found)


def test_inside_a_hook_with_create_graph() -> None:
    loss, leaves = example_program()
    found: list[ia.Graph] = []

    def look(gradient: Tensor) -> None:
        found.append(ia.capture(gradient, params=leaves))

    leaves["x"].register_hook(look)
    (gradient,) = torch.autograd.grad(loss, leaves["x"], create_graph=True)
    assert len(found) == 1
    assert_equals_live_graph(found[0], [gradient], leaves)


def test_inside_a_backward_of_a_custom_function() -> None:
    lengths = []

    class Nosy(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            lengths.append(len(ia.capture(ctx)))
            return grads[0] * 2

    nosy: Any = Nosy
    x = torch.ones(3, requires_grad=True)
    nosy.apply(x.exp()).sum().backward()
    assert lengths == [3]  # Nosy, exp and the leaf.
    assert x.grad is not None
    torch.testing.assert_close(x.grad, 2 * x.detach().exp())


@pytest.fixture
def _fails_on_errors_of_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    errors: list[object] = []
    monkeypatch.setattr(threading, "excepthook", errors.append)
    yield
    assert errors == []


@pytest.mark.usefixtures("_fails_on_errors_of_threads")
@pytest.mark.parametrize("shared", [True, False])
def test_threads(shared: bool) -> None:
    """Several threads capture one graph, or each its own, some of them during backward."""
    count, rounds = 4, 8
    common = deep_program()
    expected = ia.capture(common[0], params=common[1])
    start = threading.Barrier(count)
    found: list[list[ia.Graph]] = [[] for _ in range(count)]

    def work(index: int) -> None:
        start.wait()
        for _ in range(rounds):
            loss, leaves = common if shared else deep_program()
            found[index].append(ia.capture(loss, params=leaves))
            torch.autograd.grad(loss, list(leaves.values()), retain_graph=True)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(graphs) for graphs in found] == [rounds] * count
    for graph in [graph for graphs in found for graph in graphs]:
        if shared:
            assert graph == expected
        else:
            # Sequence numbers count up per thread; nothing else may differ.
            assert list(graph.edges) == list(expected.edges)
            assert graph.node_table.names == expected.node_table.names
            assert graph.node_table.parameters == expected.node_table.parameters


def deep_program() -> tuple[Tensor, dict[str, Tensor]]:
    """Deep enough for the precautions that make a deep graph safe to free."""
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(600):
        y = y.sin()
    return y.sum(), {"x": x}
