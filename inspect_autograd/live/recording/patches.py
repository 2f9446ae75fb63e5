"""What stands in for functions of torch and Python while somebody records, in all threads.

Four places are replaced while at least one recording is open, and put back with the last one:
`torch.nn.Module.__call__` (which module runs), the `apply` of custom Functions (no function mode
sees it), `threading.Thread.start` (a function mode belongs to one thread), and the way into
compiled code (see `CompiledRegions`). None of them does anything in a thread that is not recorded.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

import torch

from ..private_modes import CompiledRegions
from ..private_torch import function_base
from .calls import set_module_call_code

__all__ = ["Watcher", "add_watcher", "put", "put_back", "remove_watcher", "watchers_here"]


class Watcher(Protocol):
    """One recording in one thread."""

    def fail(self, error: Exception) -> None:
        """One of the methods below raised this."""

    def enter_module(self, module: torch.nn.Module, frame: Any) -> object:
        """A module is about to run; what is returned comes back in `leave_module`."""

    def leave_module(self, token: Any) -> None:
        """It is over."""

    def enter_function(self, cls: Any, args: tuple[Any, ...]) -> object:
        """A custom Function is about to run; what is returned comes back in `leave_function`."""

    def leave_function(
        self, token: Any, cls: Any, args: tuple[Any, ...], result: Any, frame: Any
    ) -> None:
        """It is over; `result` is None where it raised."""

    def suspend(self) -> None:
        """See nothing until `resume`: compiled code is entered."""

    def resume(self, frame: Any) -> None:
        """Compiled code was left."""

    def follow_into_thread(self) -> Callable[[], Callable[[], None]]:
        """This thread starts another one.

        Returns:
            To be called in the new thread, as it begins; what that returns, as it ends.
        """


class _Here(threading.local):
    """The watchers of the current thread, outermost recording first."""

    def __init__(self) -> None:
        self.watchers: tuple[Watcher, ...] = ()


_here = _Here()


def watchers_here() -> tuple[Watcher, ...]:
    """The watchers of the current thread."""
    return _here.watchers


def add_watcher(watcher: Watcher) -> None:
    """Tell `watcher` what happens in the current thread."""
    _here.watchers = (*_here.watchers, watcher)


def remove_watcher(watcher: Watcher) -> None:
    """Stop telling it what happens in the current thread."""
    _here.watchers = tuple(w for w in _here.watchers if w is not watcher)


# -- what stands in ------------------------------------------------------------------------------


class _StandIn:
    """A function that takes the place of another one, and knows it."""

    def __init__(self, owner: Any, name: str, function: Any, *, plain: Any = None) -> None:
        self._owner = owner
        self._name = name
        self._function = function
        self._plain = plain
        self._original: Any = None
        self._is_there = False

    @property
    def original(self) -> Any:
        """What it stands in for; somebody may have kept a reference and call it afterwards."""
        return self._original if self._is_there else self._plain

    def put(self) -> None:
        """Take its place. The second condition: somebody put the original back meanwhile."""
        current = vars(self._owner).get(self._name)
        if not self._is_there or current is self._original:
            self._original, self._is_there = current, True
            setattr(self._owner, self._name, self._function)

    def put_back(self) -> None:
        """Give it back. Where somebody wrapped us meanwhile we stay, and only pass on."""
        if not self._is_there or vars(self._owner).get(self._name) is not self._function:
            return
        if self._original is None:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._original)
        self._is_there = False


def _told(watcher: Watcher, tell: Callable[..., Any], *what: Any) -> Any:
    """Tell a watcher something; what goes wrong in it is not the user's."""
    try:
        return tell(*what)
    except Exception as error:
        watcher.fail(error)
        return None


def _call_module(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Stands in for `torch.nn.Module.__call__`."""
    watchers = _here.watchers
    if not watchers:
        return _module_call.original(module, *args, **kwargs)
    frame = sys._getframe(1)
    tokens = [_told(watcher, watcher.enter_module, module, frame) for watcher in watchers]
    del frame
    try:
        return _module_call.original(module, *args, **kwargs)
    finally:
        for watcher, token in zip(reversed(watchers), reversed(tokens), strict=True):
            _told(watcher, watcher.leave_module, token)


set_module_call_code(_call_module.__code__)


def _apply_function(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Stands in for the `apply` of custom Functions."""
    original = _apply.original
    watchers = _here.watchers
    tokens = [_told(watcher, watcher.enter_function, cls, args) for watcher in watchers]
    result = None
    try:
        if original is None:  # The base class has the method from its own base.
            result = super(_apply_owner, cls).apply(*args, **kwargs)
        else:
            result = original.__get__(None, cls)(*args, **kwargs)
        return result
    finally:
        frame = sys._getframe(1)
        for watcher, token in zip(reversed(watchers), reversed(tokens), strict=True):
            _told(watcher, watcher.leave_function, token, cls, args, result, frame)


def _start_thread(thread: threading.Thread) -> None:
    """Stands in for `threading.Thread.start`."""
    watchers = _here.watchers
    if watchers and not thread.name.startswith(_OUR_THREADS):
        enters = [watcher.follow_into_thread() for watcher in watchers]
        run = thread.run

        def run_recorded() -> None:
            vars(thread).pop("run", None)
            leaves = [enter() for enter in enters]
            try:
                run()
            finally:
                for leave in reversed(leaves):
                    leave()

        thread.run = run_recorded  # type: ignore[method-assign]
    _thread_start.original(thread)


def _enter_compiled() -> None:
    # The compiler would compile what stands in for torch's own functions into the program.
    _restore_for_compiler(1)
    for watcher in _here.watchers:
        watcher.suspend()


def _leave_compiled() -> None:
    frame = sys._getframe(1)
    for watcher in reversed(_here.watchers):
        watcher.resume(frame)
    _restore_for_compiler(-1)


def _restore_for_compiler(change: int) -> None:
    """While any thread is inside compiled code, calls of modules are not seen in the others."""
    global _compiled  # noqa: PLW0603
    with _lock:
        _compiled += change
        for stand_in in (_module_call, _apply):
            if _compiled and _users:
                stand_in.put_back()
            elif _users:
                stand_in.put()


_OUR_THREADS = "inspect_autograd"
_apply_owner = function_base()
_module_call = _StandIn(torch.nn.Module, "__call__", _call_module, plain=torch.nn.Module.__call__)
_thread_start = _StandIn(threading.Thread, "start", _start_thread, plain=threading.Thread.start)
_apply = _StandIn(
    _apply_owner, "apply", classmethod(_apply_function), plain=vars(_apply_owner).get("apply")
)
_regions = CompiledRegions(_enter_compiled, _leave_compiled)

_lock = threading.RLock()
_users = 0
_compiled = 0


def put() -> None:
    """A recording begins."""
    global _users  # noqa: PLW0603  one place of torch is patched, so there is one of these
    with _lock:
        _users += 1
        if _users == 1:
            for stand_in in (_module_call, _thread_start, _apply):
                stand_in.put()
            _regions.watch()


def put_back() -> None:
    """It is over; with the last one everything is as it was."""
    global _users  # noqa: PLW0603
    with _lock:
        _users -= 1
        if _users == 0:
            for stand_in in (_module_call, _thread_start, _apply):
                stand_in.put_back()
            _regions.unwatch()
