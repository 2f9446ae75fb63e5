"""The node table of a folded graph: what the members of a box say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

from ..creation import Creation
from ..records import Fold, FoldBy, NodeKind, Parameter, Plain, SavedTensor
from ..tables import NodeTable
from ..tensor_meta import TensorMeta
from .labels import count_names, current_label

__all__ = ["Box", "merge_rows"]

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Box:
    """Nodes that become one.

    Attributes:
        members: Their ids, in ascending order.
        by: The pass that makes them one.
        label: See `Fold.label`; not used where there is a representative, which keeps its own.
        count: See `Fold.count`.
        scope: Of the new node.
        representative: The member whose name, kind and slots the new node keeps, because all
            members are alike; None for a box that becomes a node of kind `fold`.
        call: The call of the module `scope` that all members belong to, where it is known.
    """

    members: Sequence[int]
    by: FoldBy
    label: str = ""
    count: int = 1
    scope: str | None = None
    representative: int | None = None
    call: int | None = None


def merge_rows(
    old: NodeTable,
    members: Sequence[Sequence[int]],
    boxes: Mapping[int, Box],
    entries: Mapping[int, set[int]],
) -> NodeTable:
    """The table of the new nodes.

    Args:
        old: The table of the graph that is folded.
        members: Old ids that each new node stands for.
        boxes: By new id, the nodes that are not one old node as it was.
        entries: By new id, for each new node of kind `fold`, the members that gradients enter by.
    """
    # Every row is first copied from a member that stands for it; boxes are then put over that.
    shown = [part[0] for part in members]
    for node, box in boxes.items():
        if box.representative is not None:
            shown[node] = box.representative
    table = _copy_rows(old, members, shown)
    for node, box in boxes.items():
        if box.representative is None:
            _put_fold(table, old, node, box, entries[node])
        else:
            _put_representative(table, old, node, box, box.representative)
    return NodeTable(
        names=table.names,
        kinds=table.kinds,
        sequence_nrs=table.sequence_nrs,
        receives=table.receives,
        input_slots=table.input_slots,
        saved=_gather_saved(old.saved, members),
        attributes=table.attributes,
        parameters=table.parameters,
        scopes=table.scopes,
        orders=table.orders,
        creations=table.creations,
        cut_slots=table.cut_slots,
        folds=table.folds,
        origins=table.origins,
    )


@dataclass(slots=True)
class _Rows:
    """The columns of a NodeTable while they are filled."""

    names: list[str]
    kinds: list[NodeKind]
    sequence_nrs: list[int | None]
    receives: list[tuple[TensorMeta | None, ...]]
    input_slots: list[int]
    attributes: dict[int, Mapping[str, Plain]]
    parameters: dict[int, Parameter]
    scopes: dict[int, str]
    orders: dict[int, int]
    creations: dict[int, Creation]
    cut_slots: dict[int, tuple[int, ...]]
    folds: dict[int, Fold]
    origins: list[int]


def _copy_rows(old: NodeTable, members: Sequence[Sequence[int]], shown: Sequence[int]) -> _Rows:
    new_id = {node: id for id, node in enumerate(shown)}

    def move(column: Mapping[int, _Value]) -> dict[int, _Value]:
        moved = {new_id[node]: value for node, value in column.items() if node in new_id}
        return dict(sorted(moved.items()))

    origin_of = range(len(old)) if old.origins is None else old.origins
    return _Rows(
        names=[old.names[node] for node in shown],
        kinds=[old.kinds[node] for node in shown],
        sequence_nrs=[old.sequence_nrs[node] for node in shown],
        receives=[old.receives[node] for node in shown],
        input_slots=[old.input_slots[node] for node in shown],
        attributes=move(old.attributes),
        parameters=move(old.parameters),
        scopes=move(old.scopes),
        orders=move(old.orders),
        creations=move(old.creations),
        cut_slots=move(old.cut_slots),
        folds=move(old.folds),
        origins=[min(map(origin_of.__getitem__, part)) for part in members],
    )


def _put_fold(rows: _Rows, old: NodeTable, node: int, box: Box, entries: set[int]) -> None:
    members = box.members
    rows.names[node] = box.label
    rows.kinds[node] = "fold"
    rows.sequence_nrs[node] = None
    rows.receives[node] = old.receives[next(iter(entries))] if len(entries) == 1 else ()
    rows.input_slots[node] = 0
    rows.attributes.pop(node, None)
    rows.parameters.pop(node, None)
    _put(rows.scopes, node, box.scope)
    _put(rows.orders, node, _shared(old.orders, members))
    _put(rows.creations, node, _creation_of_fold(old, box))
    # Slots of the members mean nothing on the fold, but that edges were cut has to be seen.
    cut = sum(len(old.cut_slots.get(member, ())) for member in members) if old.cut_slots else 0
    _put(rows.cut_slots, node, (0,) * cut or None)
    rows.folds[node] = Fold(
        by=box.by,
        label=box.label,
        count=box.count,
        members=_captured_members(old, members),
        names=count_names(old, members),
    )


def _put_representative(rows: _Rows, old: NodeTable, node: int, box: Box, shown: int) -> None:
    members = box.members
    label = current_label(old, shown)
    if rows.kinds[node] == "fold":
        # A fold is called after its scope, which now is that of the whole run.
        scope = old.scopes.get(shown)
        if scope and old.folds[shown].by == "scope":
            labels = {current_label(old, member) for member in members}
            label = scope if len(labels) > 1 else label  # Calls of one module.
        label = rows.names[node] = _rename(label, scope, box.scope)
    _put(rows.scopes, node, box.scope)
    _put(rows.creations, node, _shared_creation(old.creations, members))
    _put(rows.attributes, node, _shared_attributes(old.attributes, members) or None)
    if shown in old.parameters:
        # Ids rise against the forward pass.
        ordered = (shown, *(member for member in reversed(members) if member != shown))
        names = chain.from_iterable(old.parameters[member].names for member in ordered)
        parameter = replace(old.parameters[shown], names=tuple(dict.fromkeys(names)))
        rows.parameters[node] = parameter
    rows.folds[node] = Fold(
        by=box.by,
        label=label,
        count=sum(_copies(old, member) for member in members),
        members=_captured_members(old, members),
        names=count_names(old, members),
    )


def _put(column: dict[int, _Value], node: int, value: _Value | None) -> None:
    if value is None:
        column.pop(node, None)
    else:
        column[node] = value


def _rename(label: str, scope: str | None, new_scope: str | None) -> str:
    if scope and new_scope is not None and label.startswith(scope):
        return new_scope + label[len(scope) :]
    return label


def _copies(old: NodeTable, member: int) -> int:
    fold = old.folds.get(member)
    return fold.count if fold is not None and fold.by == "repeat" else 1


def _captured_members(old: NodeTable, members: Sequence[int]) -> tuple[int, ...]:
    if not old.folds:
        origins = old.origins
        return tuple(members if origins is None else sorted(origins[node] for node in members))
    captured: list[int] = []
    for node in members:
        fold = old.folds.get(node)
        if fold is not None:
            captured.extend(fold.members)
        else:
            captured.append(node if old.origins is None else old.origins[node])
    return tuple(sorted(captured))


def _shared(column: Mapping[int, _Value], members: Sequence[int]) -> _Value | None:
    """The value that all members have; None if they differ or one has none."""
    first = column.get(members[0])
    return first if all(column.get(member) == first for member in members) else None


def _creation_of_fold(old: NodeTable, box: Box) -> Creation | None:
    """The line that made all members, and the call of the module; None if neither is known.

    A leaf, which no line made, has no say in it.
    """
    made = {node: old.creations[node] for node in box.members if node in old.creations}
    sources = {creation.source for creation in made.values()} - {None}
    calls = {made[node].call for node in made if old.scopes.get(node) == box.scope}
    call = box.call
    if call is None and box.scope is not None and len(calls) == 1:
        (call,) = calls
    source = sources.pop() if len(sources) == 1 else None
    return None if source is None and call is None else Creation(source=source, call=call)


def _shared_creation(column: Mapping[int, Creation], members: Sequence[int]) -> Creation | None:
    """What the creations of alike nodes agree in; None if one has none."""
    made = [column[member] for member in members if member in column]
    if len(made) < len(members) or not made:
        return None
    return Creation(
        function=_agreed([one.function for one in made], None),
        source=_agreed([one.source for one in made], None),
        stack=_agreed([one.stack for one in made], ()),
        call=_agreed([one.call for one in made], None),
        thread=_agreed([one.thread for one in made], ""),
        made_by=_agreed([one.made_by for one in made], ""),
        reason=_agreed([one.reason for one in made], ""),
    )


def _agreed(values: Sequence[_Value], otherwise: _Value) -> _Value:
    return values[0] if all(value == values[0] for value in values) else otherwise


def _shared_attributes(
    column: Mapping[int, Mapping[str, Plain]], members: Sequence[int]
) -> dict[str, Plain]:
    """The attributes that have one value in all copies; a step counter, say, is left out."""
    first, *others = (column.get(member, {}) for member in members)
    missing = object()
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name, missing) == value for other in others)
    }


def _gather_saved(
    saved: Mapping[int, tuple[SavedTensor, ...]], members: Sequence[Sequence[int]]
) -> dict[int, tuple[SavedTensor, ...]]:
    gathered = {}
    for node, part in enumerate(members):
        if len(part) == 1:
            tensors = saved.get(part[0], ())
        else:
            tensors = tuple(chain.from_iterable(saved.get(member, ()) for member in part))
        if tensors:
            gathered[node] = tensors
    return gathered
