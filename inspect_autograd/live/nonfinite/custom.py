"""Nodes whose formula is not PyTorch's own: custom Functions, compiled graphs, extensions."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from .scene import Finding, Scene

__all__ = ["check_custom"]


def check_custom(scene: Scene) -> Finding | None:
    """Applies to nodes of these kinds; says whose code it is, since that is all that is known."""
    if scene.kind == "compiled":
        text = (
            "This node stands for a whole graph compiled by torch.compile; which of its "
            "operations it was cannot be seen from outside."
        )
        return Finding("compiled", text)
    if scene.kind == "cpp-custom":
        text = f"`{scene.name}` is a function of C++ code; its backward made it."
        return Finding("custom-function", text)
    if scene.kind != "custom":
        return None
    function = _function_of(type(scene.node))
    name = scene.name.removesuffix("Backward") if function is None else function.__qualname__
    place = None if function is None else _place(function)
    at = "" if place is None else f" ({place.replace(chr(92), '/').rpartition('/')[2]})"
    text = (
        f"The backward of the custom Function `{name}`{at} returned it; "
        "what it received and all it saved that could be looked at is finite."
    )
    return Finding("custom-function", text, {} if place is None else {"backward": place})


def _function_of(node_type: type) -> type | None:
    """The Function class behind the type of its nodes, which has it as an attribute."""
    for value in vars(node_type).values():
        if isinstance(value, type) and issubclass(value, torch.autograd.Function):
            return value
    return None


def _place(function: type) -> str | None:
    """`file:line` of its backward (or `vjp`); no code of the class runs."""
    for name in ("backward", "vjp"):
        for owner in function.__mro__:
            found: Any = vars(owner).get(name)
            if found is None or owner.__module__.startswith("torch.autograd"):
                continue
            code = getattr(inspect.unwrap(getattr(found, "__func__", found)), "__code__", None)
            if code is not None:
                return f"{code.co_filename}:{code.co_firstlineno}"
    return None
