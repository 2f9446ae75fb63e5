"""Which boxes stand together: modules inside modules, and blocks that are shown once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..graph.graph import Graph
from ..graph.module_calls import ModuleCalls, find_calls
from ..graph.records import Repeat

__all__ = ["Cluster", "build_clusters", "find_places"]


@dataclass(slots=True)
class Cluster:
    """A frame around boxes.

    Attributes:
        name: What its frame says: the part of the module path that its own frame adds.
        path: The whole module path, or the whole label of a repeat.
        repeat: Index in `Graph.repeats` if it is the block of a repeat.
        nodes: Ids of the nodes that stand in it, but not in a cluster inside it.
        children: The clusters inside it, by key.
    """

    name: str = ""
    path: str = ""
    repeat: int | None = None
    nodes: list[int] = field(default_factory=list)
    children: dict[str | int, Cluster] = field(default_factory=dict)


def build_clusters(
    graph: Graph, places: Sequence[Sequence[str | int]], nodes: Iterable[int]
) -> Cluster:
    """Some nodes of a graph in a tree of clusters; the outermost one has no frame.

    A cluster that would hold nothing but one other cluster is merged with it.

    Args:
        graph: The graph.
        places: What `find_places` says of it.
        nodes: Ids of the nodes to place.
    """
    root = Cluster()
    for id in nodes:
        _place(root, places[id], id, graph)
    _merge_lone_children(root)
    return root


def find_places(graph: Graph) -> list[tuple[str | int, ...]]:
    """The frames around each node, from the outside in.

    A frame is a component of the module path, or an index in `Graph.repeats`. A module that was
    called several times has a frame for each call, where calls were recorded.
    """
    scopes = graph.node_table.scopes
    calls = find_calls(graph)
    repeats = _repeats_of_nodes(graph, scopes)
    places: list[tuple[str | int, ...]] = []
    for id in range(len(graph)):
        scope = scopes.get(id, "")
        keys: list[str | int] = [*_components(scope, id, calls)] if scope else []
        fold = graph.node_table.folds.get(id)
        is_module = fold is not None and (fold.by == "scope" or fold.label == scope)
        if is_module and graph.node_table.kinds[id] == "fold" and keys:
            keys.pop()  # The box is the module, and needs no frame that says so again.
        for depth, index in repeats.get(id, ()):
            keys.insert(min(depth, len(keys)), index)
        places.append(tuple(keys))
    return places


def _components(scope: str, id: int, calls: Mapping[str, ModuleCalls]) -> list[str]:
    """The components of the path, each with the call that the node belongs to."""
    parts = scope.split(".")
    if not calls:
        return parts
    around = 1
    for depth in range(len(parts)):
        found = calls.get(".".join(scope.split(".")[: depth + 1]))
        if found is None or id not in found.call_of:
            continue
        # In two calls of what is around it, it was called twice too; that is said once.
        if found.count > around:
            parts[depth] += f" ({found.label(found.call_of[id])})"
        around = found.count
    return parts


def _repeats_of_nodes(graph: Graph, scopes: Mapping[int, str]) -> dict[int, list[tuple[int, int]]]:
    """The repeats that each node is in, and how deep among the modules each of them stands.

    The innermost comes first: inserting it does not move the places of the outer ones.
    """
    found = []
    for index, repeat in enumerate(graph.repeats):
        depth = _common_depth([scopes.get(id, "") for id in repeat.nodes])
        found.append((depth, -len(repeat.nodes), index))
    result: dict[int, list[tuple[int, int]]] = {}
    for depth, _, index in sorted(found, reverse=True):
        nodes = graph.repeats[index].nodes
        for id in (*nodes, *_leaves_of_calls(graph, graph.repeats[index], depth)):
            result.setdefault(id, []).append((depth, index))
    return result


def _leaves_of_calls(graph: Graph, repeat: Repeat, depth: int) -> list[int]:
    """The parameters that all calls of a repeated module share, and nothing else uses.

    They are not repeated, but stand in its frame, as they are part of the module.
    """
    if repeat.scope is None:
        return []
    edges, scopes = graph.edge_table, graph.node_table.scopes
    around = scopes.get(repeat.nodes[0], "").split(".")[:depth]
    inside = {*repeat.nodes}
    uses = Counter(
        target
        for node in repeat.nodes
        for target in edges.targets[edges.starts[node] : edges.starts[node + 1]]
        if graph.node_table.kinds[target] == "leaf" and target not in inside
    )
    all_uses = Counter(target for target in edges.targets if target in uses)
    return [
        leaf
        for leaf, count in uses.items()
        if count == all_uses[leaf] and scopes.get(leaf, "").split(".")[:depth] == around
    ]


def _common_depth(scopes: list[str]) -> int:
    paths = [scope.split(".") if scope else [] for scope in scopes]
    depth = 0
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        depth += 1
    return depth


def _place(root: Cluster, keys: Sequence[str | int], id: int, graph: Graph) -> None:
    cluster = root
    path: list[str] = []
    for key in keys:
        if isinstance(key, str):
            path.append(key)
        child = cluster.children.get(key)
        if child is None:
            if isinstance(key, int):
                label = graph.repeats[key].label
                child = Cluster(label, label, key)
            else:
                child = Cluster(key, ".".join(path))
            cluster.children[key] = child
        cluster = child
    cluster.nodes.append(id)


def _merge_lone_children(root: Cluster) -> None:
    pending = [root]
    while pending:
        cluster = pending.pop()
        cluster.children = {key: _without_shell(c) for key, c in cluster.children.items()}
        pending += cluster.children.values()


def _without_shell(cluster: Cluster) -> Cluster:
    while not cluster.nodes and len(cluster.children) == 1:
        (child,) = cluster.children.values()
        if cluster.repeat is not None and child.repeat is not None:
            break  # A repeat inside a repeat: both counts have to be seen.
        cluster = _merged(cluster, child)
    return cluster


def _merged(outer: Cluster, inner: Cluster) -> Cluster:
    if outer.repeat is not None or inner.repeat is not None:
        kept = outer if outer.repeat is not None else inner
        return Cluster(kept.name, kept.path, kept.repeat, inner.nodes, inner.children)
    return Cluster(f"{outer.name}.{inner.name}", inner.path, None, inner.nodes, inner.children)
