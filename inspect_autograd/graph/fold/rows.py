"""The node table of a folded graph: what the members of a box say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from ..records import Fold, FoldBy, NodeKind, Parameter, Plain, SavedTensor
from ..tables import NodeTable
from ..tensor_meta import TensorMeta
from .labels import count_names, current_label

__all__ = ["Box", "merge_rows"]


@dataclass(frozen=True, slots=True)
class Box:
    """Nodes that become one.

    Attributes:
        members: Their ids, in ascending order.
        label: See `Fold.label`; not used where there is a representative, which keeps its own.
        count: See `Fold.count`.
        scope: Of the new node.
        representative: The member whose name, kind and slots the new node keeps, because all
            members are alike; None for a box that becomes a node of kind `fold`.
    """

    members: Sequence[int]
    label: str = ""
    count: int = 1
    scope: str | None = None
    representative: int | None = None


def merge_rows(
    old: NodeTable,
    members: Sequence[Sequence[int]],
    boxes: Mapping[int, Box],
    entries: Mapping[int, set[int]],
    by: FoldBy,
) -> NodeTable:
    """The table of the new nodes.

    Args:
        old: The table of the graph that is folded.
        members: Old ids that each new node stands for.
        boxes: By new id, the nodes that are not one old node as it was.
        entries: By new id, for each new node of kind `fold`, the members that gradients enter by.
        by: The pass.
    """
    # Where a node stays as it is, its row is copied; the rows of boxes are put over it.
    shown = [
        part[0] if node not in boxes or boxes[node].representative is None
        else boxes[node].representative or 0
        for node, part in enumerate(members)
    ]
    names: list[str] = [old.names[node] for node in shown]
    kinds: list[NodeKind] = [old.kinds[node] for node in shown]
    return NodeTable()
