"""Which objects of a snapshot refer to some others."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

from .snapshot import Snapshot, kind_of_type

__all__ = ["find_referrers"]

FEW = 16
"""So many objects are sought in C, which compares every reference with each of them."""

_CHUNK = 256


def find_referrers(values: Sequence[object], snapshot: Snapshot) -> Iterator[object]:
    """The containers of a snapshot that refer to any of some objects, in their order.

    Nearly no object does, and a process may have millions. So both ways leave most of them to C.
    """
    if not values:
        return
    found = _referrers_of_few if len(values) <= FEW else _referrers_of_many
    for parent in found(values, snapshot):
        if id(parent) not in snapshot.ours:
            yield parent


def _referrers_of_few(values: Sequence[object], snapshot: Snapshot) -> Iterator[object]:
    index_of = snapshot.index_of
    # It finds lists of ours too, which are not in the snapshot. Its result is not kept: it may
    # hold our own frame, and would be a cycle with it.
    keys = set(map(id, gc.get_referrers(*values)))
    for index in sorted(index_of[key] for key in keys if key in index_of):
        value = snapshot.objects[index]
        if kind_of_type(type(value)) != "node":
            yield value


def _referrers_of_many(values: Sequence[object], snapshot: Snapshot) -> Iterator[object]:
    is_free_of, get_referents = set(map(id, values)).isdisjoint, gc.get_referents
    containers = snapshot.containers
    for start in range(0, len(containers), _CHUNK):
        chunk = containers[start : start + _CHUNK]
        if is_free_of(map(id, get_referents(*chunk))):
            continue
        for parent in chunk:
            if not is_free_of(map(id, get_referents(parent))):
                yield parent
