"""graph_holders tells which graphs are alive, how big they are, and what they look like."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.graph.holders import Growth
from tests.unit.live.holders.looking import graphs_of, new_leaf, tensors_of


def pattern_of(found: ia.GraphHolders, graph_id: int) -> Any:
    (pattern,) = [pattern for pattern in found.patterns if graph_id in pattern.graphs]
    return pattern


def test_the_counts_are_those_of_capture() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1013))
    y = model(torch.ones(2, 4)).exp()
    (graph,) = [
        graph
        for graph in ia.graph_holders(params=model).graphs
        if any(t.meta and t.meta.shape == (2, 1013) for t in graph.tensors)
    ]
    captured = ia.capture(y, params=model)
    assert graph.node_count == len(captured.nodes)
    assert graph.leaf_count == 4
    storages = captured.storages
    assert graph.saved_bytes == sum(s.bytes for s in storages if not s.names)
    assert graph.parameter_bytes == sum(s.bytes for s in storages if s.names)
    assert graph.parameter_bytes >= 8 * 1013 * 4
    assert graph.freed_nodes == 0


def test_graphs_that_share_leaves_only_are_apart() -> None:
    leaf = new_leaf()
    first, second = leaf * 2, leaf * 3
    graphs = graphs_of(ia.graph_holders(), leaf)
    assert [(graph.node_count, graph.leaf_count) for graph in graphs] == [(2, 1), (2, 1)]
    del first, second


def test_graphs_that_share_a_node_are_one() -> None:
    leaf = new_leaf()
    trunk = leaf * 2
    first, second = trunk.exp(), trunk.sin()
    (graph,) = graphs_of(ia.graph_holders(), leaf)
    assert graph.node_count == 4
    assert [tensor.grad_fn for tensor in graph.tensors] == [
        "SinBackward0",
        "ExpBackward0",
        "MulBackward0",
    ]
    del first, second


def test_a_saved_tensor_that_only_the_graph_holds_is_no_holder() -> None:
    leaf = new_leaf()
    middle = leaf * 2
    end = middle.sin()  # Saves `middle`, whose Python object lives on.
    del middle
    assert [t.grad_fn for t in tensors_of(ia.graph_holders(), leaf)] == ["SinBackward0"]
    del end


def test_the_base_of_a_view_is_no_holder() -> None:
    leaf = new_leaf()
    view = (leaf * 2)[:1]
    assert tensors_of(ia.graph_holders(), leaf) == []
    (tensor,) = [
        t for g in ia.graph_holders().graphs for t in g.tensors if "view" in t.holders[0].expression
    ]
    assert tensor.grad_fn == "SliceBackward0"
    del view


def test_a_storage_that_two_graphs_save_counts_once_in_the_sum() -> None:
    data = torch.ones(1 << 18)
    first = (new_leaf()[:1] * data).sum()
    before = ia.graph_holders().saved_bytes
    second = (new_leaf()[:1] * data).sum()
    found = ia.graph_holders()
    big = [graph for graph in found.graphs if graph.saved_bytes >= 4 << 18]
    assert len(big) == 2
    assert found.saved_bytes - before < 4 << 18
    del first, second


def test_most_bytes_come_first_then_most_nodes_then_the_oldest() -> None:
    leaf = new_leaf()
    old, young = leaf + 1, leaf + 1
    deep = (leaf + 1) + 1
    saving = leaf.exp()
    graphs = graphs_of(ia.graph_holders(), leaf)
    names = [graph.tensors[0].holders[0].expression for graph in graphs]
    assert names == ["saving", "deep", "old", "young"]
    assert [graph.id for graph in graphs] == sorted(graph.id for graph in graphs)
    del old, young, deep, saving


def test_min_bytes() -> None:
    leaf = new_leaf()
    small, big = leaf + 1, leaf.exp()
    everything = ia.graph_holders()
    found = ia.graph_holders(min_bytes=leaf.nbytes)
    (graph,) = graphs_of(found, leaf)
    assert graph.tensors[0].grad_fn == "ExpBackward0"
    assert found.left_out == len(everything) - len(found) > 0
    del small, big


def test_a_graph_that_backward_kept() -> None:
    leaf = new_leaf()
    y = leaf.exp()
    y.sum().backward(retain_graph=True)
    (graph,) = graphs_of(ia.graph_holders(), leaf)
    assert (graph.freed_nodes, graph.saved_bytes) == (0, leaf.nbytes)
    y.sum().backward()
    (graph,) = graphs_of(ia.graph_holders(), leaf)
    assert (graph.freed_nodes, graph.saved_bytes) == (1, 0)


def test_what_a_checkpoint_packed_is_counted_and_not_run() -> None:
    leaf = new_leaf()
    calls = []

    def run(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return x.exp().sin()

    y = checkpoint(run, leaf, use_reentrant=False)
    (graph,) = graphs_of(ia.graph_holders(), leaf)
    assert graph.packed_count == 2
    assert calls == [1]
    del y


def test_a_gradient_with_a_graph() -> None:
    leaf = new_leaf()
    with pytest.warns(UserWarning, match="create_graph=True"):
        (leaf**3).sum().backward(create_graph=True)
    found = ia.graph_holders()
    (graph,) = graphs_of(found, leaf)
    (tensor,) = graph.tensors
    assert tensor.what == "gradient"
    (holder,) = tensor.holders
    assert (holder.kind, holder.expression) == ("gradient", "leaf.grad")
    assert pattern_of(found, graph.id).kind == "gradient"
    leaf.grad = None
    assert graphs_of(ia.graph_holders(), leaf) == []


class Ring:
    """Refers to itself, and to a tensor."""

    def __init__(self, held: torch.Tensor) -> None:
        self.me = self
        self.held = held


def test_garbage_that_was_not_collected() -> None:
    leaf = new_leaf()
    gc.disable()
    try:
        Ring(leaf * 2)
        found = ia.graph_holders()
        assert not gc.isenabled()
    finally:
        gc.enable()
    (graph,) = graphs_of(found, leaf)
    (holder,) = graph.tensors[0].holders
    assert holder.kind == "cycle"
    assert holder.text == (
        "a reference cycle that gc has not collected yet, through <Ring>.held (attribute of Ring)"
    )
    assert pattern_of(found, graph.id).kind == "cycle"
    gc.collect()
    assert graphs_of(ia.graph_holders(), leaf) == []


def test_a_cycle_that_is_in_use_is_not_called_garbage() -> None:
    leaf = new_leaf()
    ring = Ring(leaf * 2)
    (graph,) = graphs_of(ia.graph_holders(), leaf)
    assert [holder.expression for holder in graph.tensors[0].holders] == ["ring.held"]
    del ring.me
    held = iter([Ring(leaf * 3)])  # Only an iterator holds the ring.
    texts = [t.holders[0] for t in tensors_of(ia.graph_holders(), leaf)]
    assert {holder.kind for holder in texts} == {"local"}
    del held


def test_a_list_of_losses() -> None:
    leaf = new_leaf()
    losses = [leaf * step for step in range(7)]
    found = ia.graph_holders()
    graphs = graphs_of(found, leaf)
    assert len(graphs) == 7
    (container,) = [c for c in found.containers if c.holder.expression == "losses"]
    assert (container.type_name, container.tensors) == ("list", 7)
    assert container.graphs == tuple(graph.id for graph in graphs)
    pattern = pattern_of(found, graphs[3].id)
    assert pattern.kind == "container"
    assert pattern.hint.startswith("keep values, not graphs: losses.append(loss.item())")
    del losses


def test_activations_of_one_graph_are_one_graph_in_a_list() -> None:
    leaf = new_leaf()
    layers = [leaf * 2]
    for _ in range(3):
        layers.append(layers[-1].exp())
    found = ia.graph_holders()
    (graph,) = graphs_of(found, leaf)
    (container,) = [c for c in found.containers if c.holder.expression == "layers"]
    assert (container.tensors, container.graphs) == (4, (graph.id,))
    assert pattern_of(found, graph.id).kind == "held"


def accumulate(kind: str, leaf: torch.Tensor, steps: int) -> Any:
    total: Any = torch.zeros(()) if kind == "in place" else 0.0
    if kind == "cat":
        total = torch.zeros(0)
    for step in range(steps):
        loss = (leaf * step).exp().sum()
        if kind == "mean":
            total = 0.9 * total + 0.1 * loss
        elif kind == "plain":
            total = total + loss
        elif kind == "cat":
            total = torch.cat([total, loss[None]])
        else:
            total += loss
    return total


@pytest.mark.parametrize(
    ("kind", "growth"),
    [
        ("plain", Growth("sum", 12, 12)),
        ("augmented", Growth("sum", 12, 12)),
        ("in place", Growth("sum", 12, 12)),
        ("mean", Growth("sum", 12, 12)),
        ("cat", Growth("concatenation", 12, 12)),
    ],
)
def test_an_accumulator(kind: str, growth: Growth) -> None:
    leaf = new_leaf()
    total = accumulate(kind, leaf, 12)
    found = ia.graph_holders()
    (graph,) = [g for g in found.graphs if any(h.expression == "total" for h in g.holders)]
    assert graph.growth == growth
    pattern = pattern_of(found, graph.id)
    assert pattern.kind == "accumulator"
    assert "12 terms" in pattern.text
    wanted = "outputs.append(total.detach())" if kind == "cat" else "total += loss.item()"
    assert wanted in pattern.hint
    del total


def test_losses_of_several_heads_are_no_accumulator() -> None:
    leaf = new_leaf()
    trunk = leaf.exp()
    total: Any = 0
    for head in range(12):
        total = total + (trunk * head).sum()
    found = ia.graph_holders()
    (graph,) = graphs_of(found, leaf)
    assert graph.growth == Growth("sum", 12, 1)
    assert pattern_of(found, graph.id).kind == "held"
    del total


class Recurrent(nn.Module):
    """Keeps its hidden state from step to step."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.cell = nn.RNNCell(size, size)
        self.hidden = torch.zeros(1, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.hidden = self.cell(x, self.hidden)
        return self.hidden.sum()


def test_a_hidden_state_that_is_carried_over() -> None:
    model = Recurrent(17)
    sizes = []
    for _ in range(3):
        model(torch.ones(1, 17)).backward(retain_graph=True)
        model.hidden = model.hidden * 1.0
        found = ia.graph_holders()
        (graph,) = [
            g for g in found.graphs if any(h.expression == "model.hidden" for h in g.holders)
        ]
        sizes.append(graph.node_count - graph.leaf_count)
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] > 0  # Deeper by as much in every step.
    with torch.no_grad():
        model.hidden = model.hidden.detach()
    loss = model(torch.ones(1, 17))
    loss.backward()
    del loss
    found = ia.graph_holders()
    (graph,) = [g for g in found.graphs if any(h.owner == "Recurrent" for h in g.holders)]
    pattern = pattern_of(found, graph.id)
    assert pattern.kind == "carried over"
    assert pattern.hint == "model.hidden = model.hidden.detach() before the next step"
    model.hidden = model.hidden.detach()
    assert not [
        g for g in ia.graph_holders().graphs if any(h.owner == "Recurrent" for h in g.holders)
    ]


def test_a_budget_that_is_too_small_is_said() -> None:
    leaf = new_leaf()
    box = [[[leaf * 2]]]
    found = ia.graph_holders(max_seconds=0)
    (graph,) = graphs_of(found, leaf)
    assert [holder.kind for holder in graph.tensors[0].holders] == ["unfinished"]
    assert found.notes[0] == "the search for holders ended early: max_seconds was over"
    del box


def test_a_view_whose_graph_torch_refuses_is_said() -> None:
    base = new_leaf()[:4] * 1
    views = base.unbind()
    base.mul_(2)  # Now nobody may ask the views for their graphs.
    found = ia.graph_holders()
    assert found.notes == (
        "torch refuses the graph of 4 views that were spoiled by a change in place",
    )
    assert any(holder.expression == "base" for g in found.graphs for holder in g.holders)
    del views


def test_what_gc_freeze_set_aside_is_said() -> None:
    gc.freeze()
    try:
        found = ia.graph_holders()
    finally:
        gc.unfreeze()
    assert found.notes[-1].endswith("objects that gc.freeze() set aside were not looked at")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"min_bytes": -1}, ValueError, "min_bytes is -1"),
        ({"min_bytes": "1 MB"}, TypeError, "min_bytes is of type str"),
        ({"max_seconds": float("nan")}, ValueError, "max_seconds is nan"),
        ({"recording": 3}, TypeError, "recording is of type int"),
        ({"params": 3}, TypeError, "params is of type int"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        ia.graph_holders(**arguments)
    assert isinstance(caught.value, ia.InspectAutogradError)
