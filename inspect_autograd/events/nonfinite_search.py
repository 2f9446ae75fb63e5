"""Find births of NaN and Inf: gradients that are not finite though all they came from were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..graph.topology import reverse_edges
from .nested_passes import find_callers
from .nonfinite_fixes import FORMAT_LIMITS
from .nonfinite_report import NonfiniteKind
from .records import BackwardPass, RootGradient, TensorStats
from .table import NO_GRADIENT
from .trace import TraceData

__all__ = ["Birth", "Contribution", "NonfiniteSearch"]


class Contribution(NamedTuple):
    """One of the gradients that add up to what a node receives in a slot.

    Attributes:
        event: Order of the event that returned it; None if it was given to a root.
        slot: Which of its returned gradients; for a root the output slot.
        stats: What is known of it.
        is_finite: Whether it is finite; None if that is not known.
    """

    event: int | None
    slot: int
    stats: TensorStats | None
    is_finite: bool | None


class Birth(NamedTuple):
    """A place where NaN or Inf came up; see `NonfiniteReport` for the meaning of each part."""

    kind: NonfiniteKind
    what: str
    event: int | None
    node: int
    backward_pass: int
    slot: int


class NonfiniteSearch:
    """The events of a trace, seen as a flow of gradients that are finite, not finite, or unknown.

    It takes time linear in the number of events and edges.
    """

    def __init__(self, data: TraceData) -> None:
        self._data = data
        table = data.table
        self._finite = [stats.is_finite for stats in table.stats]
        self._event_of: dict[tuple[int, int], int] = {
            (backward_pass, node): order
            for order, (backward_pass, node) in enumerate(
                zip(table.passes, table.nodes, strict=True)
            )
        }
        self._reverse = reverse_edges(data.graph.edge_table)
        self._roots = self._index_roots()
        self._spans = self._find_spans()
        self._callers = find_callers(data)
        self._bad_inside = self._find_events_with_bad_inner_pass()
        self._last: tuple[int, int] | None = None
        self._last_contributions: dict[int, list[Contribution]] = {}

    # -- the answer ----------------------------------------------------------------------------

    def find_births(self) -> list[Birth]:
        """Every birth, in order of time."""
        passes = self._data.passes
        roots: defaultdict[int, list[BackwardPass]] = defaultdict(list)
        inputs: defaultdict[int, list[BackwardPass]] = defaultdict(list)
        for backward_pass, (begin, end) in zip(passes, self._spans, strict=True):
            roots[begin].append(backward_pass)
            inputs[end].append(backward_pass)
        births: list[Birth] = []
        for order in range(len(self._data.table) + 1):
            for backward_pass in inputs.get(order, ()):
                births += self._births_at_inputs(backward_pass)
            for backward_pass in roots.get(order, ()):
                births += self._births_at_roots(backward_pass)
            if order < len(self._data.table):
                birth = self._birth_at(order)
                if birth is not None:
                    births.append(birth)
        return births

    def find_passed_on(self, birth: Birth) -> list[int]:
        """The nodes that received what was born there and passed it on, in order.

        Those of its pass, and of the passes that this one was run by.
        """
        table = self._data.table
        source = birth.event
        if source is None:
            source = self._event_of.get((birth.backward_pass, birth.node))
        if source is None:
            return []
        passed_on: list[int] = []
        if birth.kind != "born" and self._has_passed_on(source):
            passed_on.append(birth.node)
        tainted = {source}
        inner = birth.backward_pass
        for order in range(source + 1, len(table)):
            is_caller = order == self._callers.get(inner)
            if is_caller:
                inner = table.passes[order]  # From here on, the pass of the node that called it.
            if is_caller or self._is_tainted(order, tainted):
                tainted.add(order)
                if self._has_passed_on(order):
                    passed_on.append(table.nodes[order])
        return passed_on

    def _has_passed_on(self, order: int) -> bool:
        table = self._data.table
        received = order in self._bad_inside or self.has_bad(table.received[order])
        return received and self.has_bad(table.returned[order])

    def has_bad(self, positions: Sequence[int]) -> bool:
        """Whether one of these gradients (positions in `EventTable.stats`) is not finite."""
        finite = self._finite
        return any(p != NO_GRADIENT and finite[p] is False for p in positions)

    def has_unknown(self, positions: Sequence[int]) -> bool:
        """Whether it is not known of one of these gradients."""
        finite = self._finite
        return any(p != NO_GRADIENT and finite[p] is None for p in positions)

    def contributions(self, backward_pass: int, node: int, slot: int) -> list[Contribution]:
        """The gradients that were added up in an output slot of a node, in one pass."""
        if self._last != (backward_pass, node):
            # All slots at once: a node may have as many of them as it has edges.
            self._last = (backward_pass, node)
            self._last_contributions = self._contributions_by_slot(backward_pass, node)
        return self._last_contributions.get(slot, [])

    def _contributions_by_slot(
        self, backward_pass: int, node: int
    ) -> dict[int, list[Contribution]]:
        starts, positions = self._reverse
        edges = self._data.graph.edge_table
        table = self._data.table
        found: defaultdict[int, list[Contribution]] = defaultdict(list)
        for root in self._roots.get((backward_pass, node), ()):
            finite = root.stats.is_finite if root.stats is not None else None
            state = True if root.is_implicit else finite
            found[root.slot].append(Contribution(None, root.slot, root.stats, state))
        for position in positions[starts[node] : starts[node + 1]]:
            order = self._event_of.get((backward_pass, edges.sources[position]))
            if order is None:
                continue
            slot, returned = edges.source_slots[position], table.returned[order]
            if slot < len(returned) and returned[slot] != NO_GRADIENT:
                stats = returned[slot]
                found[edges.target_slots[position]].append(
                    Contribution(order, slot, table.stats[stats], self._finite[stats])
                )
        return found

    # -- one event, one root, one input --------------------------------------------------------

    def _birth_at(self, order: int) -> Birth | None:
        table = self._data.table
        received, returned = table.received[order], table.returned[order]
        node, backward_pass = table.nodes[order], table.passes[order]
        if self.has_bad(received):
            kind, slot = self._arrival(backward_pass, node, received)
            if kind is None:
                return None
            return Birth(kind, self._what([received[slot]]), order, node, backward_pass, slot)
        if not self.has_bad(returned) or order in self._bad_inside:
            return None
        slot = next(i for i, p in enumerate(returned) if self.has_bad([p]))
        unknown = self.has_unknown(received)
        return Birth(
            "unknown" if unknown else "born", self._what(returned), order, node, backward_pass, slot
        )

    def _arrival(
        self, backward_pass: int, node: int, received: Sequence[int]
    ) -> tuple[NonfiniteKind | None, int]:
        """Why a received gradient is not finite: None if it only arrived from another node."""
        kinds: list[tuple[NonfiniteKind | None, int]] = []
        for slot, position in enumerate(received):
            if self.has_bad([position]):
                stats = self._data.table.stats[position]
                kinds.append((self._kind_of(stats, backward_pass, node, slot), slot))
        certain = [kind for kind in kinds if kind[0] in ("accumulated", "changed")]
        arrived = [kind for kind in kinds if kind[0] is None]
        return (certain or arrived or kinds)[0]

    def _kind_of(
        self, stats: TensorStats, backward_pass: int, node: int, slot: int
    ) -> NonfiniteKind | None:
        contributions = self.contributions(backward_pass, node, slot)
        states = [contribution.is_finite for contribution in contributions]
        if False in states:
            return None
        if None in states or not states or self._data.graph.truncation is not None:
            return "unknown"  # What was cut off from a graph may have sent anything.
        if len(states) == 1 or "NaN" in stats.problem:
            return "changed"  # A sum of finite numbers may be Inf, but never NaN.
        largest = [c.stats.max_abs for c in contributions if c.stats is not None]
        known = [number for number in largest if number is not None]
        limit = FORMAT_LIMITS.get(stats.meta.dtype)
        if limit is not None and len(known) == len(states) and sum(known) <= limit:
            return "changed"
        return "accumulated"

    def _births_at_roots(self, backward_pass: BackwardPass) -> Iterator[Birth]:
        if self._caller_received_bad(backward_pass):
            return  # It was handed on to this pass by the node that ran it.
        for root in backward_pass.roots:
            if root.stats is not None and root.stats.is_finite is False:
                event = self._event_of.get((backward_pass.id, root.node))
                what = root.stats.problem
                yield Birth("root", what, event, root.node, backward_pass.id, root.slot)

    def _births_at_inputs(self, backward_pass: BackwardPass) -> Iterator[Birth]:
        """What `autograd.grad` returned for an input: that node itself did not run."""
        for given in backward_pass.inputs or ():
            if given.stats is None or given.stats.is_finite is not False or given.node is None:
                continue
            if (backward_pass.id, given.node) in self._event_of:
                continue  # Its event was looked at.
            kind = self._kind_of(given.stats, backward_pass.id, given.node, given.slot)
            if kind is not None:
                what = given.stats.problem
                yield Birth(kind, what, None, given.node, backward_pass.id, given.slot)

    # -- inner ---------------------------------------------------------------------------------

    def _what(self, positions: Sequence[int]) -> str:
        stats = self._data.table.stats
        problems = " ".join(stats[p].problem for p in positions if p != NO_GRADIENT)
        return " and ".join(name for name in ("NaN", "Inf") if name in problems)

    def _is_tainted(self, order: int, tainted: set[int]) -> bool:
        table = self._data.table
        node, backward_pass = table.nodes[order], table.passes[order]
        return any(
            contribution.is_finite is False and contribution.event in tainted
            for slot, position in enumerate(table.received[order])
            if self.has_bad([position])
            for contribution in self.contributions(backward_pass, node, slot)
        )

    def _find_spans(self) -> list[tuple[int, int]]:
        """For each pass: no later than when it began, and the order behind its last event."""
        count = len(self._data.table)
        first, end = [count] * len(self._data.passes), [0] * len(self._data.passes)
        for order, backward_pass in enumerate(self._data.table.passes):
            first[backward_pass] = min(first[backward_pass], order)
            end[backward_pass] = order + 1
        # Passes stand in the order in which they began: the events of a later one come after.
        begin = count
        for id in reversed(range(len(first))):
            begin = first[id] = min(begin, first[id])
        return [(begin, max(begin, end)) for begin, end in zip(first, end, strict=True)]

    def _index_roots(self) -> dict[tuple[int, int], list[RootGradient]]:
        roots: dict[tuple[int, int], list[RootGradient]] = {}
        for backward_pass in self._data.passes:
            for root in backward_pass.roots:
                roots.setdefault((backward_pass.id, root.node), []).append(root)
        return roots

    def _find_events_with_bad_inner_pass(self) -> set[int]:
        """Events of nodes that ran a pass in which something was not finite."""
        callers = self._callers
        if not callers:
            return set()
        table = self._data.table
        found = set()
        for order, backward_pass in enumerate(table.passes):
            if backward_pass in callers and (
                self.has_bad(table.received[order]) or self.has_bad(table.returned[order])
            ):
                found.add(callers[backward_pass])
        return found

    def _caller_received_bad(self, backward_pass: BackwardPass) -> bool:
        caller = self._callers.get(backward_pass.id)
        if caller is not None:
            return self.has_bad(self._data.table.received[caller])
        if backward_pass.parent is None or backward_pass.parent_pass is None:
            return False
        # No event tells of a node that has not finished, but what was sent to it is known.
        sent = self._contributions_by_slot(backward_pass.parent_pass, backward_pass.parent)
        return any(one.is_finite is False for slot in sent.values() for one in slot)
