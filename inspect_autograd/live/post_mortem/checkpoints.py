"""The checkpoint that a traceback leads into: which functions of the user ran in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any

import torch

from ...diagnosis.checkpoint_facts import CheckpointFacts
from ..file_owners import USER, owner_of
from ..holders.frames import read_locals
from ..holders.safe_access import instance_dict, is_kind_of
from ..private_checkpoint import checkpointed_call, closure_of, unpacking_frame
from .live_frame import LiveFrame
from .user_functions import describe_function, unwrap

__all__ = ["find_checkpoint"]

MAX_FUNCTIONS = 20


def find_checkpoint(frames: Sequence[LiveFrame]) -> CheckpointFacts | None:
    """The innermost checkpoint that was computed again; None if the traceback holds none."""
    for live in reversed(frames):
        code = live.frame.f_code
        if unpacking_frame(code.co_filename, code.co_name):
            function, keeps = checkpointed_call(dict(read_locals(live.frame)))
            if function is None:
                return None
            return CheckpointFacts(tuple(map(describe_function, _functions_in(function))), keeps)
    return None


def _functions_in(callee: Any) -> list[FunctionType]:
    """The function of the user that something callable runs, and those that this one calls.

    Breadth first, so that the outermost come first. What a name means is looked up in the
    function's own closure, its global variables, and the attributes of `self`; nothing is called.
    """
    waiting, seen = [callee], {id(callee)}
    found: list[FunctionType] = []
    while waiting and len(found) < MAX_FUNCTIONS:
        current = waiting.pop(0)
        function, owner = unwrap(current)
        inside = list(_children(owner))
        if function is not None and owner_of(function.__code__.co_filename) == USER:
            found.append(function)
            inside += _named_in(function, owner)
        for value in inside:
            if id(value) not in seen:
                seen.add(id(value))
                waiting.append(value)
    return list(dict.fromkeys(found))


def _children(owner: Any) -> Iterator[Any]:
    """The modules in a module."""
    if is_kind_of(owner, torch.nn.Module):
        modules = (instance_dict(owner) or {}).get("_modules")
        if is_kind_of(modules, dict):
            yield from list(dict.values(modules))  # type: ignore[arg-type]


def _named_in(function: FunctionType, owner: Any) -> Iterator[Any]:
    closure = closure_of(function)
    attributes = {} if owner is None else instance_dict(owner) or {}
    for name in (*function.__code__.co_freevars, *function.__code__.co_names):
        for place in (closure, attributes, function.__globals__):
            value = place.get(name)
            if unwrap(value)[0] is not None:
                yield value
                break
