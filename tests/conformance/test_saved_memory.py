"""The memory that nodes keep, against what pack hooks of torch see in an equal forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia


@dataclass
class Packed:
    """What pack hooks saw: the storages, held so that no address is used twice."""

    tensors: list[Tensor] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)

    def pack(self, tensor: Tensor) -> Tensor:
        self.tensors.append(tensor)
        storage = tensor.untyped_storage()
        self.sizes[storage._cdata] = storage.nbytes()
        return tensor


def count_by_hooks(forward: Callable[[], Any], named: dict[int, str]) -> tuple[int, int, int]:
    """Bytes of activations and of named tensors, and the number of tensors, as hooks see them."""
    packed = Packed()
    with torch.autograd.graph.saved_tensors_hooks(packed.pack, lambda tensor: tensor):
        output = forward()
    activations = sum(size for key, size in packed.sizes.items() if key not in named)
    parameters = sum(size for key, size in packed.sizes.items() if key in named)
    del output
    return activations, parameters, len(packed.tensors)


def check(model: nn.Module, forward: Callable[[], Tensor]) -> ia.SavedMemory:
    """Compare a forward pass with an equal second one, and every grouping with the total."""
    tensors = [*model.parameters(), *model.buffers()]
    named = {tensor.untyped_storage()._cdata: "" for tensor in tensors}
    # The first pass may set up caches, such as the flat weights of an LSTM.
    torch.manual_seed(0)
    forward()
    torch.manual_seed(0)
    expected = count_by_hooks(forward, named)
    torch.manual_seed(0)
    loss = forward()
    graph = ia.capture(loss, params=model)
    memory = graph.saved_memory()
    assert (memory.activation_bytes, memory.parameter_bytes, memory.tensors) == expected
    assert memory.total_bytes == graph.saved_bytes() > 0
    for other in (memory, *(graph.saved_memory(by) for by in ("node", "scope"))):
        assert other.total_bytes == memory.total_bytes
        assert (other.nodes, other.tensors) == (memory.nodes, memory.tensors)
        alone = sum(row.alone_bytes for row in other.rows)
        assert alone + other.shared_bytes == other.activation_bytes
        sizes = [row.activation_bytes for row in other.rows]
        assert sizes == sorted(sizes, reverse=True)
    assert str(ia.saved_memory(loss, params=model)) == str(memory)
    return memory


class Attention(nn.Module):
    """An LSTM behind a tied embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.lstm = nn.LSTM(8, 8, num_layers=2, batch_first=True, dropout=0.25)
        self.out = nn.Linear(8, 11, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.lstm(self.embedding(x))[0])
        return logits


def test_mlp_by_hand_and_by_hooks() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.randn(16, 4)
    memory = check(model, lambda: model(x).square().mean())
    # The input, the result of the ReLU (which the second layer keeps too), and what is squared.
    assert memory.activation_bytes == 4 * (16 * 4 + 16 * 8 + 16)
    # Only the second layer needs its weight: the input has no gradient.
    assert memory.parameter_bytes == 4 * 8


def test_cnn_with_batch_norm_and_dropout() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4 * 16, 5),
    )
    x, y = torch.randn(2, 3, 8, 8), torch.tensor([1, 3])
    check(model, lambda: nn.functional.cross_entropy(model(x), y))
    model.eval()  # Batch norm saves its buffers then.
    memory = check(model, lambda: nn.functional.cross_entropy(model(x), y))
    weights = (model[0].weight, model[1].weight, model[6].weight)
    assert memory.parameter_bytes > sum(w.nbytes for w in weights if isinstance(w, Tensor))


def test_lstm_and_shared_weights() -> None:
    model = Attention()
    x = torch.arange(10).reshape(2, 5)
    check(model, lambda: model(x).logsumexp(-1).sum())


def test_transformer() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(2, 5, 16)
    memory = check(model, lambda: model(x).sum())
    graph = ia.capture(model(x).sum(), params=model)
    rows = graph.saved_memory("scope", depth=2).rows
    assert {row.scope for row in rows} >= {"layers.0", "layers.1", "layers.2"}
    assert sum(row.parameter_bytes for row in rows) == memory.parameter_bytes


def test_checkpoint() -> None:
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    model = nn.Sequential(first, second)
    x = torch.randn(4, 8)

    def forward() -> Tensor:
        inner: Tensor = checkpoint(lambda x: first(x).relu(), x, use_reentrant=False)
        loss: Tensor = second(inner).square().sum()
        return loss

    torch.manual_seed(0)
    named = {tensor.untyped_storage()._cdata: "" for tensor in model.parameters()}
    activations, parameters, outside = count_by_hooks(forward, named)
    memory = ia.saved_memory(forward(), params=model)
    # The checkpoint keeps its input in a node of its own, which the loss does not lead to.
    assert memory.activation_bytes == activations - x.nbytes
    assert memory.parameter_bytes == parameters
    # Its hooks stood before ours, so ours saw none of what is inside it.
    packed = sum(row.unmeasured for row in memory.rows)
    assert memory.tensors - packed == outside - 1
    assert packed == 2  # What the first layer saves (its weight is not needed), and the ReLU.
    assert memory.notes[0].startswith("2 tensors packed by a hook (a checkpoint")


def test_views_keep_their_whole_storage() -> None:
    model = nn.Linear(100, 6)
    x = torch.randn(50, 100)

    def forward() -> Tensor:
        parts: Tensor = model(x).unflatten(1, (2, 3))
        return (parts[0] * parts[0].detach().exp()).sum() + parts[:, 0].T.sin().sum()

    memory = check(model, forward)
    # What `sin` keeps is half of the output of the linear layer.
    (view,) = (view for view in memory.views if view.storage_bytes == 50 * 6 * 4)
    assert (view.looked_at_bytes, view.unused_bytes, view.tensors) == (600, 600, 1)


def test_one_graph_of_two_losses_counts_what_they_share_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    x = torch.randn(7, 3)
    y = model(x)
    losses = [y.sin().sum(), y.exp().sum()]
    apart = [ia.saved_memory(loss, params=model).activation_bytes for loss in losses]
    both = ia.saved_memory(losses, params=model)
    # x, the result of tanh (which sin keeps too), the result of exp.
    size = 7 * 3 * 4
    assert apart == [2 * size, 3 * size]
    assert both.activation_bytes == 3 * size


@pytest.mark.parametrize("seed", range(5))
def test_random_shapes_of_a_residual_network(seed: int) -> None:
    torch.manual_seed(seed)
    width, depth, batch = (int(n) for n in torch.randint(1, 9, (3,)))
    model = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
    x = torch.randn(batch, width)

    def forward() -> Tensor:
        y = x
        for layer in model:
            y = y + nn.functional.dropout(nn.functional.gelu(layer(y)), 0.3)
        return y.softmax(-1).prod()

    check(model, forward)
