"""The variables of frames, read without running a line of the user's code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from itertools import islice
from types import FrameType
from typing import Any

import torch

from ..holders.frames import read_locals
from ..holders.safe_access import class_name, instance_dict, is_kind_of, show_key

__all__ = ["describe_value", "module_tensors", "named_tensors", "read_variables", "resolve"]

MAX_ELEMENTS = 100
"""Elements of one container that are looked at."""
MAX_MODULES = 20_000
"""Modules of one model that are looked at."""
_PLAIN = (bool, int, float, complex)


def read_variables(frame: FrameType) -> dict[str, Any]:
    """The variables of a frame by name.

    To those of a function come the global ones that its code names.
    """
    variables = dict(read_locals(frame))
    if frame.f_code.co_flags & CO_OPTIMIZED:
        for name in frame.f_code.co_names:
            if name in frame.f_globals:
                variables.setdefault(name, frame.f_globals[name])
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def named_tensors(variables: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors that variables hold: directly, as an element, as an attribute of `self`."""
    owned = _attributes_of_self(variables)
    for name, value in [*variables.items(), *owned]:
        if is_kind_of(value, torch.Tensor):
            yield name, value
    for name, value in [*variables.items(), *owned]:
        for step, element in _elements(value):
            if is_kind_of(element, torch.Tensor):
                yield name + step, element


def module_tensors(variables: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters and buffers of the modules that variables hold: `model.fc.weight`."""
    for name, value in [*variables.items(), *_attributes_of_self(variables)]:
        if is_kind_of(value, torch.nn.Module):
            yield from _walk_module(name, value)


def _walk_module(name: str, module: Any) -> Iterator[tuple[str, torch.Tensor]]:
    pending, seen = [(name, module)], {id(module)}
    while pending and len(seen) < MAX_MODULES:
        path, current = pending.pop()
        attributes = instance_dict(current) or {}
        for kind in ("_parameters", "_buffers"):
            for key, tensor in _items(attributes.get(kind)):
                if is_kind_of(tensor, torch.Tensor):
                    yield f"{path}.{key}", tensor
        for key, child in reversed(list(_items(attributes.get("_modules")))):
            if id(child) not in seen and is_kind_of(child, torch.nn.Module):
                seen.add(id(child))
                pending.append((_join(path, key), child))


def _join(path: str, key: object) -> str:
    # The children of a Sequential are called by their number: model[0].weight.
    return f"{path}[{key}]" if type(key) is str and key.isdigit() else f"{path}.{key}"


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if is_kind_of(value, dict):
        yield from list(dict.items(value))


def _attributes_of_self(variables: dict[str, Any]) -> list[tuple[str, Any]]:
    attributes = instance_dict(variables.get("self")) or {}
    found = [(f"self.{name}", value) for name, value in dict.items(attributes)]
    for kind in ("_parameters", "_buffers", "_modules"):
        found += [(f"self.{name}", value) for name, value in _items(attributes.get(kind))]
    return found


def _elements(value: Any) -> Iterator[tuple[str, Any]]:
    """How Python reaches the elements of a container, and these."""
    if is_kind_of(value, dict):
        for key, element in islice(list(dict.items(value)), MAX_ELEMENTS):
            yield f"[{json.dumps(key) if type(key) is str else show_key(key)}]", element
    elif is_kind_of(value, list) or is_kind_of(value, tuple):
        base: Any = list if is_kind_of(value, list) else tuple
        for index, element in enumerate(islice(base.__iter__(value), MAX_ELEMENTS)):
            yield f"[{index}]", element


def resolve(variables: dict[str, Any], path: str) -> Any:
    """What `name`, `name.attribute` or `name[0]` is; None if it cannot be told without code."""
    name, *steps = path.replace("[", ".[").split(".")
    value = variables.get(name)
    for step in steps:
        if step.startswith("["):
            value = next((e for place, e in _elements(value) if place == _normal(step)), None)
        else:
            value = _attribute(value, step)
    return value


def _normal(step: str) -> str:
    return step.replace("'", '"')


def _attribute(value: Any, name: str) -> Any:
    attributes = instance_dict(value) or {}
    if name in attributes:
        return attributes[name]
    for kind in ("_parameters", "_buffers", "_modules"):
        members: Any = attributes.get(kind)
        if is_kind_of(members, dict) and name in members:
            return members[name]
    if name == "grad" and is_kind_of(value, torch.Tensor) and value.is_leaf:
        return value.grad
    return None


def describe_value(value: Any) -> str:
    """A few words about a value, without running its code."""
    kind = type(value)
    if value is None or any(kind is plain for plain in _PLAIN):
        return repr(value)
    if kind is str:
        return repr(value if len(value) <= 60 else value[:59] + "…")
    if any(kind is container for container in (list, tuple, dict, set)):
        items = islice(list(value.values() if kind is dict else value), MAX_ELEMENTS)
        inside = ", ".join(dict.fromkeys(class_name(type(item)) for item in items))
        return f"{kind.__name__} of {len(value)}" + (f" ({inside})" if inside else "")
    if is_kind_of(value, torch.nn.Module):
        return class_name(kind) + _parameters_in_words(value)
    return class_name(kind)


def _parameters_in_words(module: Any) -> str:
    """How many parameters a module has, and how many of them require grad."""
    found = {id(t): t for _, t in _walk_module("", module) if is_kind_of(t, torch.nn.Parameter)}
    if not found:
        return ""
    trained = sum(parameter.requires_grad for parameter in found.values())
    plural = "s" * (len(found) != 1)
    return f" with {len(found)} parameter{plural}, {trained or 'none'} of which require grad"
