"""Choosing what to show of a graph: all of it, or a folded view that fits on a screen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from ..errors import ArgumentError
from ..graph.fold import infer_scopes
from ..graph.graph import Graph
from ..graph.module_calls import find_calls
from .saved_groups import count_saved_boxes

__all__ = ["MAX_BOXES", "View", "ViewName", "choose_view", "count_boxes"]

ViewName = Literal["auto", "full", "chain", "scope", "repeat", "band"]

MAX_BOXES = 300
"""More boxes than this nobody reads; `view="auto"` folds the graph until it has fewer."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a graph.

    Attributes:
        graph: Folded, or as it was; it has module scopes if these can be inferred.
        captions: Sentences that say what was folded, cut or left out; none if nothing was.
    """

    graph: Graph
    captions: tuple[str, ...]


def choose_view(
    graph: Graph,
    view: ViewName = "auto",
    *,
    show_saved: bool = False,
    max_boxes: int = MAX_BOXES,
) -> View:
    """The graph as it is to be shown, and what has to be said about that.

    Args:
        graph: Any graph, folded by the user or not.
        view: `full` shows every node. `chain`, `scope`, `repeat` and `band` fold as `Graph.fold`
            does. `auto` shows every node of a small graph; of a large one it takes the most
            detailed view that fits: chains folded; then blocks that repeat shown once; then
            modules as one box each, as deep inside as fits; at last neighbours in bands.
        show_saved: Whether saved tensors will be drawn, which need boxes too.
        max_boxes: What `auto` calls small.

    Raises:
        ArgumentError: `view` is unknown.
    """
    if view not in get_args(ViewName):
        names = ", ".join(repr(name) for name in get_args(ViewName))
        raise ArgumentError(
            f"view is {view!r}; expected one of {names}",
            remedy="Leave view out: 'auto' folds a large graph until it can be read.",
        )
    scoped = infer_scopes(graph)
    if view == "auto":
        shown = _fit(scoped, show_saved, max_boxes)
    elif view == "full":
        shown = scoped
    else:
        shown = scoped.fold(view)
    return View(shown, tuple(_captions(graph, shown, view)))


def count_boxes(graph: Graph, *, show_saved: bool = False) -> int:
    """How many boxes a picture of the graph has."""
    table = graph.node_table
    boxes = len(graph) + len(table.cut_slots)
    if show_saved:
        boxes += sum(count_saved_boxes(saved) for saved in table.saved.values())
    return boxes


def _fit(graph: Graph, show_saved: bool, max_boxes: int) -> Graph:
    for candidate in _candidates(graph):
        if count_boxes(candidate, show_saved=show_saved) <= max_boxes:
            return candidate
    # Saved tensors alone can be too many; half of the boxes then are theirs at most.
    bands = max(max_boxes // 10, 1) if show_saved else 50
    return graph.fold("band", depth=min(bands, max_boxes))


def _candidates(graph: Graph) -> Iterator[Graph]:
    """Ever smaller views of a graph, the more telling first."""
    yield graph
    # Of a network of numbered layers, or of one that is called again and again, one layer with all
    # that is inside tells more than all of them without. Without either, a repeat may be any small
    # pattern.
    has_blocks = _has_numbered_scopes(graph) or bool(find_calls(graph))
    if not has_blocks:
        yield graph.fold("chain")
    repeated = graph.fold("repeat")
    if repeated.repeats:
        yield repeated
        yield repeated.fold("chain")
    if has_blocks:
        yield graph.fold("chain")
    depths = {scope.count(".") + 1 for scope in graph.node_table.scopes.values() if scope}
    for depth in range(max(depths, default=0), 0, -1):
        folded = repeated.fold("scope", depth=depth)
        yield folded
        yield folded.fold("chain")
        yield folded.fold("chain").fold("repeat")


def _has_numbered_scopes(graph: Graph) -> bool:
    scopes = set(graph.node_table.scopes.values())
    return any(part.isdigit() for scope in scopes for part in scope.split("."))


def _captions(graph: Graph, shown: Graph, view: str) -> Iterator[str]:
    notes = shown.fold_notes
    if notes:
        did = "; ".join(note.text for note in notes)
        hint = "" if graph.fold_notes or view == "full" else " view='full' shows all."
        boxes = "box" if len(shown) == 1 else "boxes"
        yield f"{notes[0].nodes_before} nodes shown as {len(shown)} {boxes}: {did}.{hint}"
    elif view not in ("auto", "full"):
        yield f"Nothing to fold by {view!r}: every node is shown."
    if shown.truncation:
        yield f"The graph was {shown.truncation}."
    if any(shown.node_table.scopes.values()):
        if shown.scopes == "inferred":
            yield "Modules are inferred from the names of the parameters."
        elif shown.scopes == "recorded":
            yield "Modules as recorded in the forward pass."
    for note in shown.notes[:3]:
        yield f"Not shown: {note.path or 'the value'} ({note.what}): {note.reason}."
    if len(shown.notes) > 3:
        yield f"Not shown: {len(shown.notes) - 3} more values without a graph."
