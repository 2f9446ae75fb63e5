"""What each module of a graph holds."""

from dataclasses import replace

import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.graph.creation import Creation
from inspect_autograd.graph.modules import ModuleRow, list_modules
from inspect_autograd.graph.records import Storage
from tests.unit.graph.fold.building import build
from tests.unit.recorded_models import capture_recorded


def test_counts_include_submodules_and_each_storage_once() -> None:
    # Storage 0 (1 B) is saved in both blocks, storage 1 (10 B) in one; storage 2 (100 B) is named.
    graph = build(
        "0>1 1>2 2>3 1>4",
        "Sum Addmm Relu Addmm Leaf",
        scopes={1: "a.x", 2: "a", 3: "a.y", 4: "a.x"},
        saved={0: [1], 1: [0, 2], 3: [0, 1]},
    )
    storages = (*graph.storages[:2], Storage(100, ("a.x.weight",)))
    rows = list_modules(replace(graph, storages=storages))
    # Made from the last id to the first, so a.y ran before a.x.
    assert rows == [
        ModuleRow("", 0, 4, 1, 11, 100, 1, ()),
        ModuleRow("a", 1, 4, 1, 11, 100, 1, (("Relu", 1),)),
        ModuleRow("a.y", 2, 1, 0, 11, 0, 1, (("Addmm", 1),)),
        ModuleRow("a.x", 2, 2, 1, 1, 100, 1, (("Addmm", 1),)),
        ModuleRow(None, 0, 1, 0, 10, 0, 1, (("Sum", 1),)),
    ]


def test_modules_around_that_have_no_node_are_listed() -> None:
    graph = build("0>1", "Mul Mul", scopes={0: "a.b.c", 1: "a.b.d"})
    assert [(row.path, row.depth, row.nodes) for row in list_modules(graph)] == [
        ("", 0, 2),
        ("a", 1, 2),
        ("a.b", 2, 2),
        ("a.b.d", 3, 1),
        ("a.b.c", 3, 1),
    ]


def test_calls_are_counted() -> None:
    graph = build("0>1 1>2", "Mul Mul Mul", scopes={0: "a", 1: "b", 2: "a"})
    creations = {0: Creation(call=1), 1: Creation(call=0), 2: Creation(call=0)}
    graph = replace(graph, node_table=replace(graph.node_table, creations=creations))
    assert {row.path: row.calls for row in list_modules(graph)} == {"": 1, "a": 2, "b": 1}


def test_a_real_model_adds_up() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, nn.LayerNorm(8), enable_nested_tensor=False)
    graph = capture_recorded(model, lambda: model(torch.randn(2, 5, 8)).sum())
    rows = {row.path: row for row in list_modules(graph)}
    inside = [node for node in graph.nodes if node.scope is not None]
    assert rows[""].nodes == len(inside) == len(graph) - 1
    assert rows[""].leaves == len([*model.parameters()])
    assert rows[""].saved_bytes + rows[""].parameter_bytes == graph.saved_bytes(inside)
    for path, module in model.named_modules():
        # A dropout of probability 0 would make no node; these have 0.1.
        assert rows[path].leaves == len([*module.parameters()])
    layers = [row.path for row in rows.values() if row.depth == 2]
    assert layers == ["layers.0", "layers.1", "layers.2"]
    assert {rows[f"layers.{i}"].nodes for i in (1, 2)} == {
        sum(node.scope.startswith("layers.1") for node in inside if node.scope)
    }


def test_a_folded_graph_counts_what_its_nodes_stand_for() -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(4)))
    x = torch.randn(2, 4, requires_grad=True)
    graph = ia.capture(model(x).sum(), params=model)
    scoped = capture_recorded(model, lambda: model(x).sum())
    assert len(scoped) == len(graph)
    whole = list_modules(scoped)[0]
    for by in ("scope", "repeat"):
        folded = list_modules(scoped.fold(by))[0]
        assert replace(folded, own=()) == replace(whole, own=())


def test_nothing_is_known_of_modules() -> None:
    rows = list_modules(build("0>1", "Mul Mul"))
    assert rows == [ModuleRow(None, 0, 2, 0, 0, 0, 1, (("Mul", 2),))]
