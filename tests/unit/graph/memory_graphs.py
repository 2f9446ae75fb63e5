"""Graphs by hand whose nodes save tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import SavedState, SavedTensor, Storage
from inspect_autograd.graph.tensor_meta import TensorMeta
from tests.unit.render.graphs import make_graph

__all__ = ["graph_of", "saved"]

BYTES = TensorMeta((), "uint8")


def saved(
    storage: int | None, size: int | None, state: SavedState = "available", **fields: Any
) -> SavedTensor:
    return SavedTensor("self", BYTES, size, storage, state, **fields)


def graph_of(
    kept: Sequence[Sequence[SavedTensor]],
    storages: Sequence[Storage] = (),
    names: Sequence[str] | None = None,
    columns: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Graph:
    """A chain of nodes that save these, and the leaf `w` at its end."""
    names = names or [f"Op{i}Backward0" for i in range(len(kept))]
    return make_graph(
        [*names, "AccumulateGrad"],
        [(i, i + 1) for i in range(len(kept))],
        leaves={len(kept): "w"},
        columns={"saved": {i: tuple(s) for i, s in enumerate(kept)}, **(columns or {})},
        storages=tuple(storages),
        **fields,
    )
