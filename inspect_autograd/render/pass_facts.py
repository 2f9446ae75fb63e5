"""What one backward pass did at each node and each edge of the graph that is drawn.

A box may stand for many nodes, and an arrow for many edges; their gradients are taken together.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import hypot, inf
from typing import TypeAlias

from ..events.nonfinite_search import Birth, NonfiniteSearch
from ..events.records import BackwardPass, PassInput, TensorStats
from ..events.table import NO_GRADIENT
from ..events.trace import TraceData
from ..graph.graph import Graph
from ..graph.records import Edge, Node

__all__ = ["EdgeFacts", "NodeFacts", "PassFacts", "Span"]

_Key: TypeAlias = tuple[int, int, int, int]
"""Source, source slot, target and target slot of an edge."""

_NONE: frozenset[str] = frozenset()
_PROBLEMS = {
    "": _NONE,
    "NaN": frozenset({"NaN"}),
    "Inf": frozenset({"Inf"}),
    "NaN and Inf": frozenset({"NaN", "Inf"}),
}
"""What `TensorStats.problem` says, as sets that all stats share."""


@dataclass(slots=True)
class Span:
    """The smallest and the largest of some norms."""

    low: float = inf
    high: float = -inf

    def add(self, norm: float) -> None:
        """Widen it so that it holds one more norm."""
        self.low = min(self.low, norm)
        self.high = max(self.high, norm)

    def __bool__(self) -> bool:
        return self.low <= self.high


@dataclass(slots=True)
class NodeFacts:
    """What happened at the nodes that one box stands for.

    Attributes:
        nodes: How many there are.
        ran: How many of them ran.
        orders: Orders of their events, ascending.
        norms: Of what each of them received, all its slots together; without what is not finite.
        received: `NaN` and `Inf`, if these were in what they received, or would have received if
            they had run.
        returned: The same of what they returned.
        nonfinite: Those (ids as captured) at which anything was not finite.
        births: Where NaN and Inf came up, as `Trace.first_nonfinite` finds them.
        raised: The one that was running when the pass raised.
        taken: The gradients that `torch.autograd.grad` took here, at a node that it did not run.
    """

    nodes: int
    ran: int = 0
    orders: list[int] = field(default_factory=list)
    norms: Span = field(default_factory=Span)
    received: frozenset[str] = _NONE
    returned: frozenset[str] = _NONE
    nonfinite: list[int] = field(default_factory=list)
    births: list[Birth] = field(default_factory=list)
    raised: int | None = None
    taken: list[TensorStats] = field(default_factory=list)


@dataclass(slots=True)
class EdgeFacts:
    """What was sent along the edges that one arrow stands for.

    Attributes:
        edges: How many there are.
        sent: How many gradients were sent along them.
        idle: How many of them begin at a node that did not run.
        norms: Of what was sent; without what is not finite.
        problems: `NaN` and `Inf`, if these were in it.
        nonfinite: How many gradients these were in.
        last: What was sent last.
    """

    edges: int = 0
    sent: int = 0
    idle: int = 0
    norms: Span = field(default_factory=Span)
    problems: frozenset[str] = _NONE
    nonfinite: int = 0
    last: TensorStats | None = None


class PassFacts:
    """What one backward pass did in a graph, along with the passes that ran inside it.

    Attributes:
        data: Of the trace.
        shown: The graph that is drawn: `data.graph`, folded or not.
        passes: The pass, and those inside it; none if nothing ran.
        births: Where NaN and Inf came up in these passes, in order of time.
        nodes: For each node of the shown graph.
    """

    def __init__(self, data: TraceData, shown: Graph, passes: Sequence[BackwardPass]) -> None:
        self.data = data
        self.shown = shown
        self.passes = passes
        self._orders = self._find_orders()
        self._raised = {backward_pass.outcome.node for backward_pass in passes} - {None}
        self._inputs = self._find_inputs()
        self._problems = [_PROBLEMS[stats.problem] for stats in data.table.stats]
        ids = {backward_pass.id for backward_pass in passes}
        births = NonfiniteSearch(data).find_births()
        self.births = [birth for birth in births if birth.backward_pass in ids]
        self._births: dict[int, list[Birth]] = {}
        for birth in self.births:
            self._births.setdefault(birth.node, []).append(birth)
        self._shown_ids = array("q", bytes(8 * len(data.graph)))
        self.nodes = [self._node_facts(node) for node in shown.nodes]
        self._edges = self._find_edges()

    def norms(self) -> Iterator[float]:
        """The norms that boxes are coloured by."""
        for facts in self.nodes:
            if facts.norms:
                yield facts.norms.high
            yield from (stats.l2 for stats in facts.taken if stats.l2 is not None)

    def shown_id(self, node: int) -> int:
        """The node of the shown graph that stands for a node as captured."""
        return self._shown_ids[node]

    def of_edges(self, edges: Iterable[Edge]) -> EdgeFacts:
        """What was sent along edges of the shown graph, which one arrow stands for."""
        whole = EdgeFacts()
        for edge in edges:
            part = self._edges.get((edge.source, edge.source_slot, edge.target, edge.target_slot))
            if part is None:
                continue
            whole.edges += part.edges
            whole.sent += part.sent
            whole.idle += part.idle
            if part.norms:
                whole.norms.add(part.norms.low)
                whole.norms.add(part.norms.high)
            whole.problems |= part.problems
            whole.nonfinite += part.nonfinite
            whole.last = part.last or whole.last
        return whole

    # -- nodes ---------------------------------------------------------------------------------

    def _find_orders(self) -> dict[int, list[int]]:
        """Orders of the events of each node (ids as captured) that ran."""
        ids = {backward_pass.id for backward_pass in self.passes}
        table = self.data.table
        orders: dict[int, list[int]] = {}
        for order, (node, id) in enumerate(zip(table.nodes, table.passes, strict=True)):
            if id in ids:
                orders.setdefault(node, []).append(order)
        return orders

    def _find_inputs(self) -> dict[int, list[TensorStats]]:
        """What `torch.autograd.grad` took, by the node that it took it at."""
        found: dict[int, list[TensorStats]] = {}
        given: PassInput
        for given in (given for one in self.passes for given in one.inputs or ()):
            if given.node is not None and given.stats is not None:
                found.setdefault(given.node, []).append(given.stats)
        return found

    def _node_facts(self, node: Node) -> NodeFacts:
        facts = NodeFacts(len(node.members))
        for member in node.members:
            self._shown_ids[member] = node.id
            births = self._births.get(member, ())
            facts.births += births
            if member in self._orders:
                facts.ran += 1
                is_finite = self._add_events(facts, member)
            else:
                is_finite = self._add_taken(facts, member, births)
            if births or not is_finite:
                facts.nonfinite.append(member)
            if member in self._raised:
                facts.raised = member
        facts.orders.sort()
        return facts

    def _add_events(self, facts: NodeFacts, node: int) -> bool:
        """Add what a node did that ran, and tell whether all of it is finite."""
        table = self.data.table
        is_finite = True
        for order in self._orders[node]:
            received = self._problems_of(table.received[order])
            returned = self._problems_of(table.returned[order])
            is_finite &= not received and not returned
            facts.orders.append(order)
            facts.received |= received
            facts.returned |= returned
            norm = None if received else self._norm(table.received[order])
            if norm is not None:
                facts.norms.add(norm)
        return is_finite

    def _add_taken(self, facts: NodeFacts, node: int, births: Iterable[Birth]) -> bool:
        """Add what was to arrive at a node that did not run; tell whether all of it is finite."""
        taken = self._inputs.get(node, ())
        facts.taken += taken
        texts = (*(stats.problem for stats in taken), *(birth.what for birth in births))
        problems = _NONE.union(*(_PROBLEMS[text] for text in texts))
        facts.received |= problems
        return not problems

    def _norm(self, positions: Iterable[int]) -> float | None:
        """Norm of several gradients together; None if one is unknown."""
        stats = self.data.table.stats
        norms = [stats[position].l2 for position in positions if position != NO_GRADIENT]
        known = [norm for norm in norms if norm is not None]
        return hypot(*known) if known and len(known) == len(norms) else None

    def _problems_of(self, positions: Iterable[int]) -> frozenset[str]:
        return _NONE.union(*(self._problems[p] for p in positions if p != NO_GRADIENT))

    # -- edges ---------------------------------------------------------------------------------

    def _find_edges(self) -> dict[_Key, EdgeFacts]:
        """What was sent along each edge of the shown graph, links of repeats included."""
        ids = self._shown_ids
        folds = {id for id, kind in enumerate(self.shown.node_table.kinds) if kind == "fold"}
        edges = self.data.graph.edge_table
        columns = (edges.sources, edges.source_slots, edges.targets, edges.target_slots)
        found: dict[_Key, EdgeFacts] = {}
        for source, slot, target, target_slot in zip(*columns, strict=True):
            start, end = ids[source], ids[target]
            # Slots of a fold mean nothing; folding makes them 0.
            key = (start, 0 if start in folds else slot, end, 0 if end in folds else target_slot)
            facts = found.get(key)
            if facts is None:
                facts = found[key] = EdgeFacts()
            facts.edges += 1
            facts.idle += source not in self._orders
            for order in self._orders.get(source, ()):
                self._add_sent(facts, self.data.table.returned[order][slot : slot + 1])
        return found

    def _add_sent(self, facts: EdgeFacts, positions: Sequence[int]) -> None:
        for position in positions:
            if position == NO_GRADIENT:
                continue
            stats, problems = self.data.table.stats[position], self._problems[position]
            facts.sent += 1
            facts.last = stats
            facts.problems |= problems
            facts.nonfinite += bool(problems)
            if stats.l2 is not None and not problems:
                facts.norms.add(stats.l2)
