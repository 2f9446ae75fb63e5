"""What the engine works out before it runs a pass: who waits for how many gradients, who runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .tables import EdgeTable
from .topology import find_reachable, reverse_edges

__all__ = ["PassPlan", "plan_pass"]


@dataclass(frozen=True, slots=True)
class PassPlan:
    """The plan of one pass over a graph whose nodes all are behind its roots.

    Attributes:
        missing: Per node, how many gradients it waits for (`GraphTask::dependencies_`): one for
            each edge that leads to it, and one for each root that it is, if there are several.
        runs: The nodes that run; None if all do. Every other one is passed over.
        captured: Nodes whose received gradients the caller wants (the `inputs` of `autograd.grad`).
            Such a node waits and is taken from the queue as any other; whether it also runs,
            `runs` says.
    """

    missing: list[int]
    runs: frozenset[int] | None
    captured: frozenset[int]

    def is_delivered(self, node: int) -> bool:
        """Whether a gradient for the node is kept at all."""
        return self.runs is None or node in self.runs or node in self.captured


def plan_pass(
    edges: EdgeTable,
    roots: Sequence[int],
    inputs: Iterable[int] | None = None,
    *,
    accumulate: bool = True,
) -> PassPlan:
    """Plan a pass as `Engine::compute_dependencies` and `GraphTask::init_to_execute` do.

    Args:
        edges: Of a graph in which every node can be reached from the roots.
        roots: Node of each root.
        inputs: Nodes of the `inputs` of the call; None if all leaves are meant.
        accumulate: Whether it is `backward`, where the inputs themselves run, or `grad`, where
            only what leads to them does.
    """
    missing = [0] * (len(edges.starts) - 1)
    for target in edges.targets:
        missing[target] += 1
    if len(roots) > 1:
        for root in roots:
            missing[root] += 1
    if inputs is None:
        return PassPlan(missing, None, frozenset())
    wanted = frozenset(inputs)
    starts, positions = reverse_edges(edges)
    sources = edges.sources
    neighbours = type(edges.sources)("q", (sources[position] for position in positions))
    if accumulate:
        runs = find_reachable(starts, neighbours, wanted)
        return PassPlan(missing, frozenset(runs), frozenset())
    parents = {
        neighbours[place] for node in wanted for place in range(starts[node], starts[node + 1])
    }
    return PassPlan(missing, frozenset(find_reachable(starts, neighbours, parents)), wanted)
