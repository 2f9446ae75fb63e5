"""The custom Functions of a graph or a traceback as plain facts."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ...diagnosis.scene import FunctionFacts
from ...graph.creation import SourceLine
from ..holders.safe_access import class_name, is_kind_of, mro
from ..private_torch import LiveNode, forward_class
from .live_frame import LiveFrame
from .running import context_of
from .variables import read_variables

__all__ = ["describe_functions"]

_BASE = torch.autograd.Function
_NODE_NAME = re.compile(r"\b(\w+)Backward\b")
_OUTPUT_OF = re.compile(r"\boutput \d+ of (?:\w+::)*(\w+)", re.IGNORECASE)


def _find_classes(
    frames: Sequence[LiveFrame], message: str, known: Iterable[type] = ()
) -> list[type]:
    """Custom Functions that the traceback leads into, or that the message names.

    Several classes may have the name that a message gives. That is asked only for a name that no
    class of the graph or the traceback has.
    """
    found = [*known, *(cls for live in frames for cls in _classes_of(live))]
    names = {*_NODE_NAME.findall(message), *_OUTPUT_OF.findall(message)}
    names = {name.removesuffix("Backward") for name in names} - set(map(class_name, found))
    if names:
        found += [cls for cls in _all_functions() if class_name(cls) in names]
    return list(dict.fromkeys(found))


def _classes_of(live: LiveFrame) -> Iterator[type]:
    """`cls` of `Function.apply`, what a transform calls `autograd_function`, the class of `ctx`.

    From torch 2.14 on `apply` is C code, which has no frame.
    """
    node = context_of(live)
    if node is not None:
        yield forward_class(node)
    if live.frame.f_code.co_name not in _CALLERS:
        return
    variables = read_variables(live.frame)
    for name in ("cls", "autograd_function", "fwd_cls"):
        value: Any = variables.get(name)
        if is_kind_of(value, type) and any(base is _BASE for base in mro(value)):
            yield value


_CALLERS = ("apply", "__call__", "custom_function_call_grad", "custom_function_call_vmap")


def _all_functions() -> Iterator[type]:
    """All classes of custom Functions that there are, the latest first."""
    pending: list[type] = [_BASE]
    seen: dict[type, None] = {_BASE: None}
    while pending:
        inherited: list[type] = type.__subclasses__(pending.pop())
        for cls in inherited:
            if cls not in seen:
                seen[cls] = None
                pending.append(cls)
    yield from reversed(list(seen))


def _is_of_user(cls: type) -> bool:
    module = vars(cls).get("__module__")
    return not (type(module) is str and (module == "torch" or module.startswith("torch.")))


def describe_functions(
    ids: Mapping[LiveNode, int], frames: Sequence[LiveFrame], message: str
) -> tuple[FunctionFacts, ...]:
    """The classes of all custom nodes, in the order of their ids, then the other classes.

    PyTorch's own are not among them.
    """
    nodes: dict[type, list[int]] = {}
    for node, id in ids.items():
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            nodes.setdefault(forward_class(node), []).append(id)
    for cls in _find_classes(frames, message, nodes):
        nodes.setdefault(cls, [])
    return tuple(_describe(cls, tuple(found)) for cls, found in nodes.items() if _is_of_user(cls))


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
    first = code.co_firstlineno  # That of its first decorator.
    while linecache.getline(code.co_filename, first).lstrip().startswith(("@", ")", "#")):
        first += 1
    return SourceLine(code.co_filename, first, code.co_qualname)


def _inputs(cls: type, forward: Any) -> tuple[str, ...]:
    code = getattr(forward, "__code__", None)
    if code is None:
        return ()
    names = code.co_varnames[: code.co_argcount]
    return tuple(names if _method(cls, "setup_context") is not None else names[1:])


def _returns(function: Any) -> tuple[tuple[str, SourceLine], ...]:
    code: Any = getattr(function, "__code__", None)
    lines = [] if code is None else linecache.getlines(code.co_filename, function.__globals__)
    try:
        # Not inspect.getsourcelines, which asks every module of the process where it is from.
        first = code.co_firstlineno
        tree = ast.parse(textwrap.dedent("".join(inspect.getblock(lines[first - 1 :]))))
    except (AttributeError, SyntaxError, IndentationError, IndexError):
        return ()
    return tuple(
        (ast.unparse(node), SourceLine(code.co_filename, first + node.lineno - 1, code.co_qualname))
        for node in ast.walk(tree)
        if isinstance(node, ast.Return)
    )
