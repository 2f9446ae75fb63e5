"""Hooks of the user: the one that the traceback leads into, or that the message names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ...diagnosis.scene import HookFacts, TensorFacts
from ...graph.creation import SourceLine
from ..file_owners import USER, owner_of
from ..private_torch import LiveNode, plain_engine_entry, tensor_hooks
from .calls import LiveCall
from .live_frame import LiveFrame
from .tensors import TensorDescriber

__all__ = ["find_hooks"]

_NAME = re.compile(r"\bhook '([^']*)'")
_MESSAGE = re.compile(r"\bhook\b", re.IGNORECASE)
_ENGINE = getattr(plain_engine_entry(), "__code__", None)
MAX_HOOKS = 20


def find_hooks(
    frames: Sequence[LiveFrame],
    message: str,
    ids: Mapping[LiveNode, int],
    describer: TensorDescriber,
    call: LiveCall | None,
) -> tuple[HookFacts, ...]:
    """The hook that failed, first where it was running; else those that the message may mean.

    Args:
        frames: The traceback.
        message: Of the failure.
        ids: The live nodes of the graph, for its leaves.
        describer: Knows the tensors of the user, and describes them.
        call: The call of backward or grad.
    """
    running = _running_code(frames)
    named = _NAME.search(message)
    if running is None and not _MESSAGE.search(message):
        return ()
    outputs = [] if call is None else call.outputs
    found = []
    for tensor in _tensors(ids, describer, outputs):
        for hook in tensor_hooks(tensor):
            code = getattr(hook, "__code__", None)
            is_it = code is running if running is not None else _fits(hook, named)
            if is_it:
                found.append(_describe(hook, describer.describe(tensor), running is not None))
    if not found and running is not None:
        line = SourceLine(running.co_filename, running.co_firstlineno, running.co_qualname)
        found.append(HookFacts(running.co_qualname, line, "", is_running=True))
    if not found and named is not None:
        found.append(HookFacts(named[1], None, ""))
    return tuple(found[:MAX_HOOKS])


def _running_code(frames: Sequence[LiveFrame]) -> Any:
    """The code of the user that the engine itself called: a hook of a tensor or a node."""
    for place in range(len(frames) - 2, -1, -1):
        code = frames[place + 1].frame.f_code
        if frames[place].frame.f_code is _ENGINE and owner_of(code.co_filename) == USER:
            return code
    return None


def _fits(hook: Any, named: re.Match[str] | None) -> bool:
    return named is None or getattr(hook, "__name__", type(hook).__name__) == named[1]


def _tensors(
    ids: Mapping[LiveNode, int], describer: TensorDescriber, outputs: Iterable[Any]
) -> Iterator[torch.Tensor]:
    seen: set[int] = set()
    leaves = (node.variable for node in ids if type(node).__name__ == "AccumulateGrad")
    for tensor in (*(t for _, t in describer.named()), *outputs, *leaves):
        if isinstance(tensor, torch.Tensor) and id(tensor) not in seen:
            seen.add(id(tensor))
            yield tensor


def _describe(hook: Any, tensor: TensorFacts, is_running: bool) -> HookFacts:
    code = getattr(hook, "__code__", None)
    source = None
    if code is not None:
        source = SourceLine(code.co_filename, code.co_firstlineno, code.co_qualname)
    name = getattr(hook, "__qualname__", type(hook).__qualname__)
    on = f"{tensor.name} ({tensor.meta}, {tensor.grad_fn or 'a leaf'})"
    return HookFacts(name, source, on, tensor, is_running)
