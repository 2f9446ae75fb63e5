"""capture wherever it may be called: in modes, transforms, hooks and threads.

What is around it must neither see it nor change what it finds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import inspect_autograd as ia

from .reference import assert_equals_live_graph, assert_same_bits, assert_saved_state


def program() -> tuple[Tensor, dict[str, Tensor]]:
    """A loss with views, a change in place, several outputs and kept tensors."""
    torch.manual_seed(0)
    model = nn.Linear(3, 4)
    x = torch.randn(5, 3, requires_grad=True)
    y = model(x).tanh()
    y[0] *= 2
    first, second = y.split(2, dim=1)
    values, _ = (first * second).max(dim=1)
    return values.exp().sum(), {"x": x, **dict(model.named_parameters())}


def gradients(loss: Tensor, leaves: dict[str, Tensor]) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, list(leaves.values()), retain_graph=True))


# -- modes -------------------------------------------------------------------------------------


class CountsFunctions(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


class CountsOperators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("make_mode", [CountsFunctions, CountsOperators])
@pytest.mark.parametrize("layout", [torch.strided, torch.sparse_coo])
def test_modes_do_not_see_it(
    make_mode: Callable[[], CountsFunctions | CountsOperators], layout: torch.layout
) -> None:
    sparse = torch.eye(3).to_sparse().requires_grad_()
    with make_mode() as mode:
        loss, leaves = program()
        if layout is torch.sparse_coo:
            loss = loss + torch.sparse.mm(sparse, torch.ones(3, 1)).exp().sum()
            leaves["sparse"] = sparse
        before = mode.calls
        graph = ia.capture(loss, params=leaves)
        list(graph.nodes)
        graph.summary()
        assert mode.calls == before > 0
    assert_saved_state(graph, assert_equals_live_graph(graph, [loss], leaves))


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


def refuse(_: object) -> object:
    raise AssertionError("capture ran a hook")


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled:UserWarning")
@pytest.mark.parametrize("name", CONTEXTS)
def test_every_context_gives_the_same_graph(name: str) -> None:
    loss, leaves = program()
    expected = ia.capture(loss, params=leaves)
    with CONTEXTS[name]():
        found = ia.capture(loss, params=leaves)
    assert found == expected
    assert_saved_state(found, assert_equals_live_graph(found, [loss], leaves))
    unobserved, unobserved_leaves = program()
    assert_same_bits(gradients(loss, leaves), gradients(unobserved, unobserved_leaves))


def test_inference_tensors_beside_a_graph() -> None:
    loss, _ = program()
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
        loss, leaves = program()
        graph = ia.capture(loss, params=leaves)
        assert_same_bits(gradients(loss, leaves), gradients(*program()))
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
        live = assert_equals_live_graph(graph, [tensor])
        ages = [1 if n in in_forward else 2 if n in in_first else 3 for n in live]
        records = zip(graph.nodes, ages, strict=True)
        return {(age, record.order) for record, age in records if record.kind != "leaf"}

    assert orders(forward, y) == {(1, 1)}
    assert orders(once, first) == {(1, 1), (2, 2)}
    assert (3, 3) in orders(twice, second)
    assert all(age == order for age, order in orders(twice, second))


# -- tensor subclasses -------------------------------------------------------------------------


class Watched(Tensor):
    """Counts every use of one of its tensors that Python sees."""

    calls = 0

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        Watched.calls += 1
        return super().__torch_function__(func, types, args, kwargs or {})


def test_torch_function_of_a_subclass_is_not_called() -> None:
    leaf = torch.ones(3).as_subclass(Watched).requires_grad_()
    loss = (leaf.exp() * leaf.sin()).sum()
    assert isinstance(loss, Watched)
    before = Watched.calls
    graph = ia.capture({"loss": loss, "leaf": leaf}, params={"leaf": leaf})
    assert Watched.calls == before > 0
    assert [root.path for root in graph.roots] == ["['loss']", "['leaf']"]
    assert_equals_live_graph(graph, [loss, leaf], {"leaf": leaf})


class Doubled(Tensor):
    """A wrapper that holds its elements in two other tensors, the sum of which it stands for."""

    calls = 0
    parts: tuple[Tensor, Tensor]

    @staticmethod
    def __new__(cls, first: Tensor, second: Tensor) -> Doubled:
        result: Doubled = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, first.shape, dtype=first.dtype, device=first.device
        )
        result.parts = (first, second)
        return result

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        Doubled.calls += 1

        def plain(value: Any) -> Any:
            return value.parts[0] + value.parts[1] if isinstance(value, Doubled) else value

        def wrapped(value: Any) -> Any:
            return Doubled(value / 2, value / 2) if isinstance(value, Tensor) else value

        tree_map = torch.utils._pytree.tree_map
        return tree_map(wrapped, func(*tree_map(plain, args), **tree_map(plain, kwargs or {})))


def test_torch_dispatch_of_a_subclass_is_not_called() -> None:
    leaf = Doubled(torch.ones(3), torch.ones(3)).requires_grad_()
    loss = (leaf.exp() * leaf).sum()
    before = Doubled.calls
    graph = ia.capture(loss, params={"leaf": leaf})
    assert Doubled.calls == before > 0
    assert_equals_live_graph(graph, [loss], {"leaf": leaf})
    assert [str(saved.meta) for node in graph.find("ExpBackward0") for saved in node.saved] == [
        "f32[3]"
    ]


# -- functorch ---------------------------------------------------------------------------------


def test_result_of_a_transform() -> None:
    weight = torch.arange(3.0, requires_grad=True)

    def loss(x: Tensor) -> Tensor:
        return (weight * x.sin()).sum()

    per_sample = torch.func.vmap(torch.func.grad(loss))(torch.ones(4, 3))
    total = per_sample.sum()
    graph = ia.capture(total, params={"weight": weight})
    assert_equals_live_graph(graph, [total], {"weight": weight})
    assert list(graph.parameters()) == ["weight"]
    total.backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 4 * torch.ones(3).cos())


@pytest.mark.parametrize("transform", ["vmap", "grad", "jvp", "vmap of grad"])
def test_inside_a_transform(transform: str) -> None:
    """Each level has a graph of its own; the tensors there are wrappers."""
    weight = torch.arange(3.0, requires_grad=True)
    graphs: list[ia.Graph | ia.InspectAutogradError] = []

    def loss(x: Tensor) -> Tensor:
        y = (weight * x.sin()).sum()
        try:
            graphs.append(ia.capture(y, params={"weight": weight, "x": x}))
        except ia.InspectAutogradError as error:
            graphs.append(error)
        return y

    def run() -> Any:
        x = torch.ones(4, 3)
        match transform:
            case "vmap":
                return torch.func.vmap(loss)(x)
            case "grad":
                return torch.func.grad(loss)(x[0])
            case "jvp":
                return torch.func.jvp(loss, (x[0],), (x[0],))[1]
            case _:
                return torch.func.vmap(torch.func.grad(loss))(x)

    result = run()
    assert len(graphs) == 1
    assert isinstance(graphs[0], ia.Graph), graphs[0]
    names = {node.name for node in graphs[0].nodes}
    assert {"SumBackward0", "MulBackward0"} <= names
    expected = {"vmap": [8.4147 * 0.3] * 4, "grad": [0.0, 0.5403, 1.0806], "jvp": 1.6209}
    if transform in expected:
        reference = torch.tensor(expected[transform])
        torch.testing.assert_close(result.detach(), reference, atol=1e-3, rtol=0)


# -- hooks and threads -------------------------------------------------------------------------


def test_inside_hooks_during_backward() -> None:
    loss, leaves = program()
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
    loss, leaves = program()
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
    count, rounds = 4, 25
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
    for _ in range(700):
        y = y.sin()
    return y.sum(), {"x": x}
