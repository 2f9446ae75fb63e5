"""The custom Functions of a graph or a traceback as plain facts."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ...diagnosis.scene import FunctionFacts
from ...graph.creation import SourceLine
from ..private_torch import LiveNode, forward_class

__all__ = ["describe_functions"]

_BASE = torch.autograd.Function


def describe_functions(
    ids: Mapping[LiveNode, int], others: Iterable[type] = ()
) -> tuple[FunctionFacts, ...]:
    """The classes of all custom nodes, in the order of their ids, then the other classes."""
    nodes: dict[type, list[int]] = {}
    for node, id in ids.items():
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            nodes.setdefault(forward_class(node), []).append(id)
    for cls in others:
        nodes.setdefault(cls, [])
    return tuple(_describe(cls, tuple(found)) for cls, found in nodes.items())


def _describe(cls: type, nodes: tuple[int, ...]) -> FunctionFacts:
    forward, backward = _method(cls, "forward"), _method(cls, "backward", "vjp")
    return FunctionFacts(
        name=cls.__qualname__,
        node_name=f"{cls.__name__}Backward",
        forward=_line_of(forward),
        backward=_line_of(backward),
        inputs=_inputs(cls, forward),
        backward_code=_returns(backward),
        has_setup_context=_method(cls, "setup_context") is not None,
        nodes=nodes,
    )


def _method(cls: type, *names: str) -> Any:
    """The function that a class defines itself, or that one of its own bases does."""
    for name in names:
        for base in cls.__mro__:
            if base.__module__.startswith("torch.autograd"):
                break
            found = vars(base).get(name)
            if found is not None:
                return getattr(found, "__func__", found)
    return None


def _line_of(function: Any) -> SourceLine | None:
    code = getattr(function, "__code__", None)
    if code is None:
        return None
    return SourceLine(code.co_filename, code.co_firstlineno, code.co_qualname)


def _inputs(cls: type, forward: Any) -> tuple[str, ...]:
    code = getattr(forward, "__code__", None)
    if code is None:
        return ()
    names = code.co_varnames[: code.co_argcount]
    return tuple(names if _method(cls, "setup_context") is not None else names[1:])


def _returns(function: Any) -> tuple[tuple[str, SourceLine], ...]:
    code = getattr(function, "__code__", None)
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError, IndentationError):
        return ()
    return tuple(
        (ast.unparse(node), SourceLine(code.co_filename, first + node.lineno - 1, code.co_qualname))
        for node in ast.walk(tree)
        if isinstance(node, ast.Return)
    )
