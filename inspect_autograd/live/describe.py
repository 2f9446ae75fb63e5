"""Turn live nodes into the columns of a Graph."""

from __future__ import annotations

import torch

from ..graph.records import Parameter, SavedTensor
from ..graph.tables import NodeTable
from .attributes import AttributeReader
from .node_types import describe_type, short_name
from .order import find_orders
from .parameters import TensorNames
from .private_torch import NO_SEQUENCE_NR
from .saved import SavedTensorReader
from .tensor_meta import TensorMetaCache
from .walk import LiveGraph

__all__ = ["describe_nodes"]


def describe_nodes(
    live: LiveGraph,
    metas: TensorMetaCache,
    names: TensorNames,
    saved_reader: SavedTensorReader | None,
) -> NodeTable:
    """Describe every node of a walked graph.

    Args:
        live: The walked graph.
        metas: Makes the TensorMeta records.
        names: Finds the names of leaves.
        saved_reader: Describes saved tensors; None to leave them out.
    """
    # Column by column: what depends on the type alone is found out once per type, and only
    # nodes that have attributes or saved tensors are asked for them.
    nodes = live.nodes
    types = list(map(type, nodes))
    known = {node_type: describe_type(node_type) for node_type in dict.fromkeys(types)}
    names_by_type = {node_type: known[node_type].name for node_type in known}
    kinds_by_type = {node_type: known[node_type].kind for node_type in known}
    with_attributes = {t for t in known if known[t].attributes or known[t].is_python}
    with_saved = {t for t in known if known[t].saved or known[t].is_python}
    node_names = [
        names_by_type[node_type] or short_name(nodes[id]) for id, node_type in enumerate(types)
    ]
    leaves = [id for id, t in enumerate(types) if kinds_by_type[t] == "leaf"]
    attributes = AttributeReader(metas)
    saved: dict[int, tuple[SavedTensor, ...]] = {}
    if saved_reader is not None:
        for id, node_type in enumerate(types):
            if node_type in with_saved:
                tensors = saved_reader.read(nodes[id], known[node_type])
                if tensors:
                    saved[id] = tensors
    return NodeTable(
        names=node_names,
        kinds=[kinds_by_type[node_type] for node_type in types],
        sequence_nrs=[None if nr == NO_SEQUENCE_NR else nr for nr in live.sequence_nrs],
        receives=metas.describe_received(nodes),
        input_slots=live.input_slots,
        saved=saved,
        attributes={
            id: attributes.read(nodes[id], known[node_type])
            for id, node_type in enumerate(types)
            if node_type in with_attributes
        },
        parameters={id: _describe_leaf(nodes[id].variable, metas, names) for id in leaves},
        orders=find_orders(live, node_names),
        cut_slots=live.cut_slots,
    )


def _describe_leaf(variable: torch.Tensor, metas: TensorMetaCache, names: TensorNames) -> Parameter:
    return Parameter(names.of_leaf(variable), metas.describe(variable))
