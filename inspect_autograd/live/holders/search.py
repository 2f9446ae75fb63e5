"""From objects to what refers to them, level by level, until something that stays is met.

To find what refers to an object, all objects of the process must be gone through. So all searches
go up together: one pass over the snapshot per level.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from .frames import FrameScan
from .referrers import find_referrers
from .safe_access import is_kind_of
from .snapshot import Snapshot, kind_of_type

__all__ = ["MAX_LEVELS", "Search", "is_node", "search_referrers"]

MAX_LEVELS = 16
MAX_OBJECTS = 50_000
"""More objects than this are not followed upwards."""


@dataclass(slots=True)
class Search:
    """What was found.

    Attributes:
        objects: Every object met, by id.
        parents: By id of an object, the ids of those that refer to it, in the order of the
            snapshot. An object that is missing here was not followed: it is a root, or the search
            ended.
        roots: Ids of the objects that stay by themselves.
        next_up: By id of an object, the parent that leads to a root on a shortest way; None for a
            root, and for an object that nothing refers to. What leads to neither is missing.
        cut: Why the search ended early; empty if it did not.
    """

    objects: dict[int, object]
    parents: dict[int, list[int]] = field(default_factory=dict)
    roots: set[int] = field(default_factory=set)
    next_up: dict[int, int | None] = field(default_factory=dict)
    cut: str = ""


def search_referrers(
    starts: Iterable[object], snapshot: Snapshot, frames: FrameScan, deadline: float
) -> Search:
    """Search upwards from objects.

    Args:
        starts: The objects; all their referrers are found.
        snapshot: Where to look.
        frames: The variables that are roots.
        deadline: When to stop, by `time.monotonic`.
    """
    search = Search({id(value): value for value in starts})
    frontier = list(search.objects)
    for level in range(MAX_LEVELS):
        if not frontier:
            break
        if level and time.monotonic() > deadline:
            search.cut = "max_seconds was over"
            break
        found = _go_up(search, frontier, snapshot)
        frontier = [key for key in found if not _is_root(search.objects[key], frames)]
        if len(frontier) > MAX_OBJECTS:
            search.cut = f"{len(frontier)} objects refer to what was found so far"
            break
    else:
        search.cut = f"ways of more than {MAX_LEVELS} references" if frontier else ""
    search.roots = {key for key, value in search.objects.items() if _is_root(value, frames)}
    _lead_up(search, frames)
    return search


def _go_up(search: Search, frontier: list[int], snapshot: Snapshot) -> list[int]:
    for key in frontier:
        search.parents[key] = []
    targets = set(frontier)
    new: list[int] = []
    for parent in find_referrers([search.objects[key] for key in frontier], snapshot):
        key = id(parent)
        children = [
            child
            for member in gc.get_referents(parent)
            if (child := id(member)) in targets and _counts(parent, member)
        ]
        for child in dict.fromkeys(children):
            search.parents[child].append(key)
        if children and key not in search.objects:
            search.objects[key] = parent
            new.append(key)
    return new


def _counts(parent: object, member: object) -> bool:
    """Whether somebody holds something by a reference.

    A tensor also refers to its own node, and every object to its class.
    """
    return member is not type(parent) and not (is_kind_of(parent, torch.Tensor) and is_node(member))


def is_node(value: object) -> bool:
    """Whether an object is a node."""
    return kind_of_type(type(value)) in ("node", "function node")


def _is_root(value: object, frames: FrameScan) -> bool:
    key = id(value)
    return (
        key in frames.modules
        or key in frames.namespaces
        or key in frames.variables
        or is_node(value)
    )


def _lead_up(search: Search, frames: FrameScan) -> None:
    """Find `next_up`: from the roots down, then from what nothing refers to down."""
    children: dict[int, list[int]] = {}
    for child, parents in search.parents.items():
        for parent in parents:
            children.setdefault(parent, []).append(child)
    tops = [key for key, parents in search.parents.items() if not parents]
    unfollowed = [key for key in search.objects if key not in search.parents]
    roots = [key for key in search.objects if key in search.roots]  # Always in the same order.
    by_rank = sorted(roots, key=lambda key: _rank(key, frames))
    for group in (by_rank, tops, unfollowed):
        queue = deque(key for key in group if key not in search.next_up)
        search.next_up.update(dict.fromkeys(queue))
        while queue:
            parent = queue.popleft()
            for child in children.get(parent, ()):
                if child not in search.next_up:
                    search.next_up[child] = parent
                    queue.append(child)


def _rank(key: int, frames: FrameScan) -> int:
    if key in frames.modules:
        return 0
    return 1 if key in frames.variables or key in frames.namespaces else 2
