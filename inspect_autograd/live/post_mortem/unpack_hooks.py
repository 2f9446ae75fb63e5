"""The hook that unpacked a saved tensor wrongly: PyTorch says what it returned, not which it is."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

from ...diagnosis.scene import HookFacts, RunningFacts
from ...graph.creation import SourceLine
from ..capture import LiveCapture
from ..file_owners import USER, owner_of
from ..node_types import describe_type
from ..private_torch import LiveNode, raw_saved_tensors, unpack_hook_of

__all__ = ["find_unpack_hooks"]

_MESSAGE = re.compile(r"\bunpack_hook expected to be a tensor", re.IGNORECASE)


def find_unpack_hooks(
    message: str, live: LiveCapture | None, running: RunningFacts | None
) -> tuple[HookFacts, ...]:
    """The unpack hook of the user, where there is only one that it can be.

    The nodes that ran before the failure have given theirs back, unless the graph was retained.

    Args:
        message: Of the failure.
        live: The graph.
        running: The node that was running, if that is known.
    """
    if live is None or not _MESSAGE.search(message):
        return ()
    saved = live.graph.node_table.saved
    packed = {id for id, tensors in saved.items() if any(t.state == "packed" for t in tensors)}
    if running is not None and running.node in packed:
        packed = {running.node}
    found: dict[SourceLine, HookFacts] = {}
    for node, id in live.ids.items():
        for function in _unpack_hooks(node) if id in packed else ():
            code = function.__code__
            if owner_of(code.co_filename) == USER:
                line = SourceLine(code.co_filename, code.co_firstlineno, code.co_qualname)
                found[line] = HookFacts(function.__qualname__, line, "")
    return tuple(found.values()) if len(found) == 1 else ()


def _unpack_hooks(node: LiveNode) -> Iterator[FunctionType]:
    for raw in _raw_saved(node):
        hook = unpack_hook_of(raw)
        while type(hook) is functools.partial:
            hook = hook.func
        if type(hook) is MethodType:
            hook = hook.__func__
        if type(hook) is FunctionType:
            yield hook


def _raw_saved(node: LiveNode) -> Iterator[Any]:
    node_type = describe_type(type(node))
    if node_type.is_python:
        yield from raw_saved_tensors(node) or ()
    for access in node_type.saved:
        try:
            raw = access.read_raw(node) if access.read_raw is not None else ()
        except RuntimeError:  # A list of tensors that was freed.
            continue
        yield from raw if isinstance(raw, tuple) else (raw,)
