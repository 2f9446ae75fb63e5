"""Say in words who holds a tensor."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import PurePath

from ...graph.creation import SourceLine
from ...graph.holders import Holder, HolderKind
from .frames import FrameScan, Variable
from .garbage import is_garbage
from .links import Link, Linker
from .safe_access import class_dict, class_name, instance_dict, is_kind_of
from .search import Search, is_node
from .snapshot import Snapshot

__all__ = ["HolderNames"]

MAX_LINKS = 60
"""More links than this are not told: a linked list may be of any length."""


@dataclass(slots=True)
class _Part:
    """One variable and what is reached from it: `closure variable`, `h[0]`, `of function f`."""

    kind: str
    expression: str
    of: str
    source: SourceLine | None = None
    owner: str = ""

    def __str__(self) -> str:
        words = [self.kind, self.expression, self.of]
        owner = f" (attribute of {self.owner})" if self.owner else ""
        return " ".join(word for word in words if word) + owner


class HolderNames:
    """Turns ways that a search found into Holder records."""

    def __init__(self, search: Search, snapshot: Snapshot, frames: FrameScan) -> None:
        self._search = search
        self._snapshot = snapshot
        self._frames = frames
        self._linker = Linker()
        self._containers: dict[int, Holder] = {}
        self._kinds: dict[int, HolderKind] = {}

    def holders_of(self, value: object, limit: int) -> tuple[tuple[Holder, ...], int]:
        """Who holds an object: variables first, then shortest ways; and how many more there are."""
        key = id(value)
        parents = self._search.parents.get(key, [])
        variables = self._frames.variables.get(key, [])
        found = [_holder_of_variable(variable) for variable in variables]
        ways = [self._way(parent, key) for parent in parents[: 8 * limit]]
        ranked = sorted(ways, key=lambda way: (_RANKS[self._kind(way[0])], len(way)))
        # Where somebody is known to hold it, the dead ends of the search are of no interest.
        if found or (ranked and _RANKS[self._kind(ranked[0][0])] == 0):
            ranked = [way for way in ranked if _RANKS[self._kind(way[0])] == 0]
        for way in ranked[:limit]:
            holder = self._describe(way)
            if holder not in found:
                found.append(holder)
        more = max(len(found) - limit, 0) + max(len(ranked) - limit, 0)
        return tuple(found[:limit]), more

    def holder_of_container(self, key: int) -> Holder:
        """Who holds an object that was met on the way up; found once."""
        holder = self._containers.get(key)
        if holder is None:
            variables = self._frames.variables.get(key)
            holder = self._containers[key] = (
                _holder_of_variable(variables[0])
                if variables
                else self._describe(self._way(key, None))
            )
        return holder

    def holder_of_gradient(self, leaf: object) -> Holder:
        """That a tensor is the `.grad` of a leaf, and who holds the leaf."""
        holders, _ = self.holders_of(leaf, 1)
        of = holders[0].text if holders else "a leaf that nothing else is known of"
        expression = holders[0].expression if holders else ""
        return Holder(
            "gradient",
            f"gradient, made with create_graph=True, of {of}",
            f"{expression}.grad" if expression else "",
        )

    def _way(self, key: int, end: int | None) -> list[int]:
        """The ids from the outermost object down to `key`, and `end` behind it."""
        way = [] if end is None else [end]
        at: int | None = key
        while at is not None and len(way) < MAX_LINKS:
            way.append(at)
            at = self._search.next_up.get(at)
        if way[-1] not in self._search.next_up:
            way += self._object_of_dict(way[-1])  # Nothing leads further: say at least of what.
        way.reverse()
        return way

    def _object_of_dict(self, key: int) -> list[int]:
        value = self._search.objects[key]
        if not is_kind_of(value, dict):
            return []
        for parent in self._search.parents.get(key, ()):
            if instance_dict(self._search.objects[parent]) is value:
                return [parent]
        return []

    def _kind(self, top: int) -> HolderKind:
        kind = self._kinds.get(top)
        if kind is None:
            kind = self._kinds[top] = self._find_kind(top)
        return kind

    def _find_kind(self, top: int) -> HolderKind:
        value = self._search.objects[top]
        if top in self._frames.modules:
            return "global"
        if top in self._frames.variables or top in self._frames.namespaces:
            return "local"
        if is_node(value):
            return "node"
        if top not in self._search.parents:
            return "unfinished"
        if top not in self._search.next_up:
            closed = is_garbage(top, self._search, self._snapshot)
            return "cycle" if closed else "unseen" if closed is False else "unfinished"
        return "unseen"

    def _describe(self, way: list[int]) -> Holder:
        objects = [self._search.objects[key] for key in way]
        kind = self._kind(way[0])
        classes = [index for index, value in enumerate(objects) if is_kind_of(value, type)]
        if classes and kind in ("global", "local"):
            kind, objects = "class", objects[classes[-1] :]
        part, rest = self._first_part(kind, objects)
        parts = [part]
        above: object = objects[rest - 1] if rest else None
        for parent, child in zip(objects[rest:], objects[rest + 1 :], strict=False):
            _append(parts, self._linker.link(above, parent, child))
            above = parent
        if kind == "node":
            part.owner = ""  # The part says it already.
        if kind == "unseen" and _is_hooks(objects[0]):
            part.expression = ""  # The number that torch gave the hook.
        parts = [part for part in parts if str(part)]
        inner = parts[-1]
        text = ", held by ".join(map(str, reversed(parts)))
        return Holder(kind, text, inner.expression, inner.owner, inner.source)

    def _first_part(self, kind: HolderKind, objects: list[object]) -> tuple[_Part, int]:
        """The part for the outermost object, and which object the next link starts from."""
        top = objects[0]
        child = objects[1] if len(objects) > 1 else None
        if kind == "global":
            name, file = self._frames.modules[id(top)]
            link = self._linker.link(None, top, child)
            where = f" ({PurePath(file).name})" if file else ""
            return _Part("global", _bare(link.text), f"of module {name}{where}"), 1
        if id(top) in self._frames.namespaces:
            variable = self._frames.namespaces[id(top)]
            link = self._linker.link(None, top, child)
            return _part_of_variable(variable, _bare(link.text)), 1
        if kind == "local":
            return _part_of_variable(self._frames.variables[id(top)][0]), 0
        if kind == "class":
            return _Part("class attribute", class_name(top), _module_of(top)), 0  # type: ignore[arg-type]
        if kind == "node":
            return _Part("", "ctx", f"of a node {class_name(type(top))}"), 0
        return _Part(*_describe_end(kind, top)), 0


_RANKS: dict[HolderKind, int] = {
    "global": 0,
    "local": 0,
    "class": 0,
    "node": 1,
    "cycle": 2,
    "unseen": 2,
    "unfinished": 3,
}


def _append(parts: list[_Part], link: Link) -> None:
    if link.kind == "none":
        return
    last = parts[-1]
    if link.kind == "variable":
        kind, _, of = link.of.partition("|")
        parts.append(_Part(kind, link.text, f"of {of}", link.source))
    else:
        # What begins with a member of a namespace is a variable.
        last.expression += link.text if last.expression else _bare(link.text)
        last.owner = link.owner


def _holder_of_variable(variable: Variable) -> Holder:
    part = _part_of_variable(variable)
    return Holder("local", str(part), variable.name, "", variable.source)


def _part_of_variable(variable: Variable, name: str | None = None) -> _Part:
    source = variable.source
    thread = f" in thread {variable.thread}" if variable.thread else ""
    kind = "closure variable" if variable.is_free else "local variable"
    expression = variable.name if name is None else name
    return _Part(kind, expression, f"of {source.function} at {source.short}{thread}", source)


def _bare(text: str) -> str:
    """`['total']` of the dict of a module is its variable `total`."""
    if text.startswith("['") and text.endswith("']"):
        return text[2:-2]
    return text


def _module_of(cls: type) -> str:
    name = class_dict(cls).get("__module__")
    return f"of module {name}" if type(name) is str else ""


def _describe_end(kind: HolderKind, top: object) -> tuple[str, str, str]:
    name = class_name(type(top))
    if kind == "cycle":
        return "a reference cycle that gc has not collected yet, through", f"<{name}>", ""
    if kind == "unfinished":
        return "an object, held by what was not found in time,", f"<{name}>", ""
    if _is_hooks(top):
        return "a hook of a tensor or node", "", ""
    return "an object whose holder gc does not see,", f"<{name}>", ""


def _is_hooks(value: object) -> bool:
    """Whether it is where torch keeps the hooks of a tensor or node, by number."""
    return type(value) is OrderedDict and all(type(key) is int for key in list(value))
