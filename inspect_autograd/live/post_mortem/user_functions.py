"""Functions of the user that torch was given to call, as plain facts; nothing is called."""

from __future__ import annotations

import functools
from types import FunctionType, MethodType
from typing import Any

import torch

from ...diagnosis.function_body import FunctionBody
from ...graph.creation import SourceLine
from ..holders.safe_access import class_dict, is_kind_of, mro
from .program_text import text_of

__all__ = ["describe_function", "unwrap"]


def unwrap(callee: Any) -> tuple[FunctionType | None, Any]:
    """The function that something callable runs, and the object that is its `self`."""
    while type(callee) is functools.partial:
        callee = callee.func
    if type(callee) is MethodType:
        callee, owner = callee.__func__, callee.__self__
        return (callee, owner) if type(callee) is FunctionType else (None, owner)
    if type(callee) is FunctionType:
        return callee, None
    if is_kind_of(callee, torch.nn.Module):
        forward = next((d for c in mro(type(callee)) if (d := class_dict(c).get("forward"))), None)
        return (forward, callee) if type(forward) is FunctionType else (None, callee)
    return None, None


def describe_function(function: FunctionType) -> FunctionBody:
    """Its name, place and text."""
    code = function.__code__
    text, first = text_of(code, function.__globals__)
    return FunctionBody(
        function.__qualname__, SourceLine(code.co_filename, first, code.co_qualname), text
    )
