"""Choose nodes of a walked graph: by id, record, glob, or the live node itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError
from ..graph.records import Node
from .node_types import is_node, short_name
from .parameters import TensorNames
from .private_torch import LiveNode
from .walk import LiveGraph

__all__ = [
    "find_by_glob",
    "find_closest",
    "name_nodes",
    "select_by_glob",
    "select_nodes",
]

_EXPECTED = "a node's id, a Node of the captured graph, a glob such as 'Mul*', or a live node"


def name_nodes(nodes: Iterable[LiveNode], names: TensorNames) -> list[tuple[str, ...]]:
    """The names that a glob is compared with: the node's own, then those of its parameter."""
    result = []
    for node in nodes:
        name = short_name(node)
        leaf = getattr(node, "variable", None) if name == "AccumulateGrad" else None
        result.append((name, *(names.of_leaf(leaf) if leaf is not None else ())))
    return result


def select_by_glob(pattern: str, node_names: Sequence[tuple[str, ...]], argument: str) -> list[int]:
    """Ids of the nodes that a glob matches.

    Raises:
        ArgumentError: It matches none; the message names those that come closest.
    """
    ids = find_by_glob(pattern, node_names)
    if ids:
        return ids
    counts = Counter(name for names in node_names for name in names)
    close = find_closest(pattern, counts)
    raise ArgumentError(
        f"{argument} {pattern!r} matches none of the {len(node_names)} nodes; expected a glob "
        "that matches the name of a node or of a parameter in params",
        remedy=f"The closest names are {', '.join(close)}.",
    )


def find_by_glob(pattern: str, node_names: Sequence[tuple[str, ...]]) -> list[int]:
    """The same, but matching nothing is no error."""
    matches = {name: fnmatchcase(name, pattern) for names in node_names for name in names}
    return [id for id, names in enumerate(node_names) if any(matches[name] for name in names)]


def find_closest(pattern: str, counts: Counter[str]) -> list[str]:
    """Names that come closest to a glob, or else the most frequent ones.

    Args:
        pattern: The glob.
        counts: How often each name occurs.
    """
    return _closest(pattern, list(counts)) or [name for name, _ in counts.most_common(4)]


def _closest(pattern: str, names: list[str]) -> list[str]:
    # Most names end in Backward0, which would make them all look alike.
    by_core: dict[str, list[str]] = {}
    for name in names:
        by_core.setdefault(_core(name), []).append(name)
    close = get_close_matches(_core(pattern), by_core, n=3, cutoff=0.5)
    return [name for core in close for name in by_core[core]][:4]


def _core(name: str) -> str:
    return re.sub(r"(backward)?[\d*?]*$", "", name.lower()).strip("*?")


def select_nodes(
    wanted: Any, live: LiveGraph, node_names: Sequence[tuple[str, ...]], argument: str = "node"
) -> list[int]:
    """Ids of the nodes that an argument asks for; all of them for None.

    Ids are those that `capture` gives to the same outputs.

    Raises:
        ArgumentError: It asks for a node that is not there.
        ArgumentTypeError: It is of another kind.
    """
    count = len(live.nodes)
    if wanted is None:
        return list(range(count))
    if isinstance(wanted, str):
        return select_by_glob(wanted, node_names, argument)
    if isinstance(wanted, Node):
        for id in wanted.members:
            if id >= count or (wanted.kind != "fold" and node_names[id][0] != wanted.name):
                raise ArgumentError(
                    f"{argument} is the record {wanted}, which is not in the graph of these "
                    "outputs",
                    remedy="Take it from a graph captured from the same outputs.",
                )
        return list(wanted.members)
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if not 0 <= wanted < count:
            raise ArgumentError(
                f"{argument} is {wanted}; expected an id from 0 to {count - 1}",
                remedy="Ids are those of capture(outputs); print(capture(outputs)) shows them.",
            )
        return [wanted]
    if is_node(wanted):
        if wanted not in live.ids:
            raise ArgumentError(
                f"{argument} is the live node {short_name(wanted)}, which is not in the graph of "
                "these outputs",
                remedy="Give the outputs that were computed from it.",
            )
        return [live.ids[wanted]]
    raise ArgumentTypeError(
        f"{argument} is of type {type(wanted).__name__}; expected {_EXPECTED}",
        remedy='Write node="Softmax*", or leave it out for all nodes.',
    )
