"""The text of graph holders: what stands where, that it is bounded, and that nothing is hidden."""

from __future__ import annotations

from typing import Any

from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.holder_patterns import find_patterns
from inspect_autograd.graph.holders import (
    GraphHolders,
    Growth,
    HeldGraph,
    HeldTensor,
    Holder,
    HolderKind,
    HoldingContainer,
)
from inspect_autograd.graph.tensor_meta import TensorMeta

HINT = "for the lines that made the graphs: with inspect_autograd.record()"


def holder(expression: str = "loss", kind: HolderKind = "global", owner: str = "") -> Holder:
    return Holder(kind, f"{kind} {expression} of module train", expression, owner)


def tensor(
    *holders: Holder, shape: tuple[int, ...] = (), creation: Creation | None = None
) -> HeldTensor:
    meta = TensorMeta(shape, "float32")
    return HeldTensor("tensor", meta, 4, "AddBackward0", holders, creation=creation)


def graph(*tensors: HeldTensor, id: int = 0, **changes: Any) -> HeldGraph:
    values: dict[str, Any] = {
        "node_count": 3,
        "leaf_count": 1,
        "saved_bytes": 2048,
        "parameter_bytes": 0,
        "packed_count": 0,
        "freed_nodes": 0,
        "growth": None,
    }
    return HeldGraph(id=id, tensors=tensors, **(values | changes))


def found(*graphs: HeldGraph, containers: tuple[HoldingContainer, ...] = ()) -> GraphHolders:
    return GraphHolders(
        graphs, containers, find_patterns(graphs, containers), sum(g.saved_bytes for g in graphs)
    )


def test_nothing() -> None:
    assert str(GraphHolders(())) == "no live autograd graph"
    assert str(GraphHolders((), left_out=2, notes=("n",))).splitlines() == [
        "no live autograd graph",
        "",
        "left out: 2 graphs with less than min_bytes",
        "note: n",
    ]


def test_one_graph() -> None:
    text = str(found(graph(tensor(holder(), holder("box[0]")), packed_count=2, freed_nodes=1)))
    row = "0      3      2.0 KiB + 2 packed (1 freed)  tensor f32[] from AddBackward0"
    assert text.splitlines() == [
        "1 live autograd graph; saved for backward: 2.0 KiB",
        "",
        "graph  nodes  saved                         through                         held by",
        f"{row:76}global loss of module train",
        " " * 76 + "global box[0] of module train",
        "",
        "graph 0: held by global loss of module train",
        "  → del loss when it is not needed any more, or keep loss.item()",
        "",
        "freed: nodes whose saved tensors a backward pass has freed",
        f"{HINT} as recording: ...; inspect_autograd.graph_holders(recording=recording)",
    ]


def test_the_line_that_made_it() -> None:
    creation = Creation("Tensor.add", SourceLine("/x/train.py", 12, "step"))
    text = str(found(graph(tensor(holder(), creation=creation))))
    assert "made at" in text
    assert "train.py:12" in text
    assert HINT not in text


def test_a_node_without_meta() -> None:
    held = HeldTensor("node", None, None, "ExpBackward0", (holder(),))
    assert "node from ExpBackward0" in str(found(graph(held)))


def test_it_is_bounded() -> None:
    graphs = tuple(
        graph(*[tensor(holder("x" * 1000)) for _ in range(50)], id=number) for number in range(500)
    )
    text = str(found(*graphs))
    assert len(text.splitlines()) < 80
    assert max(map(len, text.splitlines())) < 2200
    assert "… and 488 more graphs; GraphHolders.graphs has all" in text
    assert "… and 47 more" in text
    assert "… and 492 more; GraphHolders.patterns has all" in text


def test_graphs_of_one_list_are_shown_twice_only() -> None:
    graphs = tuple(graph(tensor(holder(f"losses[{n}]")), id=n) for n in range(9))
    container = HoldingContainer("list", 9, tuple(range(9)), holder("losses"))
    text = str(found(*graphs, containers=(container,)))
    assert "losses[1]" in text
    assert "losses[2]" not in text
    assert "graphs 0, 1, 2, …: a list holds 9 tensors of 9 graphs (18.0 KiB saved)" in text
    assert "… and 7 more graphs; GraphHolders.graphs has all" in text


def test_control_characters_are_shown() -> None:
    text = str(found(graph(tensor(holder("box['\n']")))))
    assert "\n']" not in text
    assert "box['␊']" in text


def test_the_repr_and_what_ipython_shows() -> None:
    one = found(graph(tensor(holder())))
    assert repr(one) == "<GraphHolders: 1 graphs, 2.0 KiB saved>"

    class Printer:
        shown = ""

        def text(self, text: str) -> None:
            self.shown = text

    printer = Printer()
    one._repr_pretty_(printer, False)
    assert printer.shown == str(one)
    one._repr_pretty_(printer, True)
    assert printer.shown == repr(one)


def test_patterns_come_surest_first_and_a_graph_is_told_once() -> None:
    summed = graph(tensor(holder("total")), id=0, growth=Growth("sum", 5, 5))
    listed = [graph(tensor(holder(f"losses[{n}]")), id=n) for n in (1, 2)]
    carried = graph(tensor(holder("model.hidden", owner="LSTM"), shape=(2, 3)), id=3, freed_nodes=4)
    garbage = graph(tensor(holder("<Ring>.x", "cycle")), id=4)
    gradient = graph(tensor(holder("w.grad", "gradient")), id=5)
    other = graph(tensor(holder()), id=6)
    nobody = graph(id=7)
    container = HoldingContainer("list", 3, (0, 1, 2), holder("losses"))
    graphs = [summed, *listed, carried, garbage, gradient, other, nobody]
    patterns = find_patterns(graphs, [container])
    assert [(pattern.kind, pattern.graphs) for pattern in patterns] == [
        ("accumulator", (0,)),
        ("container", (1, 2)),
        ("carried over", (3,)),
        ("gradient", (5,)),
        ("cycle", (4,)),
        ("held", (6,)),
        ("held", (7,)),
    ]
    hints = [pattern.hint for pattern in patterns]
    assert "total += loss.item()" in hints[0]
    assert "losses.append(loss.item())" in hints[1]
    assert hints[2].startswith("model.hidden = model.hidden.detach()")
    assert hints[5].startswith("del loss")


def test_a_chain_within_one_step_is_no_accumulator() -> None:
    one = graph(tensor(holder()), growth=Growth("sum", 12, 1))
    assert [pattern.kind for pattern in find_patterns([one], [])] == ["held"]


def test_a_scalar_of_an_earlier_step_is_not_called_a_state() -> None:
    one = graph(tensor(holder()), freed_nodes=2)
    assert [pattern.kind for pattern in find_patterns([one], [])] == ["held"]
