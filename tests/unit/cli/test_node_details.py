"""Everything about one node, worked out by hand from the records."""

from dataclasses import replace
from typing import Any

from inspect_autograd.cli.json_output import to_plain
from inspect_autograd.cli.node_details import describe_node_fully, node_data
from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import Edge, Fold, Parameter, SavedTensor
from inspect_autograd.graph.tables import EdgeTable, NodeTable
from inspect_autograd.graph.tensor_meta import TensorMeta

MATRIX = TensorMeta((2, 3), "float32")
VECTOR = TensorMeta((3,), "float32")


def make_graph() -> Graph:
    """#0 Mul -> #1 Split, twice; #1 -> #2 w and a fold #3; #3 -> #2, standing for 5 edges."""
    nodes = NodeTable(
        names=["MulBackward0", "SplitBackward0", "AccumulateGrad", "fold"],
        kinds=["op", "op", "leaf", "fold"],
        sequence_nrs=[9, 8, None, None],
        receives=[(MATRIX,), (VECTOR, None), (MATRIX,), (VECTOR,)],
        input_slots=[3, 3, 0, 1],
        saved={
            1: (
                SavedTensor("self", MATRIX, 24, 0, "available", ("w", "tied.w")),
                SavedTensor("mask", None, None, None, "packed"),
                SavedTensor("result", VECTOR, 12, 1, "modified"),
            )
        },
        attributes={1: {"dim": -1, "text": "x" * 300}},
        parameters={2: Parameter(("w", "tied.w"), MATRIX)},
        scopes={0: "", 1: "block.split"},
        orders={0: 2, 1: 1},
        cut_slots={1: (2,)},
        folds={3: Fold("chain", "ExpBackward0 ×5", 5, (3, 4, 5, 6, 7), (("ExpBackward0", 5),))},
        origins=[0, 1, 2, 3],
    )
    edges = EdgeTable.from_edges(
        4,
        [
            Edge(0, 0, 1, 0),
            Edge(0, 1, 1, 1),
            Edge(1, 0, 3, 0),
            Edge(1, 1, 2, 0),
            Edge(3, 0, 2, 0, 5),
        ],
    )
    return Graph(nodes, edges)


def text(id: int) -> str:
    graph = make_graph()
    return describe_node_fully(graph, graph.nodes[id])


def test_an_operation() -> None:
    assert (
        text(1)
        == f"""\
#1 SplitBackward0

kind    an operation of PyTorch
module  block.split
made    as number 8; backward runs higher numbers first

receives gradients, one per output of its forward function
  output 0  f32[3]
  output 1  none

from
  #0 MulBackward0  its input 0 is output 0 here
  #0 MulBackward0  its input 1 is output 1 here

passes gradients on, one per input of its forward function
  input 0  to #3 ExpBackward0 ×5
  input 1  to #2 w
  input 2  to a node that was not captured

saved for backward
  self    f32[2, 3]  24 B  memory of w, tied.w
  mask    ?                                     PACKED
  result  f32[3]     12 B                       MODIFIED

attributes
  dim   -1
  text  '{"x" * 198}…"""
    )


def test_where_it_comes_from() -> None:
    graph = make_graph()
    library = tuple(SourceLine("functional.py", line, f"inner{line}") for line in (3, 9))
    creation = Creation(
        "torch.split",
        SourceLine("/somewhere/train.py", 12, "Net.forward"),
        library,
        call=1,
        thread="MainThread",
        made_by="SinBackward0",
        reason="the module was left early",
    )
    table = replace(graph.node_table, creations={0: Creation(reason="no call"), 1: creation})
    graph = replace(graph, node_table=table)
    assert (
        describe_node_fully(graph, graph.nodes[1]).split("\n\n")[1]
        == """\
kind            an operation of PyTorch
function        torch.split
line            /somewhere/train.py:12 in Net.forward
inside PyTorch  functional.py:3 in inner3
inside PyTorch  functional.py:9 in inner9
module          block.split, call 2
thread          MainThread
made while      SinBackward0 ran backward
not known       the module was left early
made            as number 8; backward runs higher numbers first"""
    )
    assert "\nnot known   no call\n" in describe_node_fully(graph, graph.nodes[0])
    data: dict[str, Any] = to_plain(node_data(graph, graph.nodes[1]))
    assert data["creation"]["source"] == {
        "file": "/somewhere/train.py",
        "line": 12,
        "function": "Net.forward",
    }


def test_the_first_node() -> None:
    shown = text(0)
    assert "module      (outermost)\n" in shown
    assert "derivative  of order 2: made while a backward pass ran\n" in shown
    assert "  input 1  to #1 SplitBackward0, its output 1\n" in shown
    assert shown.endswith("  input 2  nowhere: it does not require grad")
    assert "\nfrom\n" not in shown


def test_a_leaf() -> None:
    assert (
        text(2)
        == """\
#2 w (AccumulateGrad)

kind    a leaf: here the gradient is added to the .grad of a tensor
tensor  f32[2, 3]
name    w, also tied.w

receives gradients, one per output of its forward function
  output 0  f32[2, 3]

from
  #1 SplitBackward0   its input 1 is output 0 here
  #3 ExpBackward0 ×5  its input 0 is output 0 here  ×5"""
    )


def test_a_fold() -> None:
    shown = text(3)
    assert shown.startswith("#3 ExpBackward0 ×5 (fold)\n\nkind  several nodes shown as one\n")
    assert shown.endswith("\n  to #2 w  ×5\n\nstands for\n  ExpBackward0  ×5")


def test_a_long_list_is_cut_and_says_so() -> None:
    nodes = NodeTable(
        names=["CatBackward0"],
        kinds=["op"],
        sequence_nrs=[0],
        receives=[(VECTOR,) * 45],
        input_slots=[0],
    )
    graph = Graph(nodes, EdgeTable.from_edges(1, []))
    shown = describe_node_fully(graph, graph.nodes[0])
    assert "  output 39  f32[3]\n  … and 5 more" in shown
    assert "output 40" not in shown


def test_as_data() -> None:
    graph = make_graph()
    data: dict[str, Any] = to_plain(node_data(graph, graph.nodes[3]))
    assert data["label"] == "ExpBackward0 ×5"
    assert data["next"] == [
        {"source": 3, "source_slot": 0, "target": 2, "target_slot": 0, "count": 5}
    ]
    assert [edge["source"] for edge in data["previous"]] == [1]
    assert data["fold"]["members"] == [3, 4, 5, 6, 7]
