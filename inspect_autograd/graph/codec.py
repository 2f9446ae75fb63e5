"""A Graph as JSON values and back.

Nodes and edges are written as columns, as they are held. TensorMeta records, of which a big graph
has few different ones, stand in a table and are referred to by position.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from .creation import Creation, SourceLine
from .graph import Graph
from .records import (
    Edge,
    Fold,
    FoldNote,
    Note,
    Parameter,
    Plain,
    Repeat,
    Root,
    SavedTensor,
    Storage,
    Truncation,
)
from .tables import EdgeTable, NodeTable
from .tensor_meta import TensorMeta

__all__ = ["decode_graph", "encode_graph"]

Json = Any


# -- writing -----------------------------------------------------------------------------------


class _MetaTable:
    """Numbers TensorMeta records in the order in which they are met."""

    def __init__(self) -> None:
        self.positions: dict[TensorMeta, int] = {}

    def put(self, meta: TensorMeta | None) -> int | None:
        if meta is None:
            return None
        return self.positions.setdefault(meta, len(self.positions))


def encode_graph(graph: Graph) -> dict[str, Json]:
    """The graph as values that `json` can write."""
    metas = _MetaTable()
    nodes, edges = graph.node_table, graph.edge_table
    body = {
        "torch_version": graph.torch_version,
        "scopes": graph.scopes,
        "truncation": graph.truncation and _fields(graph.truncation),
        "roots": [[r.path, r.node, r.slot, metas.put(r.meta)] for r in graph.roots],
        "notes": [_fields(note) for note in graph.notes],
        "fold_notes": [_fields(note) for note in graph.fold_notes],
        "repeats": [
            [r.label, r.scopes, [_fields(link) for link in r.links], r.nodes, r.scope]
            for r in graph.repeats
        ],
        "storages": [_fields(storage) for storage in graph.storages],
        "nodes": {
            "names": list(nodes.names),
            "kinds": list(nodes.kinds),
            "sequence_nrs": list(nodes.sequence_nrs),
            "receives": [[metas.put(meta) for meta in received] for received in nodes.receives],
            "input_slots": list(nodes.input_slots),
            "saved": _by_id(nodes.saved, lambda tensors: [_saved(t, metas) for t in tensors]),
            "attributes": _by_id(nodes.attributes, dict),
            "parameters": _by_id(nodes.parameters, lambda p: [p.names, metas.put(p.meta)]),
            "scopes": _by_id(nodes.scopes, str),
            "orders": _by_id(nodes.orders, int),
            "creations": _encode_creations(nodes.creations),
            "cut_slots": _by_id(nodes.cut_slots, list),
            "folds": _by_id(nodes.folds, _fields),
            "origins": None if nodes.origins is None else list(nodes.origins),
        },
        "edges": {
            "sources": edges.sources.tolist(),
            "source_slots": edges.source_slots.tolist(),
            "targets": edges.targets.tolist(),
            "target_slots": edges.target_slots.tolist(),
            "counts": None if edges.counts is None else edges.counts.tolist(),
        },
    }
    table = [[meta.shape, meta.dtype, meta.device, meta.layout] for meta in metas.positions]
    return {"metas": table, **body}


def _fields(record: Any) -> list[Json]:
    return [getattr(record, name) for name in type(record).__slots__]


def _saved(tensor: SavedTensor, metas: _MetaTable) -> list[Json]:
    meta = metas.put(tensor.meta)
    return [tensor.name, meta, tensor.bytes, tensor.storage, tensor.state, tensor.alias]


def _by_id(column: Mapping[int, Any], encode: Any) -> dict[str, Json]:
    return {str(id): encode(value) for id, value in sorted(column.items())}


def _encode_creations(column: Mapping[int, Creation]) -> dict[str, Json]:
    """Every Creation once, and its position for each node; the same for source lines."""
    lines: dict[SourceLine, int] = {}
    table: dict[Creation, int] = {}
    nodes = {str(id): table.setdefault(made, len(table)) for id, made in sorted(column.items())}
    rows = [
        [
            made.function,
            None if made.source is None else lines.setdefault(made.source, len(lines)),
            [lines.setdefault(line, len(lines)) for line in made.stack],
            made.call,
            made.thread,
            made.made_by,
            made.reason,
        ]
        for made in table
    ]
    return {"lines": [_fields(line) for line in lines], "table": rows, "nodes": nodes}


# -- reading -----------------------------------------------------------------------------------


def decode_graph(value: Mapping[str, Json]) -> Graph:
    """The graph that `encode_graph` wrote.

    Raises:
        ValueError: What was read is not consistent, so that a graph made of it would be wrong.
        KeyError, TypeError, IndexError: Parts are missing or of another kind.
    """
    metas = [
        TensorMeta(_tuple_or_none(shape), dtype, device, layout)
        for shape, dtype, device, layout in value["metas"]
    ]
    nodes = _decode_nodes(value["nodes"], metas)
    graph = Graph(
        node_table=nodes,
        edge_table=_decode_edges(value["edges"], len(nodes)),
        roots=tuple(Root(p, node, slot, _meta(m, metas)) for p, node, slot, m in value["roots"]),
        notes=tuple(Note(*fields) for fields in value["notes"]),
        storages=tuple(Storage(size, tuple(names)) for size, names in value["storages"]),
        truncation=Truncation(*value["truncation"]) if value["truncation"] else None,
        scopes=value["scopes"],
        fold_notes=tuple(FoldNote(*fields) for fields in value["fold_notes"]),
        repeats=tuple(
            Repeat(label, tuple(scopes), tuple(Edge(*e) for e in links), tuple(inside), scope)
            for label, scopes, links, inside, scope in value["repeats"]
        ),
        torch_version=value["torch_version"],
    )
    _check(graph)
    return graph


def _decode_nodes(columns: Mapping[str, Json], metas: Sequence[TensorMeta]) -> NodeTable:
    # Lists of the same received gradients are one tuple, as in a captured graph.
    known: dict[tuple[int | None, ...], tuple[TensorMeta | None, ...]] = {}
    receives = []
    for positions in map(tuple, columns["receives"]):
        if positions not in known:
            known[positions] = tuple(_meta(position, metas) for position in positions)
        receives.append(known[positions])
    return NodeTable(
        names=columns["names"],
        kinds=columns["kinds"],
        sequence_nrs=columns["sequence_nrs"],
        receives=receives,
        input_slots=columns["input_slots"],
        saved={
            int(id): tuple(
                SavedTensor(name, _meta(meta, metas), size, storage, state, tuple(alias))
                for name, meta, size, storage, state, alias in tensors
            )
            for id, tensors in columns["saved"].items()
        },
        attributes={
            int(id): {name: _plain(item) for name, item in attributes.items()}
            for id, attributes in columns["attributes"].items()
        },
        parameters={
            int(id): Parameter(tuple(names), metas[meta])
            for id, (names, meta) in columns["parameters"].items()
        },
        scopes={int(id): scope for id, scope in columns["scopes"].items()},
        orders={int(id): order for id, order in columns["orders"].items()},
        creations=_decode_creations(columns.get("creations")),
        cut_slots={int(id): tuple(slots) for id, slots in columns["cut_slots"].items()},
        folds={
            int(id): Fold(by, label, count, tuple(members), tuple((n, c) for n, c in names))
            for id, (by, label, count, members, names) in columns["folds"].items()
        },
        origins=columns["origins"],
    )


def _decode_creations(value: Mapping[str, Json] | None) -> dict[int, Creation]:
    if value is None:  # Written by a version that did not record any.
        return {}
    lines = [SourceLine(*fields) for fields in value["lines"]]
    table = [
        Creation(
            function,
            None if source is None else lines[source],
            tuple(lines[position] for position in stack),
            call,
            thread,
            made_by,
            reason,
        )
        for function, source, stack, call, thread, made_by, reason in value["table"]
    ]
    return {int(id): table[position] for id, position in value["nodes"].items()}


def _decode_edges(columns: Mapping[str, Json], node_count: int) -> EdgeTable:
    sources, targets = columns["sources"], columns["targets"]
    if not all(0 <= node < node_count for node in (*sources, *targets)):
        raise ValueError("an edge leads to a node that is not there")
    if any(map(int.__gt__, sources, sources[1:])):
        raise ValueError("the edges are not ordered by their sources")
    counts = columns["counts"]
    table = EdgeTable.from_columns(
        node_count,
        sources=sources,
        source_slots=columns["source_slots"],
        targets=targets,
        target_slots=columns["target_slots"],
        counts=None if counts is None else array("q", counts),
    )
    lengths = {len(table.sources), len(table.source_slots), len(table.target_slots), len(targets)}
    if len(lengths) > 1 or (counts is not None and len(counts) != len(targets)):
        raise ValueError("the columns of the edges differ in length")
    return table


def _check(graph: Graph) -> None:
    nodes, count = graph.node_table, len(graph)
    columns = (nodes.kinds, nodes.sequence_nrs, nodes.receives, nodes.input_slots)
    if any(len(column) != count for column in (*columns, nodes.origins or nodes.names)):
        raise ValueError("the columns of the nodes differ in length")
    by_id = (
        nodes.saved,
        nodes.attributes,
        nodes.parameters,
        nodes.scopes,
        nodes.orders,
        nodes.creations,
        nodes.cut_slots,
        nodes.folds,
    )
    ids = {id for column in by_id for id in column} | {root.node for root in graph.roots}
    ids |= {id for repeat in graph.repeats for id in repeat.nodes}
    if not all(0 <= id < count for id in ids):
        raise ValueError("a node is referred to that is not there")
    used = {tensor.storage for tensors in nodes.saved.values() for tensor in tensors} - {None}
    if not all(0 <= storage < len(graph.storages) for storage in used if storage is not None):
        raise ValueError("a saved tensor refers to a storage that is not there")


def _meta(position: int | None, metas: Sequence[TensorMeta]) -> TensorMeta | None:
    return None if position is None else metas[position]


def _tuple_or_none(value: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if value is None else tuple(value)


def _plain(value: Json) -> Plain:
    return tuple(_plain(item) for item in value) if isinstance(value, list) else value
