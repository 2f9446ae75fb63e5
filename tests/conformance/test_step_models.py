"""Models and regimes, stepped through: the order and the gradients of the real engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
import torch._functorch.config
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia

from .reference import pair_with_live
from .seen_by_engine import assert_same_gradients, order_of_engine

Built = tuple[Tensor, Mapping[str, Tensor]]


def transformer() -> Built:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    return model(torch.randn(4, 10, 32)).pow(2).mean(), dict(model.named_parameters())


def convolutions() -> Built:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, stride=2, groups=2),
        nn.GroupNorm(2, 8),
        nn.GELU(),
        nn.Flatten(),
        nn.LazyLinear(5),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lazy modules are new to torch.
        output = model(torch.randn(6, 3, 16, 16))
    loss = nn.functional.cross_entropy(output, torch.tensor([0, 1, 2, 3, 4, 0]))
    return loss, dict(model.named_parameters())


def channels_last() -> Built:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Conv2d(8, 4, 1))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(5, 3, 9, 9).to(memory_format=torch.channels_last)
    return model(x).square().sum(), dict(model.named_parameters())


def lstm() -> Built:
    model = nn.LSTM(6, 8, num_layers=2, bidirectional=True)
    output, (hidden, cell) = model(torch.randn(7, 3, 6))
    return output.sum() + hidden.pow(2).sum() + cell.tanh().sum(), dict(model.named_parameters())


def cells() -> Built:
    cell = nn.GRUCell(5, 9)
    hidden = torch.zeros(4, 9)
    for _ in range(12):
        hidden = cell(torch.randn(4, 5), hidden)
    return hidden.logsumexp(1).sum(), dict(cell.named_parameters())


def sparse_embedding() -> Built:
    embedding = nn.Embedding(20, 6, sparse=True)
    index = torch.tensor([1, 3, 3, 7])
    return (embedding(index) * embedding(index + 1)).sum(), dict(embedding.named_parameters())


def autocast() -> Built:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(torch.randn(10, 8)).float().pow(2).sum()
    return loss, dict(model.named_parameters())


def tied_weights() -> Built:
    first, second = nn.Linear(6, 6), nn.Linear(6, 6, bias=False)
    second.weight = first.weight
    loss = second(first(torch.randn(4, 6)).tanh()).pow(3).sum()
    return loss, {"weight": first.weight, "bias": first.bias}


def nested() -> Built:
    parts = [torch.randn(2, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)]
    values = torch.nested.as_nested_tensor(parts, layout=torch.jagged)
    return values.sin().values().sum(), {"a": parts[0], "b": parts[1]}


BUILDERS: list[Callable[[], Built]] = [
    transformer,
    convolutions,
    channels_last,
    lstm,
    cells,
    sparse_embedding,
    autocast,
    tied_weights,
    nested,
]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_order_and_gradients(build: Callable[[], Built]) -> None:
    torch.manual_seed(0)
    loss, leaves = build()
    graph = ia.capture(loss, params=leaves)
    live = pair_with_live(graph, [loss])
    order = order_of_engine(live, lambda: loss.backward(retain_graph=True))
    assert len(order) == len(graph)
    expected = [leaf.grad for leaf in leaves.values()]
    for leaf in leaves.values():
        leaf.grad = None
    stepper = ia.step(loss, params=leaves)
    assert [step.id for step in stepper] == order
    assert_same_gradients([*map(stepper.gradient_of, leaves.values())], expected)
    assert all(leaf.grad is None for leaf in leaves.values())
    assert list(ia.execution_order(graph)) == order
    # And what a trace of a pass has observed is what was foretold.
    with ia.trace(loss, params=leaves) as trace:
        loss.backward()
    assert [event.node for event in trace.events] == order


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Dropout(0.3), nn.Linear(7, 5))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        result: Tensor = self.layers(x)
        return result.sigmoid()


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint(use_reentrant: bool) -> None:
    """It is computed again once, and `.grad` stays as it is, also that of what lies inside."""
    torch.manual_seed(0)
    blocks = [Body(), Body()]
    x = torch.randn(3, 5, requires_grad=True)
    leaves = [x, *(p for block in blocks for p in block.parameters())]

    def build() -> Tensor:
        torch.manual_seed(1)
        y = x * 1.5
        for block in blocks:
            y = checkpoint(block, y, use_reentrant=use_reentrant)
        return (y * y).sum()

    build().backward()
    expected = [leaf.grad for leaf in leaves]
    for leaf in leaves:
        leaf.grad = torch.full_like(leaf, 7.0)
    loss = build()
    before = [block.calls for block in blocks]
    stepper = ia.step(loss).run()
    assert_same_gradients([*map(stepper.gradient_of, leaves)], expected)
    assert [block.calls - count for block, count in zip(blocks, before, strict=True)] == [1, 1]
    assert all(bool((leaf.grad == 7.0).all()) for leaf in leaves if leaf.grad is not None)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled(backend: str) -> None:
    # With donated buffers, compiled code writes over what it saved, and refuses to run twice.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3))
    x = torch.randn(4, 6)
    compiled = torch.compile(model, backend=backend)
    with torch._functorch.config.patch(donated_buffer=False):
        compiled(x).sum().backward()
        expected = [parameter.grad for parameter in model.parameters()]
        model.zero_grad()
        stepper = ia.step(compiled(x).sum()).run()
    assert_same_gradients([*map(stepper.gradient_of, model.parameters())], expected)


class Selects(torch.autograd.Function):
    """Two outputs; its backward tells whether it got None or zeros for the one that is unused."""

    seen: ClassVar[list[Any]] = []
    zeros: ClassVar[bool] = True

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, y: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(Selects.zeros)
        ctx.scale = scale
        return x * scale, y + 1

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        Selects.seen.append([None if grad is None else grad.tolist() for grad in grads])
        first = None if grads[0] is None else grads[0] * ctx.scale
        return first, None, grads[1], None, None


@pytest.mark.parametrize("zeros", [True, False])
def test_custom_function_with_an_unused_output(zeros: bool) -> None:
    Selects.seen, Selects.zeros = [], zeros
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    apply: Any = Selects.apply
    loss = apply(x, 3.0, y)[0].sum()
    order = order_of_engine(
        pair_with_live(ia.capture(loss), [loss]), lambda: loss.backward(retain_graph=True)
    )
    expected = [x.grad, y.grad]
    stepper = ia.step(loss)
    assert [step.id for step in stepper] == order
    assert_same_gradients([stepper.gradient_of(x), stepper.gradient_of(y)], expected)
    assert Selects.seen == [[[1.0, 1.0], [0.0, 0.0] if zeros else None]] * 2


def test_hundred_thousand_nodes_deep() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y * 1.0001
    stepper = ia.step(y).run()
    (gradient,) = stepper.gradients
    assert gradient is not None
    # Multiplied one by one in float32, as the engine does.
    expected = torch.ones(1)
    for _ in range(100_000):
        expected = expected * 1.0001
    assert torch.equal(gradient, expected)
    assert len(ia.execution_order(stepper.graph)) == 100_001
    del y, stepper
