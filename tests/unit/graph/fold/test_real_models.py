"""Folding the graphs of real modules."""

import time

import torch
from torch import Tensor, nn

from inspect_autograd.graph.graph import Graph
from inspect_autograd.live.capture import capture
from tests.unit.graph.fold.building import arrows, inner_edges, is_acyclic, labels, shown_edges


class Language(nn.Module):
    """An embedding, an encoder and a head: everything in the encoder repeats."""

    def __init__(self, layers: int, *, norm_first: bool) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=norm_first)
        norm = nn.LayerNorm(16) if norm_first else None
        self.embed = nn.Embedding(50, 16)
        self.encoder = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)
        self.head = nn.Linear(16, 50)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.head(self.encoder(self.embed(tokens)))
        return result


def graph_of(layers: int, *, norm_first: bool = True) -> tuple[Language, Graph]:
    torch.manual_seed(0)
    model = Language(layers, norm_first=norm_first)
    return model, capture(model(torch.randint(0, 50, (2, 3))).sum(), params=model)


def test_every_layer_of_an_encoder_is_shown_once() -> None:
    for norm_first in (True, False):
        model, graph = graph_of(4, norm_first=norm_first)
        folded = graph.fold("repeat")
        (repeat,) = folded.repeats
        assert repeat.label == "encoder.layers.0 … encoder.layers.3 ×4"
        assert shown_edges(folded) == len(graph.edges)
        assert folded.saved_bytes() == graph.saved_bytes()
        assert set(folded.parameters()) == {name for name, _ in model.named_parameters()}
        # One layer has twelve parameters.
        inside = [folded.nodes[id] for id in repeat.nodes]
        assert sum(node.kind == "leaf" for node in inside) == 12
        assert {len(node.members) for node in inside} == {4}
        assert is_acyclic(folded)
        # The residual stream and the branch beside it enter and leave each layer.
        assert sum(link.count for link in repeat.links) == 2 * 3


def test_modules_and_then_repeats_give_a_picture_of_few_boxes() -> None:
    _, graph = graph_of(6)
    modules = graph.fold("scope", depth=3)
    assert is_acyclic(modules)
    assert shown_edges(modules) + inner_edges(graph, modules) == len(graph.edges)
    folded = modules.fold("repeat")
    boxes = [label for label in labels(folded) if not label.endswith(("Backward0", "Backward1"))]
    assert boxes == ["head", "encoder.norm", "encoder.layers.0…5", "embed"]
    assert [note.by for note in folded.fold_notes] == ["scope", "repeat"]


def test_a_deep_transformer_is_folded_in_no_time() -> None:
    _, graph = graph_of(130)
    assert len(graph) > 9_000
    start = time.perf_counter()
    folded = graph.fold("scope", depth=3).fold("repeat")
    seconds = time.perf_counter() - start
    assert folded.repeats[0].label == "encoder.layers.0 … encoder.layers.129 ×130"
    assert len(folded) < 12
    # Not quadratic, whatever the machine; it is meant to be below half a second.
    assert seconds < 30


def test_a_loop_of_multiplications() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y * 1.0001
    graph = capture(y.sum(), params={"x": x})
    start = time.perf_counter()
    folded = graph.fold("chain")
    assert time.perf_counter() - start < 20
    assert labels(folded) == ["SumBackward0", "MulBackward0 ×20000", "x"]
    assert arrows(folded) == {(0, 1): 1, (1, 2): 1}
    assert folded.nodes[1].receives == graph.nodes[1].receives


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        self.glue = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(self.glue(self.body(x)))
        return result


def test_a_module_that_is_called_twice() -> None:
    model = Shared()
    graph = capture(model(torch.ones(2, 4)).sum(), params=model)
    folded = graph.fold("scope")
    assert labels(folded) == ["SumBackward0", "body (call 2 of 2)", "body (call 1 of 2)", "glue"]
    # The four weights are with the first call, so the second leads there too.
    assert arrows(folded) == {(0, 1): 1, (1, 2): 4, (1, 3): 1, (3, 2): 1}
    assert is_acyclic(folded)


def test_tied_weights() -> None:
    model = nn.ModuleDict(
        {"embed": nn.Embedding(7, 4), "mid": nn.Linear(4, 4), "out": nn.Linear(4, 7, bias=False)}
    )
    model["out"].weight = model["embed"].weight
    hidden = model["mid"](model["embed"](torch.tensor([1, 2])))
    folded = capture(model["out"](hidden).sum(), params=model).fold("scope")
    assert labels(folded) == ["SumBackward0", "embed (call 2 of 2)", "mid", "embed (call 1 of 2)"]
    assert is_acyclic(folded)


def test_an_unrolled_recurrent_network() -> None:
    cell = nn.RNNCell(4, 5)
    state = torch.zeros(2, 5)
    for step in torch.randn(50, 2, 4):
        state = cell(step, state)
    graph = capture(state.sum(), params=cell)
    folded = graph.fold("repeat")
    # The first step has no state to lead on to, so it is not like the others.
    (repeat,) = folded.repeats
    assert repeat.label == "step 1 … step 49 ×49"
    # The shared weights stay outside; inside are the two products, each with the transposed
    # weight, their sum and its tanh.
    assert [folded.nodes[id].name for id in sorted(repeat.nodes)] == [
        "TanhBackward0",
        "AddBackward0",
        "AddmmBackward0",
        "AddmmBackward0",
        "TBackward0",
        "TBackward0",
    ]
    assert [link.count for link in repeat.links] == [48]
    assert shown_edges(folded) == len(graph.edges)


def test_a_network_without_names() -> None:
    layers = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(9)))
    x = torch.ones(2, 4, requires_grad=True)
    graph = capture(layers(x).sum())
    folded = graph.fold("repeat")
    assert graph.scopes is None
    assert folded.repeats[0].label == "step 1 … step 9 ×9"
    # Tanh, Addmm, T and two parameters; beside them the sum and the input.
    assert len(folded.repeats[0].nodes) == 5
    assert len(folded) == 7
