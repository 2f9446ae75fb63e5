"""See every call of the autograd engine: how it was called, from where, and how it ended.

While somebody watches, the function through which `torch.autograd` calls the engine is replaced
by one that tells the watchers before and after. Hooks alone could not tell this: they do not see
a pass over nodes that are not hooked yet, nor the arguments of the call.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

import torch

from ..events.records import PassCall
from ..graph.creation import SourceLine
from .file_owners import USER, find_line_of_user, owner_of
from .private_torch import engine_entry, not_compiled, plain_engine_entry, set_engine_entry

__all__ = ["EngineCall", "EngineWatcher", "find_place", "unwatch", "watch"]


@dataclass(frozen=True, slots=True)
class EngineCall:
    """One call of the engine. It holds the user's tensors; do not keep it.

    Attributes:
        call: Which function of `torch.autograd` called it.
        outputs: Tensors or GradientEdges to start from.
        gradients: The gradient for each of these, as the engine gets it.
        is_implicit: Per output, whether PyTorch made the gradient.
        inputs: What the pass is limited to; None if it is not.
        retain_graph: Whether saved tensors are kept.
        create_graph: Whether the pass itself is recorded.
        place: The user's line that asked for it.
    """

    call: PassCall
    outputs: Sequence[Any]
    gradients: Sequence[torch.Tensor | None]
    is_implicit: Sequence[bool]
    inputs: Sequence[Any] | None
    retain_graph: bool
    create_graph: bool
    place: SourceLine | None


class EngineWatcher(Protocol):
    """Told of engine calls in any thread of the process. What it raises is not passed on."""

    def begin(self, call: EngineCall) -> object:
        """A pass is about to start; what is returned comes back in `end`."""

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        """The pass that `begin` announced is over.

        Args:
            token: What `begin` returned, None if it failed.
            error: What the engine raised.
            results: What the engine returned: for `grad`, one gradient per input.
        """


# Reentrant: the garbage collector may call `_forget` at any point of the functions below.
_lock = threading.RLock()
_watchers: list[weakref.ref[EngineWatcher]] = []
_original: Callable[..., Any] | None = None


def watch(watcher: EngineWatcher) -> None:
    """Tell `watcher`, which is not kept alive, of every engine call until `unwatch`."""
    global _original  # noqa: PLW0603  one place of torch is patched, so there is one of these
    with _lock:
        _watchers[:] = [ref for ref in _watchers if ref() is not None]
        _watchers.append(weakref.ref(watcher, _forget))
        # The second: whoever put another function in place of ours has put the first one back.
        if _original is None or engine_entry() is _original:
            _original = engine_entry()
            set_engine_entry(_watched_entry)


def unwatch(watcher: EngineWatcher) -> None:
    """Stop telling it; with the last watcher the engine is as it was."""
    _forget(None, watcher)


def _forget(dead: object, watcher: EngineWatcher | None = None) -> None:
    """Drop the dead watchers and `watcher`; called by the garbage collector too."""
    global _original  # noqa: PLW0603
    del dead
    with _lock:
        _watchers[:] = [r for r in _watchers if r() is not None and r() is not watcher]
        # Where somebody wrapped our function meanwhile, it stays: it only passes on.
        if not _watchers and _original is not None and engine_entry() is _watched_entry:
            set_engine_entry(_original)
            _original = None


@not_compiled
def _watched_entry(outputs: Any, *args: Any, **kwargs: Any) -> Any:
    # Looked up once, as another thread may end its trace meanwhile. Without an original we were
    # called through a reference that somebody kept.
    original = _original or plain_engine_entry()
    told = list(_begin(outputs, args, kwargs))
    try:
        results = original(outputs, *args, **kwargs)
    except BaseException as error:
        _end(told, error, ())
        raise
    _end(told, None, results or ())
    return results


def _begin(
    outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[EngineWatcher, object]]:
    watchers = [watcher for ref in tuple(_watchers) if (watcher := ref()) is not None]
    if not watchers:
        return
    try:
        call = _describe(outputs, args, kwargs, sys._getframe(1))
    except Exception:  # Called in a way that we do not know: hooks will still see the nodes.
        return
    for watcher in watchers:
        try:
            token = watcher.begin(call)
        except Exception:  # The user's backward pass must not fail for our sake.
            token = None
        yield watcher, token


def _end(
    told: list[tuple[EngineWatcher, object]], error: BaseException | None, results: Sequence[Any]
) -> None:
    for watcher, token in reversed(told):
        try:
            watcher.end(token, error, results)
        except Exception:
            continue


def _describe(
    outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType
) -> EngineCall:
    gradients, retain_graph, create_graph, inputs = (*args, None, None, None, None)[:4]
    outputs = tuple(outputs)
    accumulates = kwargs.get("accumulate_grad", True)
    return EngineCall(
        call="backward" if accumulates else "grad",
        outputs=outputs,
        gradients=tuple(gradients or ()),
        is_implicit=_implicit(_given_gradients(frame), len(outputs)),
        inputs=tuple(inputs) if inputs else None,
        retain_graph=bool(retain_graph),
        create_graph=bool(create_graph),
        place=find_place(frame),
    )


def _given_gradients(frame: FrameType | None) -> Any:
    """What the user gave as gradient: an argument of `torch.autograd.backward` or `grad`.

    The engine itself is only called with the ones that stand for a missing argument. Between
    these functions and the engine there is nothing but code of torch and ours.
    """
    while frame is not None and owner_of(frame.f_code.co_filename) is not USER:
        argument = _GIVEN.get(frame.f_code)
        if argument is not None:
            return frame.f_locals.get(argument, ())
        frame = frame.f_back
    return ()


_GIVEN = {
    torch.autograd.backward.__code__: "grad_tensors",
    torch.autograd.grad.__code__: "grad_outputs",
}
"""Functions that call the engine, and the argument of each that holds the user's gradients."""


def _implicit(given: Any, count: int) -> tuple[bool, ...]:
    if given is None:
        return (True,) * count
    if isinstance(given, torch.Tensor):
        return (False,) * count
    known = [gradient is None for gradient in given]
    return tuple(known[:count] + [False] * (count - len(known)))


def find_place(frame: FrameType | None) -> SourceLine | None:
    """The line of the user that led to a frame."""
    found = find_line_of_user(_outwards(frame), lambda one: one.f_code.co_filename)
    if found is None:
        return None
    return SourceLine(found.f_code.co_filename, found.f_lineno, found.f_code.co_qualname)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
