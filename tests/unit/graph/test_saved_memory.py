"""Who keeps how much for backward: numbers by hand, on graphs by hand and of small programs."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.records import Storage
from inspect_autograd.graph.saved_memory import find_saved_memory
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.graph.memory_graphs import graph_of, saved


@pytest.fixture
def shared() -> ia.Graph:
    """Three nodes; A and B hold storage 0, B holds 1 twice, C holds 2, and all but B the named 3.

    Storage 0 has 100 bytes, 1 has 50, 2 has 150, and 3 has 1000.
    """
    return graph_of(
        [
            [saved(0, 100), saved(3, 1000)],
            [saved(1, 50), saved(0, 100), saved(1, 50)],
            [saved(3, 1000), saved(2, 150)],
        ],
        [Storage(100), Storage(50), Storage(150), Storage(1000, ("w",))],
        ["A", "B", "C"],
    )


# -- sums ------------------------------------------------------------------------------------------


def test_each_storage_counts_once_and_rows_tell_what_they_hold_alone(shared: ia.Graph) -> None:
    memory = shared.saved_memory()
    assert memory.activation_bytes == 100 + 50 + 150
    assert memory.parameter_bytes == 1000
    assert memory.total_bytes == shared.saved_bytes() == 1300
    assert memory.shared_bytes == 100
    found = [
        (r.name, r.activation_bytes, r.alone_bytes, r.shared_bytes, r.parameter_bytes, r.tensors)
        for r in memory.rows
    ]
    # B and C hold 150 bytes each; of these C holds parameters too.
    assert found == [
        ("C", 150, 150, 0, 1000, 2),
        ("B", 150, 50, 100, 0, 3),
        ("A", 100, 0, 100, 1000, 2),
    ]
    assert (memory.nodes, memory.tensors) == (3, 7)


def test_what_a_row_holds_alone_is_what_goes_with_its_nodes(shared: ia.Graph) -> None:
    whole = shared.saved_memory("node")
    table = shared.node_table
    for row in whole.rows:
        left = {node: tensors for node, tensors in table.saved.items() if node != row.node}
        without = replace(shared, node_table=replace(table, saved=left)).saved_memory("node")
        assert whole.activation_bytes - without.activation_bytes == row.alone_bytes


def test_nodes_of_one_name_are_one_row_and_share_nothing_with_themselves() -> None:
    graph = graph_of([[saved(0, 8)], [saved(0, 8)], []], [Storage(8)], ["A", "A", "A"])
    (row,) = graph.saved_memory().rows
    # The third node saves nothing.
    assert (row.name, row.nodes, row.tensors, row.alone_bytes) == ("A", 2, 2, 8)
    assert [(r.name, r.alone_bytes) for r in graph.saved_memory("node").rows] == [
        ("#0 A", 0),
        ("#1 A", 0),
    ]
    assert graph.saved_memory("node").shared_bytes == 8


def test_equal_rows_come_in_the_order_of_their_nodes() -> None:
    kept = [[saved(i, 8)] for i in range(30)]
    graph = graph_of(kept, [Storage(8)] * 30, [f"Op{(7 * i) % 30}" for i in range(30)])
    assert [row.name for row in graph.saved_memory().rows] == list(graph.node_table.names)[:-1]
    assert [row.node for row in graph.saved_memory("node").rows] == [*range(30)]


def test_the_largest_tensors_are_named_activations_first_one_for_each_storage() -> None:
    storages = [Storage(10), Storage(40), Storage(9000, ("w",)), Storage(20), Storage(30)]
    tensors = [saved(0, 10), saved(1, 8), saved(1, 16), saved(2, 9000), saved(3, 20), saved(4, 30)]
    (row,) = graph_of([tensors], storages, ["A"]).saved_memory().rows
    assert [(held.storage_bytes, held.tensor.bytes) for held in row.largest] == [
        (40, 16),
        (30, 30),
        (20, 20),
    ]
    assert {(held.node, held.node_name) for held in row.largest} == {(0, "A")}
    assert str(row.largest[0]) == "self: u8[] 16 B, a view of 40 B (#0)"
    assert str(row.largest[1]) == "self: u8[] 30 B (#0)"


def test_devices() -> None:
    graph = graph_of([[saved(0, 8)]], [Storage(8), Storage(64), Storage(2)])
    gpu = replace(saved(1, 64), meta=TensorMeta((), "uint8", "cuda:0"))
    table = replace(graph.node_table, saved={0: (saved(0, 8), gpu, saved(2, 2))})
    memory = replace(graph, node_table=table).saved_memory()
    assert list(memory.devices.items()) == [("cuda:0", 64), ("cpu", 10)]


# -- what rows are about ---------------------------------------------------------------------------


def test_by_scope_with_recorded_modules_and_without_a_module() -> None:
    scopes = {0: "", 1: "layers.0.linear", 2: "layers.0.norm", 3: "layers.1.linear"}
    graph = graph_of(
        [[saved(i, 2**i)] for i in range(5)],
        [Storage(2**i) for i in range(5)],
        columns={"scopes": scopes},
        scopes="recorded",
    )
    memory = graph.saved_memory("scope")
    assert (memory.scopes, memory.depth) == ("recorded", None)
    assert [(row.name, row.scope, row.activation_bytes) for row in memory.rows] == [
        ("(outside of any module)", None, 16),
        ("layers.1.linear", "layers.1.linear", 8),
        ("layers.0.norm", "layers.0.norm", 4),
        ("layers.0.linear", "layers.0.linear", 2),
        ("(outermost)", "", 1),
    ]
    cut = graph.saved_memory("scope", depth=2)
    assert [(row.scope, row.nodes, row.activation_bytes) for row in cut.rows] == [
        (None, 1, 16),
        ("layers.1", 1, 8),
        ("layers.0", 2, 6),
        ("", 1, 1),
    ]
    assert [row.scope for row in graph.saved_memory("scope", depth=1).rows] == [None, "layers", ""]
    assert graph.saved_memory("op").scopes is None


def test_by_scope_infers_modules_and_says_so() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2))
    graph = ia.capture(model(torch.ones(3, 4)), params=model)
    memory = graph.saved_memory("scope")
    assert memory.scopes == "inferred"
    # Each keeps its input, the second one its weight for the gradient of that.
    assert [(row.scope, row.activation_bytes, row.parameter_bytes) for row in memory.rows] == [
        ("1", 96, 64),
        ("0", 48, 0),
    ]
    assert graph.scopes is None, "the graph itself is not changed"


def line(number: int, file: str = "/a/train.py") -> Creation:
    return Creation("torch.f", SourceLine(file, number, "step"))


def test_by_line() -> None:
    creations = {0: line(3), 1: line(3), 2: line(4), 3: Creation(reason="made in C++")}
    graph = graph_of(
        [[saved(i, 8 + i)] for i in range(4)],
        [Storage(8 + i) for i in range(4)],
        columns={"creations": creations},
    )
    rows = graph.saved_memory("line").rows
    assert [(row.name, row.source, row.activation_bytes) for row in rows] == [
        ("train.py:3 in step", creations[0].source, 17),
        ("(line not known)", None, 11),
        ("train.py:4 in step", creations[2].source, 10),
    ]
    by_node = graph.saved_memory("node").rows
    assert [row.source for row in by_node] == [creations[id].source for id in (3, 2, 1, 0)]


def test_lines_of_files_of_one_name_stay_apart() -> None:
    creations = {0: line(3), 1: line(3, "/b/train.py")}
    graph = graph_of([[saved(0, 8)], [saved(0, 8)]], [Storage(8)], columns={"creations": creations})
    assert [row.name for row in graph.saved_memory("line").rows] == [
        "/a/train.py:3 in step",
        "/b/train.py:3 in step",
    ]


@pytest.mark.parametrize("creations", [{}, {0: Creation(reason="unknown")}])
def test_by_line_of_a_graph_that_knows_none(creations: dict[int, Creation]) -> None:
    graph = graph_of([[saved(0, 8)]], [Storage(8)], columns={"creations": creations})
    with pytest.raises(ArgumentError) as caught:
        graph.saved_memory("line")
    assert "no node of this graph knows the line that made it" in str(caught.value)
    assert "with inspect_autograd.record(model) as recording:" in str(caught.value)
    assert 'recording.saved_memory(by="line")' in str(caught.value)


def test_a_folded_graph_keeps_the_sums() -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(5)))
    graph = ia.capture(model(torch.ones(3, 4)).sum(), params=model)
    whole = graph.saved_memory()
    for by in ("chain", "scope", "repeat", "band"):
        folded = graph.fold(by).saved_memory("node")
        assert folded.activation_bytes == whole.activation_bytes
        assert folded.tensors == whole.tensors
        assert sum(row.alone_bytes for row in folded.rows) + folded.shared_bytes == (
            whole.activation_bytes
        )
    assert whole.notes == ()
    (note,) = graph.fold("scope").saved_memory().notes
    assert note.startswith("the graph is folded, and a fold counts as one node")


def test_a_saved_file_gives_the_same(tmp_path: Path) -> None:
    x = torch.ones(3, requires_grad=True)
    graph = ia.capture((x.sin() * x).sum(), params={"x": x})
    again = ia.load(graph.save(tmp_path / "graph.json"), ia.Graph)
    for by in ("op", "node", "scope"):
        assert again.saved_memory(by) == graph.saved_memory(by)


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"by": "module"}, ArgumentError, "by is 'module'; expected one of 'op', 'node', "),
        ({"by": None}, ArgumentTypeError, "by is None; expected one of 'op', 'node', "),
        ({"by": ["op"]}, ArgumentTypeError, "by is ['op']"),
        ({"by": "scope", "depth": 0}, ArgumentError, "depth is 0; expected 1 or more"),
        ({"by": "scope", "depth": 1.5}, ArgumentTypeError, "depth is 1.5 of type float"),
        ({"by": "scope", "depth": True}, ArgumentTypeError, "depth is True of type bool"),
        ({"by": "op", "depth": 2}, ArgumentError, "depth is 2, but by is 'op'"),
    ],
)
def test_arguments_that_cannot_be_used(
    shared: ia.Graph, arguments: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        find_saved_memory(shared, **arguments)
    assert text in str(caught.value)
    assert "What to do:" in str(caught.value)


# -- conversions -----------------------------------------------------------------------------------


def test_it_is_plain_data(shared: ia.Graph) -> None:
    memory = shared.saved_memory()
    assert pickle.loads(pickle.dumps(memory)) == memory
    assert repr(memory) == (
        "<SavedMemory by op: 3 rows, 300 bytes of activations, 1000 of parameters>"
    )


def test_ipython_shows_the_table(shared: ia.Graph) -> None:
    memory = shared.saved_memory()
    texts: list[str] = []

    class Printer:
        text = staticmethod(texts.append)

    memory._repr_pretty_(Printer(), cycle=False)
    memory._repr_pretty_(Printer(), cycle=True)
    assert texts == [str(memory), repr(memory)]


def test_to_dataframe(shared: ia.Graph) -> None:
    pandas = pytest.importorskip("pandas")
    frame = shared.saved_memory().to_dataframe()
    assert list(frame["name"]) == ["C", "B", "A"]
    assert list(frame["alone_bytes"]) == [150, 50, 0]
    assert list(frame["shared_bytes"]) == [0, 100, 100]
    assert list(frame["node"].isna()) == [True] * 3
    assert frame["largest"][0] == "self: u8[] 150 B (#2); self: u8[] 1000 B (#2)"
    by_node = shared.saved_memory("node").to_dataframe()
    assert list(by_node["node"]) == [2, 1, 0]
    assert by_node["node"].dtype == frame["node"].dtype == "Int64"
    empty = graph_of([[]]).saved_memory().to_dataframe()
    assert isinstance(empty, pandas.DataFrame)
    assert (len(empty), list(empty.columns)) == (0, list(frame.columns))


def test_without_pandas_it_says_what_to_install(
    shared: ia.Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "inspect-autograd\[pandas\]"'):
        shared.saved_memory().to_dataframe()
