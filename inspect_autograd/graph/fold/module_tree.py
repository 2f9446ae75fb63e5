"""The tree of modules, as far as parameter names tell it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

__all__ = ["ModuleTree", "common_prefix", "is_within", "parent_of"]

PARAMETRIZATIONS = "parametrizations"
"""`torch.nn.utils.parametrize` keeps `lin.weight` as `lin.parametrizations.weight.original`."""


class ModuleTree:
    """Which modules there are, which own parameters, and which only hold others.

    Args:
        names: Of parameters and buffers, such as `layers.0.linear1.weight`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._owners = {scope_of_parameter(name) for name in names}
        self._children: dict[str, set[str]] = {}
        for owner in self._owners:
            scope = owner
            while scope:
                parent, _, child = scope.rpartition(".")
                siblings = self._children.setdefault(parent, set())
                if child in siblings:
                    break
                siblings.add(child)
                scope = parent

    def is_leaf(self, scope: str) -> bool:
        """Whether the module has no submodule with parameters, like Linear."""
        return scope not in self._children

    def is_container(self, scope: str) -> bool:
        """Whether it looks like a Sequential or ModuleList, which compute nothing themselves."""
        children = self._children.get(scope)
        return (
            scope != ""
            and scope not in self._owners
            and children is not None
            and all(child.isdecimal() for child in children)
        )

    def skip_containers(self, scope: str) -> str:
        """The innermost module from `scope` outwards that can have operations of its own."""
        while self.is_container(scope):
            scope = parent_of(scope)
        return scope

    def block_of(self, scope: str) -> str:
        """The innermost numbered block that `scope` is or lies in; empty if there is none.

        In `layers.3.mlp` that is `layers.3`; only blocks that have submodules count, since
        a Linear in a Sequential is numbered too.
        """
        while scope and not (scope.rpartition(".")[2].isdecimal() and not self.is_leaf(scope)):
            scope = parent_of(scope)
        return scope

    def has_siblings(self, scope: str) -> bool:
        """Whether the module around `scope` holds others beside it."""
        return len(self._children.get(parent_of(scope), ())) > 1


def scope_of_parameter(name: str) -> str:
    """Path of the module that owns a parameter: the text before the last dot.

    A parametrized tensor counts for the module that it was registered on.
    """
    scope = parent_of(name)
    parts = scope.split(".")
    if PARAMETRIZATIONS in parts:
        return ".".join(parts[: parts.index(PARAMETRIZATIONS)])
    return scope


def parent_of(scope: str) -> str:
    """`a.b` for `a.b.c`; empty for `a`, since `""` is the outermost module."""
    return scope.rpartition(".")[0]


def is_within(scope: str, outer: str) -> bool:
    """Whether `scope` is `outer` or inside it."""
    return outer in {"", scope} or scope.startswith(outer + ".")


@lru_cache(maxsize=4096)
def common_prefix(a: str, b: str) -> str:
    """The innermost module that holds both."""
    common = []
    for mine, other in zip(a.split("."), b.split("."), strict=False):
        if mine != other:
            break
        common.append(mine)
    return ".".join(common)
