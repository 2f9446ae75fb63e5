"""capture beside code that sees every operation: modes, tensor subclasses, transforms.

None of them may be called by it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import inspect_autograd as ia

from .programs import example_program
from .reference import assert_equals_live_graph, assert_saved_state

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
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("make_mode", [CountsFunctions, CountsOperators])
def test_modes_do_not_see_it(make_mode: Callable[[], CountsFunctions | CountsOperators]) -> None:
    with make_mode() as mode:
        loss, leaves = example_program()
        before = mode.calls
        graph = ia.capture(loss, params=leaves)
        graph.summary()
        assert mode.calls == before > 0
    assert_saved_state(graph, assert_equals_live_graph(graph, [loss], leaves))


def leaf() -> Tensor:
    return torch.ones(2, requires_grad=True)


def sparse_program() -> Tensor:
    sparse = torch.eye(3).to_sparse().requires_grad_()
    product: Tensor = torch.sparse.mm(sparse, torch.ones(3, 1))
    return product.exp().sum()


# A leaf gives its node only by making a view of it, and the parts of a sparse tensor are read by
# operators.
@pytest.mark.parametrize("make", [leaf, sparse_program])
@pytest.mark.parametrize("make_mode", [CountsFunctions, CountsOperators])
def test_modes_do_not_see_how_leaves_and_sparse_tensors_are_read(
    make_mode: Callable[[], CountsFunctions | CountsOperators], make: Callable[[], Tensor]
) -> None:
    tensor = make()
    with make_mode() as mode:
        ia.capture(tensor)
    assert mode.calls == 0


# -- tensor subclasses -------------------------------------------------------------------------


class Watched(Tensor):
    """Counts every use of one of its tensors that Python sees."""

    calls = 0

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        Watched.calls += 1
        plain: Any = super().__torch_function__
        return plain(func, types, args, kwargs or {})


def test_torch_function_of_a_subclass_is_not_called() -> None:
    leaf = torch.ones(3).as_subclass(Watched).requires_grad_()
    loss = (leaf.exp() * leaf.sin()).sum()
    assert isinstance(loss, Watched)
    before = Watched.calls
    graph = ia.capture({"loss": loss, "leaf": leaf}, params={"leaf": leaf})
    assert Watched.calls == before > 0
    assert [root.path for root in graph.roots] == ["['loss']", "['leaf']"]
    assert graph.nodes[graph.roots[1].node].parameter == graph.leaves()[0].parameter
    alone = ia.capture(loss, params={"leaf": leaf})
    assert_equals_live_graph(alone, [loss], {"leaf": leaf})


class Doubled(Tensor):
    """A wrapper that holds its elements in two other tensors, the sum of which it stands for."""

    calls = 0
    parts: tuple[Tensor, Tensor]

    @staticmethod
    def __new__(cls, first: Tensor, second: Tensor) -> Doubled:
        result: Doubled = Tensor._make_wrapper_subclass(
            cls, first.shape, dtype=first.dtype, device=first.device
        )
        result.parts = (first, second)
        return result

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch calls it as a class method
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
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


@pytest.mark.parametrize(
    ("transform", "result"),
    [("grad", [0.0, 0.5403, 1.0806]), ("vmap of grad", [[0.0, 0.5403, 1.0806]] * 4)],
)
def test_inside_a_transform(transform: str, result: list[Any]) -> None:
    """Each level has a graph of its own; the tensors there are wrappers."""
    weight = torch.arange(3.0, requires_grad=True)
    graphs: list[ia.Graph] = []

    def loss(x: Tensor) -> Tensor:
        y = (weight * x.sin()).sum()
        graphs.append(ia.capture(y, params={"weight": weight, "x": x}))
        return y

    gradient = torch.func.grad(loss)
    found = (
        gradient(torch.ones(3)) if transform == "grad" else torch.vmap(gradient)(torch.ones(4, 3))
    )
    (graph,) = graphs
    assert [node.name for node in graph.nodes if node.kind == "op"] == [
        "SumBackward0",
        "MulBackward0",
        "SinBackward0",
    ]
    assert "x" in graph.parameters()
    torch.testing.assert_close(found.detach(), torch.tensor(result), atol=1e-4, rtol=0)


def test_inside_vmap_there_is_no_graph() -> None:
    """The tensor that vmap hands out carries none; the one behind it does, out of reach."""
    weight = torch.arange(3.0, requires_grad=True)

    def loss(x: Tensor) -> Tensor:
        y = (weight * x).sum()
        assert y.grad_fn is None
        with pytest.raises(ia.InspectAutogradError, match="carries no autograd graph"):
            ia.capture(y)
        return y

    assert torch.vmap(loss)(torch.ones(4, 3)).tolist() == [3.0] * 4
