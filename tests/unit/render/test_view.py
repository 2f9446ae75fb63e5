"""Which view of a graph is shown, and what is said about it."""

from typing import Any

import pytest
import torch

from inspect_autograd.errors import ArgumentError
from inspect_autograd.graph.records import Note, SavedTensor, Truncation
from inspect_autograd.render.view import choose_view, count_boxes
from tests.unit.recorded_models import capture_recorded
from tests.unit.render.graphs import F4, chain, layers, make_graph, product


def test_a_small_graph_is_shown_as_it_is() -> None:
    view = choose_view(layers(3))
    assert view.graph.nodes[:] == layers(3).nodes[:]
    assert view.captions == ("Modules as recorded in the forward pass.",)


def test_the_limit_is_300_boxes() -> None:
    assert len(choose_view(chain(299)).graph) == 300
    assert len(choose_view(chain(300)).graph) == 2


def test_a_long_chain_is_one_box() -> None:
    view = choose_view(chain(20_000))
    assert [node.label for node in view.graph.nodes] == ["MulBackward0 ×20000", "w"]
    (caption,) = view.captions
    assert caption.startswith("20001 nodes shown as 2 boxes: ")
    assert caption.endswith(" view='full' shows all.")


def test_numbered_layers_are_shown_once_with_what_is_inside() -> None:
    view = choose_view(layers(100))
    assert len(view.graph) == 6
    (repeat,) = view.graph.repeats
    assert repeat.label == "layers.0 … layers.99 ×100"
    assert view.captions[0].startswith("402 nodes shown as 6 boxes: ")


def test_modules_are_folded_where_layers_differ() -> None:
    # Each block has one operation more than the one before, so none repeats.
    names, scopes = ["SumBackward0"], {0: ""}
    edges: list[tuple[int, ...]] = []
    for block in range(30):
        for _ in range(block + 1):
            edges.append((len(names) - 1, len(names)))
            # Names alternate, else chains would be enough to make it fit.
            scopes[len(names)] = f"block{'abcdefghijklmnopqrstuvwxyzABCDEF'[block]}"
            names.append(f"Op{len(names)}Backward0")
    edges += [(i, i + 2) for i in range(len(names) - 2)]
    graph = make_graph(names, edges, columns={"scopes": scopes}, scopes="recorded")
    view = choose_view(graph)
    assert len(graph) == 466
    # The first block is a single node, which stays what it is.
    assert len(view.graph) == 31
    assert {node.fold.by for node in view.graph.nodes if node.fold} == {"scope"}


def test_bands_fit_whatever_the_shape() -> None:
    size = 400
    edges = [(i, j) for i in range(size) for j in (i + 1, i + 7, i + 31) if j < size]
    view = choose_view(make_graph([f"N{i}" for i in range(size)], edges))
    assert len(view.graph) == 50
    assert "bands" in view.captions[0]


def test_saved_tensors_need_boxes_too() -> None:
    saved = {i: (SavedTensor("self", F4, 16, None, "available"),) for i in range(200)}
    graph = make_graph(
        ["MulBackward0"] * 200, [(i, i + 1) for i in range(199)], columns={"saved": saved}
    )
    assert count_boxes(graph) == 200
    assert count_boxes(graph, show_saved=True) == 400
    assert len(choose_view(graph).graph) == 200
    assert len(choose_view(graph, show_saved=True).graph) < 200


@pytest.mark.parametrize(
    ("view", "size"), [("full", 402), ("chain", 400), ("scope", 102), ("repeat", 6), ("band", 50)]
)
def test_a_view_can_be_chosen(view: Any, size: int) -> None:
    assert len(choose_view(layers(100), view).graph) == size


def test_a_view_that_folds_nothing_says_so() -> None:
    view = choose_view(product(), "chain")
    assert view.captions == ("Nothing to fold by 'chain': every node is shown.",)


@pytest.mark.parametrize("view", ["all", "", None, ["auto"], 3])
def test_an_unknown_view_lists_the_known_ones(view: Any) -> None:
    with pytest.raises(ArgumentError, match="expected one of 'auto', 'full', 'chain', 'scope'"):
        choose_view(product(), view)


def test_what_is_cut_or_left_out_is_said() -> None:
    graph = make_graph(
        ["A"],
        [],
        slots={0: 1},
        columns={"cut_slots": {0: (0,)}},
        truncation=Truncation(1, 1),
        notes=tuple(Note(f"[{i}]", "int", "it is not a tensor") for i in range(5)),
    )
    captions = choose_view(graph).captions
    assert captions[0].startswith("The graph was cut at max_nodes=1: 1 edge")
    assert captions[1] == "Not shown: [0] (int): it is not a tensor."
    assert captions[-1] == "Not shown: 2 more values without a graph."
    assert len(captions) == 5


def test_inferred_modules_are_called_so() -> None:
    graph = make_graph(
        ["SumBackward0", "AddmmBackward0", "AccumulateGrad", "AccumulateGrad"],
        [(0, 1), (1, 2), (1, 3)],
        leaves={2: "fc.weight", 3: "fc.bias"},
    )
    view = choose_view(graph)
    assert view.graph.scopes == "inferred"
    assert view.captions == ("Modules are inferred from the names of the parameters.",)


def test_a_module_that_is_called_again_and_again_is_shown_once() -> None:
    cell, out = torch.nn.RNNCell(4, 5), torch.nn.Linear(5, 1)
    model = torch.nn.ModuleDict({"cell": cell, "out": out})
    # 8 nodes a step: more than 300 boxes in all.
    steps = torch.randn(60, 2, 4)

    def run() -> torch.Tensor:
        state, results = torch.zeros(2, 5), []
        for step in steps:
            state = cell(step, state)
            results.append(out(state))
        return torch.stack(results).mean()

    view = choose_view(capture_recorded(model, run))
    # The first state requires no grad, so the first call of the cell is not like the others.
    assert [repeat.label for repeat in view.graph.repeats] == [
        "cell (calls 2 … 60) ×59",
        "out (calls 1 … 60) ×60",
    ]
    assert len(view.graph) < 30
    assert view.captions[-1] == "Modules as recorded in the forward pass."
