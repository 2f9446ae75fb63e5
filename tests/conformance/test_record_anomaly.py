"""Lines of nodes against those of anomaly mode, which keeps the whole stack of every node."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import inspect_autograd as ia

TORCH = str(Path(torch.__file__).parent)
FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>.+)')


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / (width // self.heads) ** 0.5
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(mask, -torch.inf).softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, length, width)
        projected: Tensor = self.out(mixed)
        return projected


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, 4)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        hidden = F.gelu(self.up(self.norm2(x)))
        return x + F.dropout(self.down(hidden), 0.1, self.training)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(20, 32)
        self.positions = nn.Parameter(torch.zeros(10, 32))
        self.blocks = nn.ModuleList(Block(32) for _ in range(3))
        self.norm = nn.LayerNorm(32)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions
        for block in self.blocks:
            x = block(x)
        scores: Tensor = F.linear(self.norm(x), self.tokens.weight)
        return scores


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = y * 2 + self.norm2(self.conv2(y)).relu_()
        y[:, 0] *= 0.5
        pooled = F.adaptive_avg_pool2d(F.max_pool2d(y, 2), 1).flatten(1)
        scores: Tensor = self.head(pooled)
        return scores


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, batch_first=True)
        self.cell = nn.GRUCell(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        outputs, (hidden, _) = self.lstm(x)
        state: Tensor = hidden[-1]
        for step in outputs.unbind(1):
            state = self.cell(step, state)
        return state


def decoder() -> Callable[[], tuple[Tensor, nn.Module]]:
    model = Decoder()
    ids = torch.randint(20, (2, 10))
    return lambda: (F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()), model)


def residual() -> Callable[[], tuple[Tensor, nn.Module]]:
    model = Residual()
    x = torch.randn(2, 3, 8, 8)
    return lambda: (model(x).logsumexp(1).mean(), model)


def recurrent() -> Callable[[], tuple[Tensor, nn.Module]]:
    model = Recurrent()
    x = torch.randn(2, 5, 6)
    return lambda: (model(x).square().sum(), model)


def encoder() -> Callable[[], tuple[Tensor, nn.Module]]:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(2, 5, 16)
    return lambda: (model(x).square().mean(), model)


MODELS = [decoder, residual, recurrent, encoder]


@pytest.fixture(autouse=True)
def _anomaly_mode() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Anomaly Detection has been enabled", UserWarning)
        with torch.autograd.set_detect_anomaly(True, check_nan=False):
            yield


def live_nodes(loss: Tensor) -> list[Any]:
    nodes: list[Any] = [loss.grad_fn]
    known = set(nodes)
    for node in nodes:
        for next_node, _ in node.next_functions:
            if next_node is not None and next_node not in known:
                known.add(next_node)
                nodes.append(next_node)
    return nodes


def users_line(traceback: list[str]) -> tuple[str, int] | None:
    """The innermost line that is neither torch's nor ours."""
    ours = str(Path(ia.__file__).parent)
    for entry in reversed(traceback):
        frame = FRAME.search(entry)
        if frame is not None and not frame["file"].startswith((TORCH, ours)):
            return frame["file"], int(frame["line"])
    return None


@pytest.mark.parametrize("make", MODELS)
def test_the_same_line_as_anomaly_mode_for_every_node(
    make: Callable[[], Callable[[], tuple[Tensor, nn.Module]]],
) -> None:
    program = make()
    with ia.record() as recording:
        loss, _ = program()
        expected = {
            node._sequence_nr(): users_line(node.metadata["traceback_"])
            for node in live_nodes(loss)
            if "traceback_" in node.metadata and node.name() != "torch::autograd::AccumulateGrad"
        }
        loss.backward()
    nodes = [node for node in recording.graph.nodes if node.kind != "leaf"]
    found = {
        node.sequence_nr: None if node.source is None else (node.source.file, node.source.line)
        for node in nodes
    }
    assert len(expected) > 15
    assert found == expected


@pytest.mark.parametrize("make", MODELS)
def test_every_node_is_attributed(
    make: Callable[[], Callable[[], tuple[Tensor, nn.Module]]],
) -> None:
    program = make()
    with ia.record() as recording:
        loss, _ = program()
        loss.backward()
    for node in recording.graph.nodes:
        if node.kind == "leaf":
            assert node.scope is not None  # The module that owns the parameter.
        else:
            assert node.creation is not None
            assert node.creation.function is not None
            assert node.creation.reason == ""


@pytest.mark.parametrize("make", MODELS)
def test_the_module_is_the_one_that_hooks_see(
    make: Callable[[], Callable[[], tuple[Tensor, nn.Module]]],
) -> None:
    """Hooks note the range of sequence numbers of each module call; the innermost one counts."""
    program = make()
    _, model = program()
    names = {module: name for name, module in model.named_modules()}
    ranges: list[tuple[int, int, str]] = []
    begun: list[int] = []
    number: Callable[[], int] = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]
    for module in names:
        module.register_forward_pre_hook(lambda *_: begun.append(number()))
        module.register_forward_hook(lambda m, *_: ranges.append((begun.pop(), number(), names[m])))
    with ia.record(model) as recording:
        loss, _ = program()
        loss.backward()
    for node in recording.graph.nodes:
        if node.sequence_nr is not None:
            inside = [r for r in ranges if r[0] <= node.sequence_nr < r[1]]
            expected = min(inside, key=lambda r: r[1] - r[0])[2] if inside else None
            assert node.scope == expected
