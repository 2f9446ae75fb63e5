"""Tell garbage that was not collected yet from what is held where the collector does not look."""

from __future__ import annotations

import gc

from .search import Search
from .snapshot import Snapshot

__all__ = ["is_garbage"]

MAX_OBJECTS = 10_000


def is_garbage(key: int, search: Search, snapshot: Snapshot) -> bool | None:
    """Whether only objects that refer to each other hold an object.

    This is what the garbage collector itself does: it takes all objects from which this one is
    reached, and counts the references among them. If there are no others, it is garbage.

    Returns:
        None if not all of them are known.
    """
    members = {key}
    queue = [key]
    for member in queue:
        if member not in search.parents or len(members) > MAX_OBJECTS:
            return None
        for parent in search.parents[member]:
            if parent not in members:
                members.add(parent)
                queue.append(parent)
    index_of = snapshot.index_of
    inside = dict.fromkeys(members, 0)
    for member in members:
        referents = gc.get_referents(search.objects[member])
        for referent in referents:
            if id(referent) in inside:
                inside[id(referent)] += 1
            elif type(referent) is dict and id(referent) not in index_of:
                # The `__dict__` of an object, which was made only when we looked for it.
                referents += gc.get_referents(referent)
    return all(snapshot.references(index_of[member]) == inside[member] for member in members)
