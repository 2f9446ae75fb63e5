"""Small graphs made by hand, and pictures read back."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import Edge, NodeKind, Parameter, Root
from inspect_autograd.graph.tables import EdgeTable, NodeTable
from inspect_autograd.graph.tensor_meta import TensorMeta

F4 = TensorMeta((4,), "float32")
SCALAR = TensorMeta((), "float32")
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"


def make_graph(
    names: Sequence[str],
    edges: Iterable[tuple[int, ...]],
    *,
    leaves: Mapping[int, str] | None = None,
    kinds: Mapping[int, NodeKind] | None = None,
    outputs: Mapping[int, int] | None = None,
    roots: Sequence[Root] = (Root("", 0, 0, SCALAR),),
    slots: Mapping[int, int] | None = None,
    columns: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Graph:
    """A graph whose nodes all receive `f32[4]`.

    Args:
        names: Of the nodes, by id.
        edges: `(source, target)`, or `(source, source_slot, target, target_slot)`, or that and a
            count.
        leaves: Parameter name of each leaf; an empty one for none.
        kinds: Of nodes that are neither operations nor leaves.
        outputs: How many output slots a node has, if not one.
        roots: Of the graph.
        slots: How many entries `next_functions` has, if not one for each edge.
        columns: Further columns of the node table.
        fields: Further fields of the graph.
    """
    leaves, kinds, outputs, slots = leaves or {}, kinds or {}, outputs or {}, slots or {}
    full = []
    degree = dict.fromkeys(range(len(names)), 0)
    for edge in edges:
        source, target = (edge[0], edge[1]) if len(edge) == 2 else (edge[0], edge[2])
        if len(edge) == 2:
            full.append(Edge(source, degree[source], target, 0))
        else:
            full.append(Edge(*edge))
        degree[source] += 1
    ids = range(len(names))
    table = NodeTable(
        names=list(names),
        kinds=["leaf" if id in leaves else kinds.get(id, "op") for id in ids],
        sequence_nrs=[None] * len(names),
        receives=[(F4,) * outputs.get(id, 1) for id in ids],
        input_slots=[slots.get(id, degree[id]) for id in ids],
        parameters={id: Parameter((name,) if name else (), F4) for id, name in leaves.items()},
    )
    table = replace(table, **(columns or {}))
    return Graph(table, EdgeTable.from_edges(len(names), full), tuple(roots), **fields)


def chain(length: int) -> Graph:
    """`length` operations in a row, then the leaf `w`."""
    names = [*["MulBackward0"] * length, "AccumulateGrad"]
    return make_graph(names, [(i, i + 1) for i in range(length)], leaves={length: "w"})


def product() -> Graph:
    """`loss = (w * v).sum()`, four nodes."""
    names = ["SumBackward0", "MulBackward0", "AccumulateGrad", "AccumulateGrad"]
    return make_graph(names, [(0, 1), (1, 2), (1, 3)], leaves={2: "w", 3: "v"})


def layers(count: int) -> Graph:
    """`count` modules `layers.i`, each a relu and an addmm with two parameters; then the input."""
    names, scopes = ["SumBackward0"], {0: ""}
    edges: list[tuple[int, ...]] = []
    leaves: dict[int, str] = {}
    last = 0
    for layer in reversed(range(count)):
        relu = len(names)
        names += ["ReluBackward0", "AddmmBackward0", "AccumulateGrad", "AccumulateGrad"]
        edges += [(last, relu), (relu, relu + 1), (relu + 1, relu + 2), (relu + 1, relu + 3)]
        leaves |= {relu + 2: f"layers.{layer}.weight", relu + 3: f"layers.{layer}.bias"}
        scopes |= dict.fromkeys(range(relu, relu + 4), f"layers.{layer}")
        last = relu + 1
    edges.append((last, len(names)))
    leaves[len(names)] = "x"
    names.append("AccumulateGrad")
    return make_graph(names, edges, leaves=leaves, columns={"scopes": scopes}, scopes="recorded")


def parse_svg(data: bytes | str) -> ElementTree.Element:
    return ElementTree.fromstring(data)


def texts(element: ElementTree.Element) -> list[str]:
    """The lines of text in a part of a picture; Graphviz writes runs of spaces with U+00A0."""
    found = ("".join(text.itertext()) for text in element.iter(f"{SVG}text"))
    return [text.replace("\xa0", " ") for text in found]


def boxes(svg: ElementTree.Element) -> dict[str, list[str]]:
    """The text in each box, by its key in the DOT source."""
    return _groups(svg, "node")


def frames(svg: ElementTree.Element) -> list[list[str]]:
    """The text of each frame."""
    return [*_groups(svg, "cluster").values()]


def _groups(svg: ElementTree.Element, kind: str) -> dict[str, list[str]]:
    groups = [group for group in svg.iter(f"{SVG}g") if group.get("class") == kind]
    return {group.findtext(f"{SVG}title", ""): texts(group) for group in groups}


def arrows(svg: ElementTree.Element) -> list[str]:
    """All visible arrows, as `n0->n1`."""
    groups = [group for group in svg.iter(f"{SVG}g") if group.get("class") == "edge"]
    return sorted(group.findtext(f"{SVG}title", "") for group in groups)


def tooltips(svg: ElementTree.Element) -> list[str]:
    return [link.get(f"{XLINK}title", "") for link in svg.iter(f"{SVG}a")]


def middles(svg: str) -> dict[str, tuple[float, float]]:
    """Where the first line of each node of the graph stands; y grows downwards."""
    found = re.finditer(
        r'<title>(n\d+)</title>.*?<text[^>]* x="(-?[\d.]+)" y="(-?[\d.]+)"', svg, re.DOTALL
    )
    return {match[1]: (float(match[2]), float(match[3])) for match in found}
