"""What a SavedMemory does not count or does not know, in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .fold.labels import plural
from .tensor_meta import format_bytes

if TYPE_CHECKING:
    from .graph import Graph

__all__ = ["describe_gaps"]


def describe_gaps(graph: Graph, by: str) -> tuple[str, ...]:
    """Notes about the saved tensors of a graph, whose rows are `by` this."""
    tensors = [tensor for saved in graph.node_table.saved.values() for tensor in saved]
    if not tensors:
        nothing = (
            "no node saves a tensor, or the graph does not tell: one captured with saved=False, "
            "or of inspect_autograd.trace"
        )
        return (nothing, *_cut(graph))
    states = Counter(tensor.state for tensor in tensors)
    without = [t for t in tensors if t.storage is None and t.state in ("available", "modified")]
    notes = []
    if states["packed"]:
        notes.append(
            f"{plural(states['packed'], 'tensor')} packed by a hook (a checkpoint, save_on_cpu, "
            "saved_tensors_hooks): not counted, as only running its unpack hook would tell what "
            "it keeps"
        )
    if states["freed"]:
        notes.append(
            f"{plural(states['freed'], 'tensor')} freed by a backward pass: they keep nothing "
            "any more (a custom Function counts as one, whatever it had saved)"
        )
    if states["modified"]:
        notes.append(
            f"{plural(states['modified'], 'tensor')} modified in place after being saved: "
            "counted, but backward will refuse to use them"
        )
    if without:
        size = sum(tensor.bytes or 0 for tensor in without)
        known = f", of {format_bytes(size)}," if size else ""
        notes.append(f"{plural(len(without), 'tensor')} without a storage{known} not counted")
    return (*notes, *_meta_device(graph), *_names(graph, by), *_cut(graph), *_folded(graph))


def _meta_device(graph: Graph) -> list[str]:
    on_meta = any(
        tensor.meta is not None and tensor.meta.device == "meta"
        for saved in graph.node_table.saved.values()
        for tensor in saved
    )
    if not on_meta:
        return []
    return ["tensors on the meta device: counted with the memory that they would take elsewhere"]


def _names(graph: Graph, by: str) -> list[str]:
    leaves = graph.node_table.parameters.values()
    is_named = any(leaf.names for leaf in leaves) or any(s.names for s in graph.storages)
    if is_named or not leaves:
        return []
    notes = ["no tensor has a name, so parameters count as activations: give params=model"]
    if by == "scope" and graph.scopes is None:
        notes.append("modules are inferred from the names of parameters, and there are none")
    return notes


def _cut(graph: Graph) -> list[str]:
    return [] if graph.truncation is None else [f"the graph was {graph.truncation}"]


def _folded(graph: Graph) -> list[str]:
    if not graph.fold_notes:
        return []
    return ["the graph is folded, and a fold counts as one node: ask the captured graph for all"]
