"""How the nodes and edges of a graph look when a backward pass is drawn on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ..events.table import NO_GRADIENT
from ..graph.records import Edge, Node
from .header import break_row
from .labels import describe_node, node_lines
from .norm_scale import NO_COLOR, NormScale, text_color
from .overlay import BoxDress, Chip, EdgeDress, Line, NodeText, Start
from .pass_facts import EdgeFacts, NodeFacts, PassFacts
from .pass_text import (
    describe_edges,
    describe_event,
    describe_stats,
    format_orders,
    received_by,
    remarks,
    short_stats,
)
from .style import IDLE, LOOKS, Look

__all__ = ["TraceOverlay"]

VERMILLION = "#D55E00"
"""Of Okabe and Ito, like the other hues; used for what is not finite, and for errors."""
DARK_VERMILLION = "#A34800"
"""The same for text on white, at a contrast of 6."""
OUTLINE = "#333333"
PENS = (0.6, 2.4)
"""Widths of the arrows at the ends of the scale, in points."""
NONFINITE_PEN = 3.6
"""Wider than any other arrow, so that it is seen in black and white."""
MAX_TOOLTIP_LINES = 40
MAX_NODES_NAMED = 10
MAX_STARTS = 10

STATES = {
    "plain": Look("box", "filled", "#E4E4E4", OUTLINE, "no numbers"),
    "idle": Look("box", "dashed", NO_COLOR, IDLE, "did not run"),
    "taken": Look("box", "filled,dashed", NO_COLOR, OUTLINE, "returned by autograd.grad, not run"),
    "nonfinite": Look("box", "filled", "#FFE6D9", VERMILLION, "NaN / Inf", 2),
    "born": Look("doubleoctagon", "filled", "#F9B995", VERMILLION, "NaN / Inf born here", 3),
    "raised": Look("box", "filled", NO_COLOR, VERMILLION, "raised here", 3),
    "none": Look("box", "dashed", NO_COLOR, IDLE, "dashed arrow: no gradient sent"),
}
"""What a box can be besides coloured by its norm, in the order of the legend."""
STATE_PENS = {"nonfinite": 2.2, "born": 3.2, "raised": 3.2, "taken": 1.6}
"""Widths of outlines in points."""


class TraceOverlay:
    """Norms, order of execution, and what is not finite, on top of a graph.

    A box is coloured by the norm of what its node received, all its slots together; one that
    stands for several nodes by the largest of theirs, so that no explosion is hidden.

    Args:
        facts: What happened in the graph that is drawn.
    """

    def __init__(self, facts: PassFacts) -> None:
        self.facts = facts
        self.scale = NormScale.fit(facts.norms())
        self.starts: Mapping[int, Start] = _find_starts(facts)
        self._seen: set[str] = set()  # Keys of STATES that occur.
        self._has_zero = False

    # -- boxes ---------------------------------------------------------------------------------

    def dress_box(self, node: Node, name: str) -> BoxDress:
        """How a node looks whose usual look is `LOOKS[name]`."""
        facts = self.facts.nodes[node.id]
        fill = self._fill(facts)
        state = _state(facts, fill)
        if name != "far":
            self._seen.add(state)
            self._has_zero |= fill == NO_COLOR and state in ("ran", "taken")
        look = _look(LOOKS["leaf" if name == "nameless" else name], state, fill)
        gradient = received_by(facts, self.facts.data)
        first, *others = node_lines(node, gradient=gradient)
        lines = [Line(text, is_bold=_tells_problem(text, facts)) for text in others]
        return BoxDress(
            name=format_orders(facts.orders) + first,
            details=(*lines, *remarks(facts, self.facts.data)),
            tooltip=self._tooltip(node, facts),
            look=look,
            text_color=IDLE if state == "idle" else text_color(look.fill),
            pen=STATE_PENS.get(state),
        )

    def _fill(self, facts: NodeFacts) -> str | None:
        """The colour of the largest norm; None if none is known."""
        norms = [stats.l2 for stats in facts.taken if stats.l2 is not None]
        norms += [facts.norms.high] if facts.norms else []
        if not norms:
            return None
        # Without a scale all norms are 0.
        return NO_COLOR if self.scale is None else self.scale.color(max(norms))

    def _tooltip(self, node: Node, facts: NodeFacts) -> tuple[str, ...]:
        data = self.facts.data
        first, *rest = describe_node(node)
        lines = [first, *(line.text for line in remarks(facts, data))]
        if len(facts.orders) == 1:
            lines += describe_event(data, facts.orders[0])
        elif facts.orders:
            lines.append(f"order {format_orders(facts.orders)[:-2]}")
        lines += [f"returned by autograd.grad: {describe_stats(one)}" for one in facts.taken]
        names = data.graph.node_table.names
        inside = facts.nonfinite if facts.nodes > 1 else []
        lines += [f"not finite: #{id} {names[id]}" for id in inside[:MAX_NODES_NAMED]]
        if len(inside) > MAX_NODES_NAMED:
            lines.append(f"not finite: {len(inside)} nodes in all")
        return tuple([*lines, *rest][:MAX_TOOLTIP_LINES])

    def describe(self, node: Node) -> NodeText:
        """A node in text."""
        facts = self.facts.nodes[node.id]
        gradient = received_by(facts, self.facts.data)
        return NodeText(
            prefix=format_orders(facts.orders),
            gradient=", ".join(gradient or ()),
            remarks=tuple(line.text for line in remarks(facts, self.facts.data)),
        )

    # -- arrows --------------------------------------------------------------------------------

    def dress_edges(self, edges: Sequence[Edge]) -> EdgeDress:
        """How an arrow looks that stands for these edges."""
        facts = self.facts.of_edges(edges)
        if not facts.edges:
            return EdgeDress()
        label, tooltip = self._edge_label(edges, facts), tuple(describe_edges(facts))
        if facts.problems:
            colors = f'color="{VERMILLION}", fontcolor="{DARK_VERMILLION}"'
            return EdgeDress(label, tooltip, f"{colors}, penwidth={NONFINITE_PEN}, arrowsize=0.5")
        if not facts.sent:
            self._seen.add("none" if facts.idle < facts.edges else "idle")
            return EdgeDress("", tooltip, f'style=dashed, color="{IDLE}", penwidth=0.8')
        if not facts.norms or self.scale is None:
            return EdgeDress("", tooltip)
        thin, thick = PENS
        pen = thin + (thick - thin) * self.scale.position(facts.norms.high)
        return EdgeDress(label, tooltip, f"penwidth={pen:.2f}")

    def _edge_label(self, edges: Sequence[Edge], facts: EdgeFacts) -> str:
        """What was sent along one edge, unless the box that it leads to says the same."""
        if facts.edges != 1 or facts.last is None:
            return ""
        text, target = short_stats(facts.last), self.facts.nodes[edges[0].target]
        if target.nodes > 1:
            return ""
        said = {short_stats(stats) for stats in target.taken}
        table, slot = self.facts.data.table, edges[0].target_slot
        for order in target.orders:
            positions = table.received[order][slot : slot + 1]
            said |= {short_stats(table.stats[p]) for p in positions if p != NO_GRADIENT}
        return "" if text in said else text

    # -- legend --------------------------------------------------------------------------------

    def legend(self, names: Collection[str]) -> list[list[Chip]]:
        """The colour scale; then what else a box can be, as far as it occurs; then shapes."""
        rows = []
        if self.scale is not None:
            zero = [("0", NO_COLOR)] if self._has_zero else []
            chips = [_sample(text, fill) for text, fill in (*zero, *self.scale.ticks())]
            rows.append([Chip("norm received:"), *chips])
        states = {name: look for name, look in STATES.items() if name in self._seen}
        if "plain" in states and self.facts.data.stats_level == "meta":
            states["plain"] = replace(states["plain"], legend="ran; norms were not computed")
        rows += break_row([Chip(look.legend, look) for look in states.values()])
        shapes = {"leaf" if name == "nameless" else name: None for name in LOOKS if name in names}
        rows += break_row([Chip(LOOKS[name].legend, _blank(name)) for name in shapes])
        return rows


def _state(facts: NodeFacts, fill: str | None) -> str:
    """What a box is first of all: `ran`, or a key of `STATES`."""
    if any(birth.kind != "unknown" for birth in facts.births):
        return "born"
    if facts.nonfinite:
        return "nonfinite"
    if facts.raised is not None:
        return "raised"
    if not facts.orders:
        return "taken" if facts.taken else "idle"
    return "plain" if fill is None else "ran"


def _look(base: Look, state: str, fill: str | None) -> Look:
    """Shape, lines and fill; the shape is that of the kind of node, unless something is born."""
    if state == "born":
        return replace(STATES["born"], peripheries=1)
    if state == "nonfinite":
        look = STATES["nonfinite"]
        return replace(base, fill=look.fill, line=look.line, peripheries=look.peripheries)
    kind = base.style.replace(",dotted", "")
    if state == "idle":
        return replace(base, style=f"{kind},dashed", fill=NO_COLOR, line=IDLE)
    if state == "raised":
        return replace(base, style=kind, fill=NO_COLOR, line=VERMILLION)
    style = f"{kind},dashed" if state == "taken" else kind
    return replace(base, style=style, fill=fill or STATES["plain"].fill, line=OUTLINE)


def _tells_problem(text: str, facts: NodeFacts) -> bool:
    """Whether a line tells of what is not finite, in what the one node of a box received."""
    return facts.nodes == 1 and bool(facts.received) and ("NaN" in text or "Inf" in text)


def _sample(text: str, fill: str) -> Chip:
    return Chip(text, Look("box", "filled", fill, OUTLINE, text), text_color(fill))


def _blank(name: str) -> Look:
    """A look of a kind of node as the legend shows it: its colours mean nothing here."""
    look = LOOKS[name]
    return look if name in ("cut", "connector") else replace(look, fill=NO_COLOR, line=OUTLINE)


def _find_starts(facts: PassFacts) -> dict[int, Start]:
    """Where the gradients entered that were given by the calls of the passes."""
    starts: dict[int, Start] = {}
    for backward_pass in facts.passes:
        for root in backward_pass.roots:
            id = facts.shown_id(root.node)
            before = starts[id].tooltip if id in starts else ()
            how = "made by PyTorch" if root.is_implicit else "given"
            text = f"{how}: {describe_stats(root.stats)}"
            starts[id] = Start(f"pass {backward_pass.id}", (*before, text)[:MAX_STARTS])
    return starts
