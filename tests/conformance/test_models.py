"""Real regimes: checkpointing, hooks on saved tensors, compilers, unusual tensors.

In each of them the record is the live graph, and the gradients are those of a run that nobody
looked at. What a capture must not do (recompute, unpack, call back) is counted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia

from .reference import assert_equals_live_graph, assert_same_bits

Build = Callable[[], tuple[Tensor, Mapping[str, Tensor]]]


def gradients(loss: Tensor, leaves: Mapping[str, Tensor]) -> list[Tensor | None]:
    for leaf in leaves.values():
        leaf.grad = None
    loss.backward()
    return [leaf.grad for leaf in leaves.values()]


def check(build: Build) -> ia.Graph:
    """Build a loss twice, capture one of them, compare with the live graph and the other one.

    Returns:
        The graph as captured before backward.
    """
    torch.manual_seed(0)
    expected = gradients(*build())
    assert any(gradient is not None for gradient in expected), "the program has no gradient"
    torch.manual_seed(0)
    loss, leaves = build()
    graph = ia.capture(loss, params=leaves)
    assert_equals_live_graph(graph, [loss], leaves)
    assert_same_bits(gradients(loss, leaves), expected)
    assert len(ia.capture(loss, params=leaves)) == len(graph)
    return graph


def states(graph: ia.Graph) -> set[str]:
    return {saved.state for node in graph.nodes for saved in node.saved}


def small_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


# -- user code that runs when a saved tensor is read -------------------------------------------


class CountsCalls(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = small_model()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        result: Tensor = self.body(x)
        return result.exp()


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_checkpoint_is_not_recomputed(use_reentrant: bool) -> None:
    counters = []

    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        block = CountsCalls()
        counters.append(block)
        x = torch.randn(5, 3, requires_grad=True)
        y = checkpoint(block, x, use_reentrant=use_reentrant)
        return (y * y).sum(), {"x": x, **dict(block.named_parameters())}

    loss, leaves = build()
    graph = ia.capture(loss, params=leaves)
    assert counters[0].calls == 1
    loss.backward()
    assert counters[0].calls == 2
    ia.capture(loss, params=leaves)
    assert counters[0].calls == 2

    graph = check(build)
    names = [node.name for node in graph.nodes]
    if use_reentrant:
        assert names.count("CheckpointFunctionBackward") == 1
        assert set(graph.parameters()) == {"x"}  # The rest is out of reach until backward.
    else:
        assert set(graph.parameters()) == set(leaves)
        exp = graph.nodes[names.index("ExpBackward0")]
        assert [saved.state for saved in exp.saved] == ["packed"]
        mul = graph.nodes[names.index("MulBackward0")]  # It was made outside the checkpoint.
        assert {saved.state for saved in mul.saved} == {"available"}


class Packed:
    """What a pack hook returns need not be a tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def test_saved_tensors_hooks_do_not_run() -> None:
    calls = {"pack": 0, "unpack": 0}

    def pack(tensor: Tensor) -> Packed:
        calls["pack"] += 1
        return Packed(tensor)

    def unpack(packed: Packed) -> Tensor:
        calls["unpack"] += 1
        return packed.tensor

    x = torch.ones(3, requires_grad=True)
    with saved_tensors_hooks(pack, unpack):
        y = (x.exp() * x).sum()
        before = dict(calls)
        inside = ia.capture(y)
    assert ia.capture(y) == inside
    # ExpBackward0 keeps its result, MulBackward0 both factors.
    assert before == {"pack": 3, "unpack": 0}
    assert calls == before
    assert [saved.state for node in inside.nodes for saved in node.saved] == ["packed"] * 3
    assert inside.saved_bytes() == 0

    y.backward()
    assert calls == {"pack": 3, "unpack": 3}
    assert states(ia.capture(y)) == {"freed"}
    assert calls == {"pack": 3, "unpack": 3}


def test_hooks_on_the_saved_tensors_of_a_custom_function() -> None:
    calls = []

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
            result = x * y
            ctx.save_for_backward(x, y, result)
            return result

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
            x, y, _ = ctx.saved_tensors
            return grads[0] * y, grads[0] * x

    def unpack(packed: Packed) -> Tensor:
        calls.append(packed)
        return packed.tensor

    product: Any = Product
    x = torch.ones(3, requires_grad=True)
    with saved_tensors_hooks(Packed, unpack):
        y = product.apply(x, x * 2).sum()
    graph = ia.capture(y)
    assert calls == []
    node = next(node for node in graph.nodes if node.kind == "custom")
    assert [saved.name for saved in node.saved] == [f"saved_tensors[{i}]" for i in range(3)]
    assert {saved.state for saved in node.saved} == {"packed"}
    y.backward()
    assert len(calls) >= 3


def test_save_on_cpu() -> None:
    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        model = small_model()
        with save_on_cpu():
            return model(torch.randn(5, 3)).exp().sum(), dict(model.named_parameters())

    assert states(check(build)) == {"packed"}


# -- compilers ---------------------------------------------------------------------------------


@pytest.fixture
def _fresh_compiler() -> Iterator[None]:
    from torch._dynamo.eval_frame import is_dynamo_supported  # It takes a second to import.

    if not is_dynamo_supported():
        pytest.skip("torch.compile does not support this Python or this platform")
    torch.compiler.reset()
    with warnings.catch_warnings():
        # While it loads and traces, the compiler calls parts of torch that are deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield
    torch.compiler.reset()


@pytest.mark.usefixtures("_fresh_compiler")
def test_compiled() -> None:
    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        model = small_model()
        compiled = torch.compile(model, backend="aot_eager")
        return compiled(torch.randn(5, 3)).exp().sum(), dict(model.named_parameters())

    graph = check(build)
    (node,) = (node for node in graph.nodes if node.kind == "compiled")
    assert node.name == "CompiledFunctionBackward"
    assert [node.name for node in graph.nodes if node.kind == "op"] == [
        "SumBackward0",
        "ExpBackward0",
    ]
    assert set(graph.parameters()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert node.saved


# Where the compiler breaks its graph it looks at `.grad` of every tensor that lives.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.usefixtures("_fresh_compiler")
def test_capture_inside_a_compiled_function() -> None:
    lengths = []

    @torch.compile(backend="aot_eager")
    def program(x: Tensor) -> Tensor:
        y = (x.sin() * x).sum()
        lengths.append(len(ia.capture(y)))
        return y * 2

    x = torch.arange(3.0, requires_grad=True)
    program(x).backward()
    assert lengths[0] >= 2
    expected = 2 * (x.cos() * x + x.sin())
    torch.testing.assert_close(x.grad, expected.detach())


def test_scripted() -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*torch.jit.script.* is deprecated")
        program = torch.jit.script(residual)

    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        leaves = {"x": torch.randn(3, requires_grad=True), "y": torch.ones(3, requires_grad=True)}
        return program(**leaves).sum(), leaves

    build()[0].backward()  # The first calls only gather what the second one is compiled from.
    graph = check(build)
    nodes = [(node.name, node.kind) for node in graph.nodes if node.kind != "leaf"]
    # A C++ node without a Python class of its own; it receives what its inner nodes would.
    assert nodes == [("SumBackward0", "op"), ("DifferentiableGraphBackward", "cpp-custom")]
    assert set(graph.parameters()) == {"x", "y"}


def residual(x: Tensor, y: Tensor) -> Tensor:
    return torch.tanh(x * y + x) * y


# -- kinds of tensors --------------------------------------------------------------------------


def test_autocast() -> None:
    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        model = small_model()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model(torch.randn(5, 3)).float().sum(), dict(model.named_parameters())

    graph = check(build)
    first = next(node for node in graph.nodes if node.name == "TanhBackward0")
    assert [str(meta) for meta in first.receives] == ["bf16[5, 4]"]
    # The weights, their biases, and the result are converted.
    assert [node.name for node in graph.nodes].count("ToCopyBackward0") == 5


def test_sparse_gradient_of_an_embedding() -> None:
    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        embedding = nn.Embedding(6, 3, sparse=True)
        return embedding(torch.tensor([1, 4, 1])).exp().sum(), {"weight": embedding.weight}

    loss, leaves = build()
    gradient = gradients(loss, leaves)[0]
    assert gradient is not None
    assert gradient.layout is torch.sparse_coo
    graph = check(build)
    (node,) = graph.find("EmbeddingBackward0")
    assert node.attributes["sparse"] is True


def test_sparse_leaf() -> None:
    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        indices = torch.tensor([[0, 1, 1], [2, 0, 2]])
        values = torch.tensor([3.0, 4.0, 5.0])
        leaf = torch.sparse_coo_tensor(
            indices, values, (2, 3), requires_grad=True, check_invariants=True
        )
        return torch.sparse.mm(leaf, torch.ones(3, 2)).exp().sum(), {"sparse": leaf}

    graph = check(build)
    (leaf,) = graph.leaves()
    assert leaf.parameter is not None
    assert leaf.parameter.names == ("sparse",)
    assert str(leaf.parameter.meta) == "f32[2, 3] sparse_coo"


def test_complex() -> None:
    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        x = torch.randn(4, dtype=torch.complex64, requires_grad=True)
        return (torch.fft.fft(x.conj() * x) * 2j).abs().sum(), {"x": x}

    graph = check(build)
    (leaf,) = graph.leaves()
    assert [str(meta) for meta in leaf.receives] == ["c64[4]"]


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested(layout: torch.layout) -> None:
    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        parts = [torch.randn(2, 3), torch.randn(4, 3)]
        leaf = torch.nested.nested_tensor(parts, layout=layout, requires_grad=True)
        linear = nn.Linear(3, 2)
        padded = torch.nested.to_padded_tensor(linear(leaf).relu(), 0.0)
        return padded.exp().sum(), {"x": leaf, **dict(linear.named_parameters())}

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The PyTorch API of nested tensors", UserWarning)
        graph = check(build)
    (leaf,) = (leaf for leaf in graph.leaves() if leaf.label == "x")
    assert leaf.parameter is not None
    assert leaf.parameter.meta.layout == str(layout).removeprefix("torch.")
    if layout is torch.strided:
        assert leaf.parameter.meta.shape is None  # Torch has no one shape for it.
    else:
        assert leaf.parameter.meta.shape is not None
        assert leaf.parameter.meta.shape[0] == 2
        assert isinstance(leaf.parameter.meta.shape[1], str)  # The ragged size is a symbol.


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_meta_tensors(device: str) -> None:
    """`meta` as the default device must not lead any tensor of ours there, nor need values."""

    def build() -> tuple[Tensor, Mapping[str, Tensor]]:
        model = small_model().to("meta")
        return model(torch.empty(5, 3, device="meta")).sum(), dict(model.named_parameters())

    torch.set_default_device(device)
    try:
        graph = check(build)
        on_cpu = torch.ones(3, device="cpu", requires_grad=True)
        other = ia.capture(on_cpu.sum())
    finally:
        torch.set_default_device(None)
    assert {meta.device for node in graph.nodes for meta in node.receives if meta} == {"meta"}
    assert [str(node.receives[0]) for node in graph.find("*.weight")] == [
        "f32[2, 4] meta",
        "f32[4, 3] meta",
    ]
    assert {meta.device for node in other.nodes for meta in node.receives if meta} == {"cpu"}
