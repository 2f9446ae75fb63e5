"""Folding repeated blocks: what occurs several times in a row is shown once."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..topology import topological_order
from .blocks import BlockReader, is_convex
from .infer_scopes import infer_scopes
from .labels import plural
from .quotient import Run, quotient
from .repeat_by_order import find_periodic_runs
from .repeat_by_scope import find_module_runs

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["fold_repeats"]


def fold_repeats(graph: Graph) -> Graph:
    """The graph with every run of alike blocks shown once.

    Blocks are sibling modules with consecutive numbers (`layers.0 … layers.11`) and, where these
    were recorded, the calls of one module, outermost first; if there are none, stretches of one
    shape in the order of execution (the steps of an unrolled recurrent network, the layers of a
    network without names). A run that a gradient leaves and enters again by a node outside it is
    left alone.

    The first block, in forward order, stays and stands for all: see `Repeat`.
    """
    scoped = infer_scopes(graph)
    reader = BlockReader(scoped)
    ranks = array("q", bytes(8 * len(graph)))
    for rank, node in enumerate(topological_order(scoped.edge_table)):
        ranks[node] = rank

    def is_allowed(nodes: set[int]) -> bool:
        return is_convex(scoped.edge_table, ranks, nodes)

    runs = find_module_runs(scoped, reader, is_allowed)
    runs = runs or find_periodic_runs(scoped, reader, is_allowed)
    folded = _fold(scoped, runs)
    if len(topological_order(folded.edge_table)) < len(folded):
        folded = _fold(scoped, _choose_compatible(scoped, runs))
    return graph if folded is scoped else folded


def _fold(graph: Graph, runs: Sequence[Run]) -> Graph:
    blocks = sum(len(run.blocks) for run in runs)
    text = f"showed {plural(blocks, 'block')} in {plural(len(runs), 'run')} once: " + "; ".join(
        run.label for run in runs[:3]
    )
    return quotient(graph, (), by="repeat", text=text + ("; …" if len(runs) > 3 else ""), runs=runs)


def _choose_compatible(graph: Graph, runs: Sequence[Run]) -> list[Run]:
    """Runs that close no loop together, taken in order; two that interleave can close one."""
    kept: list[Run] = []
    for run in runs:
        trial = _fold(graph, [*kept, run])
        if len(topological_order(trial.edge_table)) == len(trial):
            kept.append(run)
    return kept
