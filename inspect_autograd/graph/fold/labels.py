"""The words on a folded node, bounded in length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..tables import NodeTable

__all__ = ["common_scope", "count_names", "current_label", "format_names", "plural"]

MAX_LABEL = 72
"""Characters of a list of names; a box in a picture should not be wider."""


def count_names(table: NodeTable, nodes: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Names of the captured nodes behind `nodes`, most frequent first, then by name.

    Args:
        table: Of a graph that may be folded already.
        nodes: Ids in that table.
    """
    if not table.folds:
        counts = Counter(map(table.names.__getitem__, nodes))
    else:
        counts = Counter()
        for node in nodes:
            fold = table.folds.get(node)
            counts.update({table.names[node]: 1} if fold is None else dict(fold.names))
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def current_label(table: NodeTable, node: int) -> str:
    """What `Node.label` says, without making the Node."""
    if table.kinds[node] == "fold":
        return table.folds[node].label
    parameter = table.parameters.get(node)
    return parameter.name if parameter and parameter.name else table.names[node]


def format_names(names: Iterable[tuple[str, int]], limit: int = MAX_LABEL) -> str:
    """`MulBackward0 ×300, AddBackward0 ×200, …`, at most about `limit` characters long."""
    text = ""
    for name, count in names:
        item = _shorten(name, limit // 2) + (f" ×{count}" if count > 1 else "")
        if text and len(text) + len(item) + 2 > limit:
            return f"{text}, …"
        text = f"{text}, {item}" if text else item
    return text


def _shorten(name: str, limit: int) -> str:
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def common_scope(table: NodeTable, nodes: Iterable[int]) -> str | None:
    """The innermost module that holds all of `nodes`; None if the scope of one is unknown."""
    scopes = set(map(table.scopes.get, nodes))
    common: list[str] | None = None
    for scope in scopes:
        if scope is None:
            return None
        parts = scope.split(".") if scope else []
        if common is None:
            common = parts
            continue
        length = 0
        for mine, other in zip(common, parts, strict=False):
            if mine != other:
                break
            length += 1
        common = common[:length]
    return None if common is None else ".".join(common)


def plural(count: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
