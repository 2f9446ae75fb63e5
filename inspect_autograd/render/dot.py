"""A graph as DOT source, the language that Graphviz reads (https://graphviz.org/doc/info/lang.html).

The loss stands at the top, the leaves at the bottom, or the one at the left and the others at the
right; arrows point the way gradients flow.
The text is written here line by line rather than with a library, which would have to be told
about the escapes of each attribute, and costs more than the layout for a small graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..graph.graph import Graph
from ..graph.records import Node, Root
from .arrange import Arrangement, arrange
from .clusters import Cluster, build_clusters, find_places
from .dot_edges import connector_lines, edge_lines, far_leaves, link_lines
from .escape import html, quote, shorten
from .header import header_label
from .labels import describe_node, describe_root, describe_saved, node_lines, saved_lines
from .overlay import BoxDress, Line, Overlay
from .saved_groups import MAX_GROUPS, group_saved
from .style import BACKGROUND, EDGE, FONT, IDLE, LOOKS, MUTED, REPEAT, TEXT, Look

__all__ = ["Direction", "Dot", "DotOptions", "make_dot_parts", "to_dot"]

Direction = Literal["down", "right"]
"""Where the arrows go, which is where gradients flow: from the loss down, or to the right."""

MANY_NODES = 400
"""Above this number of nodes the layout is told to hurry."""
TANGLE = 12
"""Above this number of passing arrows per box, arrows are straight: curves take too long."""
MAX_FRAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class DotOptions:
    """What to draw beside nodes and edges.

    Attributes:
        show_saved: Saved tensors, as ellipses beside the node that keeps them.
        show_source: The line of the program that made a node, as a line in its box.
        show_attributes: What nodes keep that is no tensor, as lines in their boxes.
        max_attribute_chars: Longest value of such a line.
        title: First line of the picture.
        captions: Lines under the title: what was folded or cut.
        direction: Where arrows go.
        overlay: What to show on top of the graph, such as a backward pass.
    """

    show_saved: bool = False
    show_source: bool = False
    show_attributes: bool = False
    max_attribute_chars: int = 40
    title: str | None = None
    captions: Sequence[str] = ()
    direction: Direction = "down"
    overlay: Overlay | None = None


@dataclass(frozen=True, slots=True)
class Dot:
    """A picture in parts.

    Attributes:
        graph: Attributes of the whole picture, by name; of `node` and `edge` those that every box
            and every arrow has by default.
        node: See `graph`.
        edge: See `graph`.
        body: The statements, one a line.
    """

    graph: dict[str, str]
    node: dict[str, str]
    edge: dict[str, str]
    body: list[str]


def to_dot(graph: Graph, options: DotOptions | None = None) -> str:
    """DOT source of a whole picture."""
    parts = make_dot_parts(graph, options)
    defaults = {"graph": parts.graph, "node": parts.node, "edge": parts.edge}
    lines = [f"\t{kind} [{_list(attributes)}]\n" for kind, attributes in defaults.items()]
    return "".join(["digraph {\n", *lines, *parts.body, "}\n"])


def make_dot_parts(graph: Graph, options: DotOptions | None = None) -> Dot:
    """The picture in parts, for those who want to change some."""
    options = options or DotOptions()
    writer = _Writer(graph, options)
    body = [
        *writer.clusters(),
        *writer.roots(),
        *edge_lines(graph, writer.arrangement, writer.options.overlay),
        *writer.connectors(),
        *writer.stubs(),
        f"\tgraph [label={writer.header()}]\n",
    ]
    whole = {
        "rankdir": "LR" if options.direction == "right" else "TB",
        "newrank": "true",
        "bgcolor": BACKGROUND,
        "pad": "0.25",
        "nodesep": "0.22",
        "ranksep": "0.32",
        **_font(11, TEXT),
        "labelloc": "t",
        "labeljust": "l",
        "charset": "UTF-8",
        "tooltip": " ",
        **_haste(len(graph), writer.arrangement.load),
    }
    op = LOOKS["op"]
    node = {"shape": op.shape, "style": op.style, "fillcolor": op.fill, "color": op.line}
    node |= {**_font(11, TEXT), "margin": "0.12,0.06", "height": "0.3", "width": "0.5"}
    edge = {"color": EDGE, "arrowsize": "0.6", **_font(8, MUTED)}
    return Dot(whole, node, edge, body)


def _font(size: int, color: str) -> dict[str, str]:
    return {"fontname": FONT, "fontsize": f"{size}", "fontcolor": color}


def _list(attributes: dict[str, str]) -> str:
    return ", ".join(f"{name}={quote(value)}" for name, value in attributes.items())


def _haste(nodes: int, load: int) -> dict[str, str]:
    """Attributes that keep the time for the layout of a large graph about linear in its size.

    Else the network simplex that places boxes takes quadratic time, and curved arrows that have
    to find their way between many others take far longer. What is lost is some straightness:
    https://graphviz.org/docs/attrs/nslimit/, https://graphviz.org/docs/attrs/splines/.

    Args:
        nodes: Number of boxes.
        load: Boxes, and places where an arrow passes through a row.
    """
    is_tangle = load > TANGLE * nodes
    size = max(nodes, load * 2 // 5)
    if size <= MANY_NODES and not is_tangle:
        return {}
    haste = {
        "nslimit": f"{min(2.0, 2 * MANY_NODES / size):.3f}",
        "nslimit1": "2",
        "mclimit": f"{min(1.0, 3 * MANY_NODES / size):.3f}",
    }
    return haste | ({"splines": "line"} if is_tangle or size > 5 * MANY_NODES else {})


@dataclass(slots=True)
class _Writer:
    graph: Graph
    options: DotOptions
    looks: dict[str, None] = field(default_factory=dict)
    root_nodes: dict[int, list[Root]] = field(init=False)
    places: list[tuple[str | int, ...]] = field(init=False)
    arrangement: Arrangement = field(init=False)

    def __post_init__(self) -> None:
        self.places = find_places(self.graph)
        to_the_right = self.options.direction == "right"
        self.arrangement = arrange(self.graph, self.places, to_the_right=to_the_right)
        self.root_nodes = {}
        for root in self.graph.roots:
            self.root_nodes.setdefault(root.node, []).append(root)
        for id in self.options.overlay.starts if self.options.overlay else ():
            self.root_nodes.setdefault(id, [])

    # -- boxes ---------------------------------------------------------------------------------

    def clusters(self) -> Iterator[str]:
        """All nodes, column by column, inside the frames of their modules."""
        columns = self.arrangement.columns
        members: list[list[int]] = [[] for _ in range(self.arrangement.column_count)]
        for id in range(len(self.graph)):
            members[columns[id]].append(id)
        number = 0
        seen: set[str] = set()
        pending: list[Cluster | str] = [
            build_clusters(self.graph, self.places, nodes) for nodes in reversed(members)
        ]
        while pending:
            item = pending.pop()
            if isinstance(item, str):
                yield item
                continue
            if item.path:
                frame = _frame(item, is_continued=item.path in seen)
                seen.add(item.path)
                yield f"\tsubgraph cluster_{number} {{\n\t{frame}\n"
                number += 1
                pending.append("\t}\n")
            for id in item.nodes:
                yield from self.box(self.graph.nodes[id])
            pending += reversed(item.children.values())

    def box(self, node: Node) -> Iterator[str]:
        """One node, and the tensors it saves where these are shown."""
        options = self.options
        kind = node.kind
        if kind == "leaf" and not (node.parameter and node.parameter.names):
            name = "nameless"
        else:
            name = kind
        if options.overlay is not None:
            yield self.dressed(f"n{node.id}", name, options.overlay.dress_box(node, name))
            return
        lines = node_lines(
            node,
            show_source=options.show_source,
            show_attributes=options.show_attributes,
            max_attribute_chars=options.max_attribute_chars,
        )
        extra = ", penwidth=2.4, color=black" if node.id in self.root_nodes else ""
        yield self.statement(f"n{node.id}", name, lines, describe_node(node), extra)
        if options.show_saved and node.saved:
            yield from self.saved(node)

    def saved(self, node: Node) -> Iterator[str]:
        """The tensors that a node saves, around it."""
        groups = group_saved(node.saved)
        for index, group in enumerate(groups[:MAX_GROUPS]):
            name = "saved" if group.first.state == "available" else group.first.state
            key = f"n{node.id}s{index}"
            yield self.statement(key, name, saved_lines(group), [describe_saved(group.first)])
            yield _saved_edge(node.id, key)
        if len(groups) > MAX_GROUPS:
            key = f"n{node.id}s{MAX_GROUPS}"
            more = groups[MAX_GROUPS:]
            tooltip = [describe_saved(group.first) for group in more[:20]]
            yield self.statement(key, "saved", [f"… and {len(more)} more"], tooltip)
            yield _saved_edge(node.id, key)

    def statement(
        self, key: str, name: str, lines: Sequence[str], tooltip: Sequence[str], extra: str = ""
    ) -> str:
        """One box of the look called `name`."""
        self.looks[name] = None
        look = "" if name == "op" else _attributes(LOOKS[name], name)
        return f"\t{key} [label={_label(lines, name)}, tooltip={quote(*tooltip)}{look}{extra}]\n"

    def dressed(self, key: str, name: str, dress: BoxDress) -> str:
        """One box that looks as an overlay says."""
        self.looks[name] = None
        pen = "" if dress.pen is None else f", penwidth={dress.pen:g}"
        return (
            f"\t{key} [label={_dressed_label(dress, name)}, tooltip={quote(*dress.tooltip)}"
            f'{_attributes(dress.look, name)}, fontcolor="{dress.text_color}"{pen}]\n'
        )

    # -- around them ---------------------------------------------------------------------------

    def roots(self) -> Iterator[str]:
        """What enters from above: the name of each root, with an arrow to its node."""
        for id, roots in self.root_nodes.items():
            names = [describe_root(root) for root in roots[:3]]
            text = ", ".join(names) + (f", … {len(roots)} in all" if len(roots) > 3 else "")
            tooltip = [*map(describe_root, roots[:40])]
            extra, line = "", "penwidth=1.6, color=black"
            if self.options.overlay is not None:
                start = self.options.overlay.starts.get(id)
                if start is None:
                    extra, line = f', fontcolor="{IDLE}"', f'style=dashed, color="{IDLE}"'
                else:
                    text = text or start.name
                    tooltip += start.tooltip
            yield (
                f"\tr{id} [shape=plain, style=solid, margin=0, height=0.1, width=0.1, "
                f"label=<<B>{html(text)}</B>>, tooltip={quote(*tooltip)}{extra}]\n"
                f"\tr{id} -> n{id} [{line}, weight=99]\n"
            )

    def stubs(self) -> Iterator[str]:
        """Where `max_nodes` cut: a stub for what each node leads to beyond the limit."""
        truncation = self.graph.truncation
        limit = f"max_nodes={truncation.max_nodes}" if truncation else "max_nodes"
        for id, slots in sorted(self.graph.node_table.cut_slots.items()):
            lines = [f"… cut by {limit}", *([f"{len(slots)} edges"] if len(slots) > 1 else [])]
            yield self.statement(f"c{id}", "cut", lines, [f"inputs {', '.join(map(str, slots))}"])
            yield f'\tn{id} -> c{id} [style=dashed, color="{LOOKS["cut"].line}"]\n'

    def connectors(self) -> Iterator[str]:
        """Where an arrow goes on in another column."""
        overlay = self.options.overlay
        for line in connector_lines(self.graph, self.arrangement, overlay):
            self.looks["connector"] = None
            yield line
        yield from link_lines(self.graph, self.arrangement, overlay)
        for key, leaf, arrows in far_leaves(self.graph, self.arrangement, overlay):
            node = self.graph.nodes[leaf]
            if overlay is None:
                yield self.statement(key, "far", node_lines(node)[:1], describe_node(node))
            else:
                yield self.dressed(key, "far", replace(overlay.dress_box(node, "far"), details=()))
            yield from arrows

    def header(self) -> str:
        """The label of the whole picture; the looks that occur must be known by now."""
        options = self.options
        legend = None if options.overlay is None else options.overlay.legend(self.looks)
        return header_label(options.title, options.captions, self.looks, legend)


def _attributes(look: Look, name: str) -> str:
    double = f", peripheries={look.peripheries}" if look.peripheries > 1 else ""
    small = ', fontsize=9, margin="0.04,0.02", height=0.2' if name in _SMALL else ""
    return (
        f', shape={look.shape}, style="{look.style}", fillcolor="{look.fill}", '
        f'color="{look.line}"{double}{small}'
    )


_SMALL = {"saved", "packed", "freed", "modified", "cut", "far"}


def _label(lines: Sequence[str], name: str) -> str:
    """An HTML-like label: the first line large, the others small and grey."""
    first, *rest = map(html, lines)
    if name in _SMALL:
        return f"<{'<BR/>'.join([first, *rest])}>"
    if name == "fold":
        first = f"<B>{first}</B>"
    if not rest:
        return f"<{first}>"
    details = "<BR/>".join(rest)
    return f'<{first}<BR/><FONT POINT-SIZE="9" COLOR="{MUTED}">{details}</FONT>>'


def _dressed_label(dress: BoxDress, name: str) -> str:
    """As `_label`, with one colour for all lines, and those that matter in bold."""
    first = html(dress.name)
    if name in _SMALL:
        return f"<{first}>"
    if name == "fold":
        first = f"<B>{first}</B>"
    return f"<{'<BR/>'.join([first, *map(_detail, dress.details)])}>"


def _detail(line: Line) -> str:
    text = html(line.text)
    return f"<B>{text}</B>" if line.is_bold else f'<FONT POINT-SIZE="9">{text}</FONT>'


def _saved_edge(id: int, key: str) -> str:
    return f'\tn{id} -> {key} [style=dotted, arrowhead=none, color="{LOOKS["saved"].line}"]\n'


def _frame(cluster: Cluster, *, is_continued: bool) -> str:
    name = html(shorten(cluster.name, MAX_FRAME_CHARS)) + " (continued)" * is_continued
    if cluster.repeat is not None:
        look = f'style="rounded,filled", fillcolor="#FAFAFA", color="{REPEAT}", penwidth=1.8'
        label = f"<<B>{name}</B>>"
    else:
        look = 'style="rounded", color="#AAAAAA", penwidth=1'
        label = f'<<FONT POINT-SIZE="10" COLOR="{MUTED}">{name}</FONT>>'
    return f"graph [label={label}, {look}, margin=7, tooltip={quote(cluster.path)}]"
