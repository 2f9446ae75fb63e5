"""The private names of torch that watching a whole step relies on; see `private_torch`.

Apart from it only because of its length: the stack of function modes, and the way into compiled
code.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .when_imported import ImportWatch

__all__ = [
    "CompiledRegions",
    "functions_unobserved",
    "is_mode_on",
    "next_sequence_nr",
    "push_mode",
    "remove_mode",
    "sequence_nr_of",
]

next_sequence_nr: Callable[[], int] = getattr(torch.autograd, "_get_sequence_nr")  # noqa: B009
"""The sequence number that the next node made in this thread gets (2.1 and newer). The same as
`private_torch.next_sequence_nr`, without a call around it: this runs twice for every call."""

sequence_nr_of: Callable[[Any], int] = methodcaller("_sequence_nr")
"""The same as `private_torch.sequence_nrs` for one node, where a list would cost too much."""

functions_unobserved: Callable[[], Any] = torch._C.DisableTorchFunction
"""A context manager: no function mode sees what is called inside (1.7 and newer)."""


# -- function modes --------------------------------------------------------------------------------
# `torch.overrides._push_mode`, `_pop_mode` (2.0 and newer): the stack of the current thread. A
# `with` block is no use here, as a thread, a compiled region or an optimizer has to be left out
# in the middle of one.


def push_mode(mode: TorchFunctionMode) -> None:
    """Put a mode on top of this thread's stack."""
    torch.overrides._push_mode(mode)


def is_mode_on(mode: TorchFunctionMode) -> bool:
    """Whether a mode is on this thread's stack.

    `_get_function_stack_at`, 2.0 and newer. A mode is off it while it handles a call.
    """
    count = torch._C._len_torch_function_stack()
    return any(torch._C._get_function_stack_at(place) is mode for place in range(count))


def remove_mode(mode: TorchFunctionMode) -> bool:
    """Take a mode off this thread's stack, wherever in it it is.

    Returns:
        Whether it was there.
    """
    above: list[TorchFunctionMode] = []
    found = False
    while torch._C._len_torch_function_stack():
        top = torch.overrides._pop_mode()
        if top is mode:
            found = True
            break
        above.append(top)
    for other in reversed(above):
        torch.overrides._push_mode(other)
    return found


_COMPILER = "torch._dynamo.eval_frame"


# -- compiled code ---------------------------------------------------------------------------------


class _ThreadState(threading.local):
    """What a thread is inside of."""

    def __init__(self) -> None:
        # Per call of compiled code, the id of the frame that called, and whether it is told of.
        self.entries: list[tuple[int, bool]] = []
        self.is_entering = False


class CompiledRegions:
    """Tells when a thread enters compiled code and when it leaves it.

    An active function mode would be compiled into the program, with a graph break at every call.
    `torch._dynamo.eval_frame` calls `_callback_from_stance` (2.6 and newer) on the way into
    compiled code, and `_maybe_set_eval_frame` (2.5 and newer) then and on the way out; each is
    looked up in the module at every call. Where torch lacks them, nothing is told.

    Args:
        enter: Called in the thread that enters compiled code.
        leave: Called when it has left it; with every `enter` comes one `leave`.
    """

    _NAMES = ("_callback_from_stance", "_maybe_set_eval_frame")

    def __init__(self, enter: Callable[[], object], leave: Callable[[], object]) -> None:
        self._enter = enter
        self._leave = leave
        self._originals: dict[str, Any] = {}
        self._ours: dict[str, Any] = {}
        self._state = _ThreadState()
        self._import = ImportWatch(_COMPILER, self._replace)

    def watch(self) -> None:
        """Begin, now or as soon as the compiler is loaded; importing it takes seconds."""
        self._import.begin()

    def _replace(self) -> None:
        module = sys.modules.get(_COMPILER)
        if module is None or self._ours or not all(hasattr(module, n) for n in self._NAMES):
            return
        self._originals = {name: getattr(module, name) for name in self._NAMES}
        self._ours = dict(zip(self._NAMES, (self._find_callback, self._set), strict=True))
        for name, function in self._ours.items():
            setattr(module, name, function)

    def unwatch(self) -> None:
        """Put everything back, unless somebody else has replaced it meanwhile."""
        self._import.end()
        module = sys.modules.get(_COMPILER)
        for name, function in self._ours.items():
            if getattr(module, name, None) == function:
                setattr(module, name, self._originals[name])
        self._ours = {}

    def _find_callback(self, *args: Any, **kwargs: Any) -> Any:
        """Stands in for `_callback_from_stance`: compiled code is about to be entered."""
        callback = self._originals["_callback_from_stance"](*args, **kwargs)
        # None and False stand for code that is to run as it is (`torch.compiler.disable`).
        compiles = callback is not None and callback is not False
        self._state.entries.append((id(sys._getframe(1)), compiles))
        self._state.is_entering = True
        if compiles:
            self._enter()
        return callback

    def _set(self, *args: Any, **kwargs: Any) -> Any:
        """Stands in for `_maybe_set_eval_frame`, called on the way in, and on the way out."""
        result = self._originals["_maybe_set_eval_frame"](*args, **kwargs)
        state = self._state
        if state.is_entering:
            state.is_entering = False
        elif (
            state.entries
            and state.entries[-1][0] == id(sys._getframe(1))
            and state.entries.pop()[1]
        ):
            self._leave()
        return result
