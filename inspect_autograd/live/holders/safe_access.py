"""Look into unknown objects without running their code.

`getattr`, `isinstance`, `repr` and `hash` can all run code of the user: properties, `__getattr__`,
`__class__`, metaclasses. What is here reads through the descriptors of the built-in types only.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

__all__ = [
    "attribute_names",
    "class_dict",
    "class_name",
    "find_attribute",
    "instance_dict",
    "is_kind_of",
    "mro",
    "show_key",
]

_MRO: Any = type.__dict__["__mro__"]
_NAME: Any = type.__dict__["__name__"]
_CLASS_DICT: Any = type.__dict__["__dict__"]
_MODULE_DICT: Any = _CLASS_DICT.__get__(ModuleType)["__dict__"]
MAX_KEY_CHARS = 40


def mro(cls: type) -> tuple[type, ...]:
    """`cls.__mro__`, whatever its metaclass does."""
    result: tuple[type, ...] = _MRO.__get__(cls)
    return result


def class_name(cls: type) -> str:
    """`cls.__name__`."""
    name: str = _NAME.__get__(cls)
    return name


def class_dict(cls: type) -> Any:
    """A view of the attributes that a class itself has."""
    return _CLASS_DICT.__get__(cls)


def is_kind_of(value: object, kind: type) -> bool:
    """`isinstance` by the type alone: a `__class__` that lies is not asked."""
    return any(base is kind for base in mro(type(value)))


def instance_dict(value: object) -> dict[str, object] | None:
    """The `__dict__` of an object, None if it has none of the usual kind."""
    for cls in mro(type(value)):
        descriptor = class_dict(cls).get("__dict__")
        if type(descriptor) is GetSetDescriptorType or descriptor is _MODULE_DICT:
            try:
                found = descriptor.__get__(value)
            except (AttributeError, TypeError):
                return None
            return found if is_kind_of(found, dict) else None
        if descriptor is not None:
            return None  # A property of the user.
    return None


def attribute_names(value: object) -> Iterator[tuple[str, object]]:
    """Name and value of every attribute that an object itself holds, slots first."""
    for cls in mro(type(value)):
        for name, descriptor in list(class_dict(cls).items()):
            if type(descriptor) is MemberDescriptorType:
                try:
                    yield name, descriptor.__get__(value)
                except AttributeError:
                    continue  # A slot that is not filled.
    yield from list(dict.items(instance_dict(value) or {}))


def find_attribute(value: object, member: object) -> str | None:
    """The name under which an object itself holds a member."""
    for name, found in attribute_names(value):
        if found is member and type(name) is str:
            return name
    return None


def show_key(key: object) -> str:
    """A key of a dict as it is written in Python; what is not a plain value by its class."""
    if type(key) in (str, int, float, bool, bytes, type(None)):
        text = repr(key)
    elif type(key) is tuple:
        text = f"({', '.join('…' if type(k) is tuple else show_key(k) for k in key[:4])})"
    else:
        text = f"<{class_name(type(key))}>"
    return text if len(text) <= MAX_KEY_CHARS else f"{text[: MAX_KEY_CHARS - 2]}…{text[-1]}"
