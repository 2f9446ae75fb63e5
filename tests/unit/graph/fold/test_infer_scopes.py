"""Scopes inferred from names, on graphs made by hand and on the graphs of real modules."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inspect_autograd.graph.fold import infer_scopes
from inspect_autograd.graph.graph import Graph
from inspect_autograd.live.capture import capture
from tests.unit.graph.fold.building import build, line


def forward_order(graph: Graph) -> list[tuple[str, str | None]]:
    """`(scope, names)` of the nodes as the forward pass made them, one item per scope."""
    nodes = sorted(
        (node for node in infer_scopes(graph).nodes if node.sequence_nr is not None),
        key=lambda node: node.sequence_nr or 0,
    )
    stretches: list[tuple[str, str | None]] = []
    for node in nodes:
        name = node.name.removesuffix("0").removesuffix("Backward")
        if stretches and stretches[-1][1] == node.scope:
            stretches[-1] = (f"{stretches[-1][0]} {name}", node.scope)
        else:
            stretches.append((name, node.scope))
    return stretches


def test_a_graph_that_has_scopes_is_left_alone() -> None:
    graph = build("0>1", "Mul Leaf", parameters={1: "fc.weight"}, scopes={0: "a"})
    assert infer_scopes(graph) is graph
    inferred = infer_scopes(replace(graph, scopes=None))
    assert inferred.scopes == "inferred"
    assert infer_scopes(inferred) is inferred


def test_a_graph_without_names_is_left_alone() -> None:
    graph = line("Sum Mul Leaf")
    assert infer_scopes(graph) is graph
    assert graph.nodes[0].scope is None


def test_the_first_of_tied_names_counts() -> None:
    graph = build("0>1 0>2", "Dot Leaf Leaf", parameters={1: "b.weight", 2: "c.weight"})
    parameters = {
        1: replace(graph.node_table.parameters[1], names=("b.weight", "a.weight")),
        2: graph.node_table.parameters[2],
    }
    graph = replace(graph, node_table=replace(graph.node_table, parameters=parameters))
    assert [node.scope for node in infer_scopes(graph).nodes] == ["", "b", "c"]


def test_a_frozen_module_shows_by_what_is_saved() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2))
    model[2].requires_grad_(False)
    graph = capture(model(torch.ones(1, 3)).sum(), params=model)
    assert scopes_of(graph, "AddmmBackward0") == ["0", "2", "3"]
    assert len(graph.leaves()) == 4


def test_a_penalty_on_parameters_belongs_to_no_module() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    penalty = sum((p.pow(2).sum() for p in model.parameters()), torch.zeros(()))
    graph = infer_scopes(capture(model(torch.ones(1, 3)).sum() + penalty, params=model))
    assert graph.nodes[0].scope == ""
    sums = [node for node in graph.find("AddBackward0") if node.scope == ""]
    # The outer sum, and the three that join the penalties of different modules or nothing.
    assert len(sums) == 3


def test_an_mlp() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    assert forward_order(capture(model(torch.ones(2, 4)).sum(), params=model)) == [
        ("T Addmm", "0"),
        ("Relu", ""),
        ("T Addmm", "2"),
        ("Relu", ""),
        ("T Addmm", "4"),
        ("Sum", ""),
    ]


def test_operations_between_two_parts_of_a_sequential_belong_to_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
            self.head = nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.head(torch.tanh(self.mlp(x)))
            return result

    model = Net()
    assert forward_order(capture(model(torch.ones(2, 4)).mean(), params=model)) == [
        ("T Addmm", "mlp.0"),
        ("Relu", "mlp"),
        ("T Addmm", "mlp.2"),
        ("Tanh", ""),
        ("T Addmm", "head"),
        ("Mean", ""),
    ]


def scopes_of(graph: Graph, pattern: str) -> list[str | None]:
    found = infer_scopes(graph).find(pattern)
    return [node.scope for node in sorted(found, key=lambda node: node.sequence_nr or 0)]


def encoder(*, norm_first: bool, final_norm: bool = False) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
    norm = nn.LayerNorm(16) if final_norm else None
    return nn.TransformerEncoder(layer, 3, norm=norm, enable_nested_tensor=False)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_a_transformer_encoder(norm_first: bool, requires_grad: bool) -> None:
    model = encoder(norm_first=norm_first)
    x = torch.randn(2, 3, 16, requires_grad=requires_grad)
    graph = capture(model(x).pow(2).mean(), params=model)
    # Between the two projections of an attention.
    assert scopes_of(graph, "*Softmax*") == [f"layers.{i}.self_attn" for i in range(3)]
    assert scopes_of(graph, "BmmBackward0") == [f"layers.{i // 2}.self_attn" for i in range(6)]
    assert scopes_of(graph, "ReluBackward0") == [f"layers.{i}" for i in range(3)]
    norms = [f"layers.{i}.norm{k}" for i in range(3) for k in (1, 2)]
    assert scopes_of(graph, "NativeLayerNormBackward0") == norms
    linears = ("self_attn.out_proj", "linear1", "linear2")
    assert scopes_of(graph, "AddmmBackward0") == [
        f"layers.{i}.{k}" for i in range(3) for k in linears
    ]
    # One sum adds the bias in an attention, two are residual.
    assert scopes_of(graph, "AddBackward0") == [
        scope for i in range(3) for scope in (f"layers.{i}.self_attn", f"layers.{i}", f"layers.{i}")
    ]
    assert scopes_of(graph, "PowBackward0") == [""]
    assert scopes_of(graph, "MeanBackward0") == [""]


def test_a_transformer_encoder_with_an_input_named_in_params() -> None:
    model = encoder(norm_first=False)
    x = torch.randn(2, 3, 16, requires_grad=True)
    params = {"x": x, **dict(model.named_parameters())}
    graph = infer_scopes(capture(model(x).sum(), params=params))
    (leaf,) = graph.find("x")
    assert leaf.scope == ""
    # The input goes into the attention and into the residual sum.
    assert {node.name: node.scope for node in graph.previous_nodes(leaf)} == {
        "TransposeBackward0": "layers.0.self_attn",
        "AddBackward0": "layers.0",
    }


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.position = nn.Parameter(torch.zeros(3, 16))
        self.encoder = encoder(norm_first=True, final_norm=True)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.encoder(self.embed(x) + self.position).mean(1))
        return result


def test_what_surrounds_an_encoder() -> None:
    model = Classifier()
    logits = model(torch.tensor([[1, 2, 3]]))
    stretches = forward_order(capture(F.cross_entropy(logits, torch.tensor([1])), params=model))
    assert stretches[:3] == [
        ("Embedding", "embed"),
        ("Add", ""),
        ("NativeLayerNorm", "encoder.layers.0.norm1"),
    ]
    assert stretches[-4:] == [
        ("NativeLayerNorm", "encoder.norm"),
        ("MeanBackward1", "encoder"),
        ("T Addmm", "head"),
        ("LogSoftmax NllLoss", ""),
    ]


class Block(nn.Module):
    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.down: nn.Module = nn.Identity()
        if stride > 1:
            conv = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.down = nn.Sequential(conv, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.down(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.layer1 = nn.Sequential(Block(4, 4, 1), Block(4, 4, 1))
        self.layer2 = nn.Sequential(Block(4, 8, 2), Block(8, 8, 1))
        self.fc = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(F.max_pool2d(F.relu(self.conv1(x)), 2)))
        result: Tensor = self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return result


def test_residual_blocks_of_convolutions() -> None:
    model = ResNet()
    graph = capture(model(torch.randn(2, 3, 16, 16)).sum(), params=model)

    def block(path: str, down: str = "") -> list[tuple[str, str | None]]:
        branch: list[tuple[str, str | None]] = []
        if down:
            branch = [("Convolution", f"{path}.down.0"), ("NativeBatchNorm", f"{path}.down.1")]
        return [
            ("Convolution", f"{path}.conv1"),
            ("NativeBatchNorm", f"{path}.bn1"),
            ("Relu", path),
            ("Convolution", f"{path}.conv2"),
            ("NativeBatchNorm", f"{path}.bn2"),
            *branch,
            ("Add Relu", path),
        ]

    assert forward_order(graph) == [
        ("Convolution", "conv1"),
        ("Relu MaxPool2DWithIndices", ""),
        *block("layer1.0"),
        *block("layer1.1"),
        *block("layer2.0", down="down"),
        *block("layer2.1"),
        ("MeanBackward1 View", ""),
        ("T Addmm", "fc"),
        ("Sum", ""),
    ]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.RNNCell(4, 5)
        self.out = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(2, 5)
        for step in x:
            state = self.cell(step, state)
        result: Tensor = self.out(state)
        return result


def test_a_cell_called_in_a_loop() -> None:
    model = Recurrent()
    graph = capture(model(torch.randn(3, 2, 4)).sum(), params=model)
    # In the last step nothing of the cell follows; it is recognized by the steps before.
    assert forward_order(graph) == [
        (" ".join(["T Addmm T Addmm Add Tanh"] * 3), "cell"),
        ("T Addmm", "out"),
        ("Sum", ""),
    ]


def test_an_lstm() -> None:
    model = nn.ModuleDict({"lstm": nn.LSTM(4, 5, 2), "fc": nn.Linear(5, 2)})
    hidden, _ = model["lstm"](torch.randn(3, 2, 4))
    graph = infer_scopes(capture(model["fc"](torch.tanh(hidden)).sum(), params=model))
    assert graph.nodes[0].scope == ""
    assert [node.scope for node in graph.find("*RnnLayer*") or graph.find("Sigmoid*")][:2] == [
        "lstm",
        "lstm",
    ]
    # One LSTM layer has four parameters.
    assert sorted(str(node.scope) for node in graph.leaves()) == ["fc"] * 2 + ["lstm"] * 8


def test_a_weight_made_of_several_parameters() -> None:
    linear = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))
    model = nn.Sequential(linear, nn.ReLU())
    assert forward_order(capture(model(torch.ones(2, 3)).sum(), params=model)) == [
        ("WeightNormInterface T Addmm", "0"),
        ("Relu Sum", ""),
    ]


def test_a_masked_weight() -> None:
    class Masked(nn.Module):
        mask: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3, 4))
            self.register_buffer("mask", torch.eye(3, 4))

        def forward(self, x: Tensor) -> Tensor:
            return x @ (self.weight * self.mask)

    model = nn.Sequential(Masked(), nn.Linear(4, 4))
    assert forward_order(capture(model(torch.ones(2, 3)).sum(), params=model)) == [
        ("Mul Mm", "0"),
        ("T Addmm", "1"),
        ("Sum", ""),
    ]
