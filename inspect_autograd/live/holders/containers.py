"""Lists, dicts and the like that hold several tensors with graphs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...graph.holders import Holder, HoldingContainer
from .describe_graphs import Held
from .describe_holders import HolderNames
from .frames import FrameScan
from .safe_access import class_name, instance_dict, is_kind_of
from .search import Search

__all__ = ["FoundContainer", "find_containers"]

_CONTAINERS = (list, tuple, dict, set, deque)


@dataclass(slots=True)
class FoundContainer:
    """A container, and the graph of each of its members."""

    type_name: str
    groups: list[int]
    holder: Holder

    def to_record(self, ids: Mapping[int, int]) -> HoldingContainer:
        """With the ids that the graphs have in the result; graphs that were left out have none."""
        graphs = [ids[group] for group in self.groups if group in ids]
        return HoldingContainer(
            self.type_name, len(graphs), tuple(dict.fromkeys(graphs)), self.holder
        )


def find_containers(
    held: Sequence[Held], search: Search, frames: FrameScan, names: HolderNames
) -> list[FoundContainer]:
    """The containers of at least two of the tensors, most members first."""
    groups: dict[int, list[int]] = {}
    for one in held:
        for parent in search.parents.get(id(one.entrance.value), ()):
            groups.setdefault(parent, []).append(one.group)
    found = [
        FoundContainer(
            class_name(type(search.objects[key])), members, names.holder_of_container(key)
        )
        for key, members in groups.items()
        if len(members) > 1 and _is_container(key, search, frames)
    ]
    return sorted(found, key=lambda container: -len(container.groups))


def _is_container(key: int, search: Search, frames: FrameScan) -> bool:
    """Whether it was made to hold values: the variables of a module or an object are not that."""
    value = search.objects[key]
    if key in frames.modules or key in frames.namespaces:
        return False
    if not any(is_kind_of(value, kind) for kind in _CONTAINERS):
        return False
    return not any(
        instance_dict(search.objects[parent]) is value for parent in search.parents.get(key, ())
    )
