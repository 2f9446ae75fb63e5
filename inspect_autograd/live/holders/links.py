"""How one object holds another: an index, a key, an attribute, a variable of a function."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import (
    AsyncGeneratorType,
    CellType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    MethodType,
    TracebackType,
)
from typing import Any, Literal, NamedTuple

import torch

from ...graph.creation import SourceLine
from .frames import read_locals, source_of_frame
from .safe_access import (
    class_dict,
    class_name,
    find_attribute,
    instance_dict,
    is_kind_of,
    mro,
    show_key,
)

__all__ = ["Link", "Linker"]

_SUSPENDED: dict[type, str] = {
    GeneratorType: "gi_frame",
    CoroutineType: "cr_frame",
    AsyncGeneratorType: "ag_frame",
}
_WHAT_IS_SUSPENDED = {"gi_frame": "generator", "cr_frame": "coroutine", "ag_frame": "generator"}


class Link(NamedTuple):
    """How a parent holds a child.

    Attributes:
        kind: `step` goes on with an expression; `variable` begins a new one, in another function;
            `none` is a step that a reader need not see.
        text: What to append, or the name of the variable.
        of: For a variable, what it is a variable of.
        source: Where that is.
        owner: For a step to an attribute, the class of the object.
    """

    kind: Literal["step", "variable", "none"]
    text: str = ""
    of: str = ""
    source: SourceLine | None = None
    owner: str = ""


_NONE = Link("none")

_MODULE_MEMBERS = ("_modules", "_buffers", "_parameters")
"""Attributes of a module that hold what `model.name` finds."""


class Linker:
    """Names links; remembers the places of the members of long lists."""

    def __init__(self) -> None:
        self._places: dict[int, _Places] = {}
        self._module_members: dict[int, str] = {}

    def link(self, above: object, parent: object, child: object) -> Link:
        """How `parent` holds `child`.

        Args:
            above: What holds the parent: a dict may be the attributes of an object, a tuple the
                variables of a function.
            parent: Has a reference to the child.
            child: The child.
        """
        if is_kind_of(parent, dict):
            return self._member_of_dict(above, parent, child)
        if type(parent) is tuple and type(above) is FunctionType:
            return _variable_of_function(above, parent, child)
        if _placed_base(parent) is not None:
            return Link("step", self._places_in(parent).steps.get(id(child), "[…]"))
        special = _SPECIAL.get(id(type(parent)))
        if special is not None:
            return special(parent, child)
        if type(parent) is CellType or child is instance_dict(parent):
            return _NONE
        if is_kind_of(parent, type) and is_kind_of(child, dict):
            return _NONE  # The attributes of a class.
        return _attribute(parent, child)

    def _member_of_dict(self, above: object, parent: Any, child: object) -> Link:
        places = self._places_in(parent)
        name = places.names.get(id(child))
        owner = self._module_members.get(id(parent))
        if owner is not None and name is not None:
            return Link("step", f"[{name}]" if name.isdigit() else f".{name}", owner=owner)
        if name in _MODULE_MEMBERS and is_kind_of(above, torch.nn.Module):
            self._module_members[id(child)] = class_name(type(above))
            return _NONE  # `model.name` finds it, so that is how it is shown.
        if name is not None and is_kind_of(above, type):
            return Link("step", f".{name}")
        if name is not None and above is not None and parent is instance_dict(above):
            return Link("step", f".{name}", owner=class_name(type(above)))
        return Link("step", places.steps.get(id(child), "[…]"))

    def _places_in(self, parent: Any) -> _Places:
        places = self._places.get(id(parent))
        if places is None:
            places = self._places[id(parent)] = _Places({}, {})
            # It may be changed by another thread just now.
            with suppress(RuntimeError):
                _fill_places(places, parent)
        return places


class _Places(NamedTuple):
    """By the id of a member: the step that leads to it, and its name where its key is one."""

    steps: dict[int, str]
    names: dict[int, str]


def _fill_places(places: _Places, parent: Any) -> None:
    steps = places.steps
    if is_kind_of(parent, dict):
        for key, value in list(dict.items(parent)):
            steps.setdefault(id(value), f"[{show_key(key)}]")
            steps.setdefault(id(key), " (a key)")
            if type(key) is str:
                places.names.setdefault(id(value), key)
        return
    base = _placed_base(parent)
    if base is None:
        return
    fields = _field_names(type(parent)) if base is tuple else ()
    is_ordered = base in (list, tuple, deque)
    for index, value in enumerate(_ITERATE[base](parent)):
        name = f".{fields[index]}" if index < len(fields) else f"[{index}]"
        steps.setdefault(id(value), name if is_ordered else " (a member)")


_ITERATE: dict[type, Callable[[Any], Iterable[object]]] = {
    list: list.__iter__,
    tuple: tuple.__iter__,
    deque: deque.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
}


def _placed_base(value: object) -> type | None:
    """The built-in class with places for members that an object is one of."""
    # Compared one by one: looking a class up in a dict would run the hash of its metaclass.
    return next((base for base in mro(type(value)) if any(base is b for b in _ITERATE)), None)


def _field_names(cls: type) -> tuple[str, ...]:
    """The fields of a named tuple."""
    for base in mro(cls):
        fields = class_dict(base).get("_fields")
        if type(fields) is tuple and all(type(name) is str for name in fields):
            return fields
    return ()


def _variable_of_function(function: FunctionType, parent: tuple[Any, ...], child: object) -> Link:
    source = _source_of_function(function)
    of = f"function {function.__qualname__} ({source.short})"
    if parent is function.__closure__:
        names = function.__code__.co_freevars
        name = next((n for n, cell in zip(names, parent, strict=False) if cell is child), "?")
        return Link("variable", name, f"closure variable|{of}", source)
    return Link("variable", "", f"default argument|{of}", source)


def _source_of_function(function: FunctionType) -> SourceLine:
    code = function.__code__
    return SourceLine(code.co_filename, code.co_firstlineno, code.co_qualname)


def _variable_of_frame(frame: FrameType | None, child: object, what: str) -> Link:
    if frame is None or child is frame.f_back:
        return _NONE
    source = source_of_frame(frame)
    member = child
    if type(child) is CellType:
        try:
            member = child.cell_contents
        except ValueError:
            return _NONE  # The variable was deleted.
    name = next((name for name, value in read_locals(frame) if value is member), "")
    of = f"{what}{source.function} at {source.short}"
    return Link("variable", name, f"local variable|{of}" if name else f"value|{of}", source)


def _link_of_frame(parent: Any, child: object) -> Link:
    return _variable_of_frame(parent, child, "")


def _link_of_suspended(parent: Any, child: object) -> Link:
    attribute = _SUSPENDED[type(parent)]
    what = f"{_WHAT_IS_SUSPENDED[attribute]} "
    return _variable_of_frame(getattr(parent, attribute), child, what)


def _link_of_function(parent: Any, child: object) -> Link:
    if type(child) is tuple or type(child) is CellType or child is instance_dict(parent):
        return _NONE
    if child is parent.__globals__:
        source = _source_of_function(parent)
        of = f"the namespace of function {parent.__qualname__} ({source.short})"
        return Link("variable", "", f"global|{of}", source)
    return Link("variable", "", f"default argument|function {parent.__qualname__}")


def _link_of_method(parent: Any, child: object) -> Link:
    return Link("step", ".__self__" if child is parent.__self__ else ".__func__")


def _no_link(parent: Any, child: object) -> Link:
    del parent, child
    return _NONE


def _attribute(parent: object, child: object) -> Link:
    name = find_attribute(parent, child)
    owner = class_name(type(parent))
    if name is not None:
        return Link("step", f".{name}", owner=owner)
    if is_kind_of(parent, torch.Tensor) and type(child) is OrderedDict:
        return Link("step", "._backward_hooks")
    if is_kind_of(parent, BaseException):
        name = "__traceback__" if type(child) is TracebackType else "args"
        return Link("step", f".{'__context__' if is_kind_of(child, BaseException) else name}")
    return Link("step", f" (inside of {owner})")


# By the id of the type, since a metaclass may have a hash of its own.
_SPECIAL: dict[int, Callable[[Any, object], Link]] = {
    id(FrameType): _link_of_frame,
    id(FunctionType): _link_of_function,
    id(MethodType): _link_of_method,
    id(TracebackType): _no_link,
    **dict.fromkeys(map(id, _SUSPENDED), _link_of_suspended),
}
