"""One recording in one thread: the function mode, and what the stand-ins tell."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import torch
from torch.overrides import TorchFunctionMode

from ..parameters import TensorNames
from ..private_modes import is_mode_on, next_sequence_nr, push_mode, remove_mode
from .calls import COMPILED_REGION, ModuleCall, ThreadCalls
from .effects import Effects
from .function_kinds import Kind, kind_of
from .module_paths import ModulePaths
from .patches import add_watcher, remove_watcher
from .thread_marks import mark

__all__ = ["Host", "ThreadWatch"]

_ident = threading.get_ident
_Tensor = torch.Tensor


class Host(Protocol):
    """What a recording provides for its threads.

    Attributes:
        paths: Knows the paths of modules.
        effects: Notes cuts and writes; None where these are not wanted.
        is_open: Whether the recording goes on.
        is_threaded: Whether more than one thread is recorded.
        is_between_steps: Whether the next module call begins a step.
    """

    paths: ModulePaths
    effects: Effects | None
    is_open: bool
    is_threaded: bool
    is_between_steps: bool

    def fail(self, error: Exception) -> None:
        """Something of ours went wrong; the program goes on."""

    def names(self) -> TensorNames:
        """Names of the tensors that are known so far."""

    def end_step(self, reason: str) -> None:
        """The step that runs is over."""

    def optimizer_stepped(self) -> None:
        """An optimizer has done a step in the current thread."""

    def new_calls(self) -> ThreadCalls:
        """Rows for the current thread."""

    def watch_thread(self) -> Callable[[], None]:
        """Begin to record the current thread; what is returned ends that."""

    def calls_of_thread(self) -> ThreadCalls:
        """The rows of the current thread, which is one of the engine's."""


class ThreadWatch(TorchFunctionMode):
    """Sees every function of torch that one thread calls.

    Attributes:
        calls: What was called.
        host: The recording.
        gathered: Inside of a checkpoint that may cut, the set of the leaves that were used.
        is_counting: Whether an optimizer steps whose writes are seen from versions.
        is_updating: Whether an optimizer steps that computes only updates.
    """

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host
        self.gathered: int | None = None
        self.is_counting = self.is_updating = False
        self.calls = host.new_calls()
        self._suspended: list[int] = []
        self._is_active = False
        self._pushed: list[bool] = []
        self._step: tuple[Any, bool, int] | None = None
        self._inner_steps = 0

    def begin(self) -> None:
        """Record the current thread."""
        add_watcher(self)
        self.activate()

    def end(self) -> None:
        """Stop; to be called in the same thread."""
        self.deactivate()
        remove_watcher(self)

    def activate(self) -> None:
        """Put the mode on."""
        if not self._is_active and self.host.is_open:
            self._is_active = True
            if not is_mode_on(self):
                push_mode(self)

    def deactivate(self) -> None:
        """Take the mode off."""
        if self._is_active:
            self._is_active = False
            remove_mode(self)

    def follow_host(self) -> None:
        """Another step has begun, which is recorded or not.

        In the middle of a backward pass the mode cannot be taken off for good, since PyTorch puts
        it on again after the call of `Tensor.backward`. Then the next module that is called does.
        """
        if self.host.is_open:
            self.activate()
        elif not self._pushed:
            self.deactivate()

    def calls_here(self) -> ThreadCalls:
        """The rows of the thread that runs, which may be one of the engine's."""
        calls = self.calls
        return calls if calls.ident == _ident() else self.host.calls_of_thread()

    # -- backward passes and optimizers ---------------------------------------------------------

    def begin_pass(self) -> None:
        """A backward pass is about to start.

        Where it was called by `Tensor.backward`, that call itself came by this mode, which is off
        until it is over. But a backward of the user's, a hook, or a recomputed forward pass has
        to be seen.

        Not where a process group is at work: DistributedDataParallel communicates in the pass, and
        a thread of its own lets go of every mode that was on then. It needs the interpreter's lock
        for that, while `destroy_process_group` may hold the lock and wait for the thread.
        """
        if self.is_updating:  # Without a closure, no step runs a pass.
            self._end_abandoned_step()
        is_off = self._is_active and not is_mode_on(self) and not _is_distributed()
        if is_off:
            push_mode(self)
        self._pushed.append(is_off)

    def end_pass(self) -> None:
        """It is over."""
        if self._pushed and self._pushed.pop():
            remove_mode(self)

    def begin_optimizer(self, optimizer: Any, *, has_closure: bool) -> None:
        """An optimizer is about to step.

        One of torch's own calls hundreds of functions that only do arithmetic; what it wrote is
        seen from the versions of its parameters. A step that a subclass hands on to the class above
        comes by twice; the outer one counts.
        """
        if self._step is not None and self._step[2] == id(optimizer):
            self._inner_steps += 1
            return
        self._end_abandoned_step()
        if not self.host.is_open:
            return
        token = None
        is_torch = type(optimizer).__module__.startswith("torch.optim.")
        if is_torch and self.host.effects is not None:
            token = self.host.effects.begin_optimizer(optimizer)
        is_plain = not has_closure and is_torch and not optimizer.defaults.get("differentiable")
        if is_plain:
            self.deactivate()
        self.is_counting, self.is_updating = is_torch, not has_closure
        self._step, self._inner_steps = (token, is_plain, id(optimizer)), 0

    def end_optimizer(self, optimizer: Any) -> bool:
        """It has done its step.

        Returns:
            Whether a whole step is over.
        """
        if self._step is None:
            return True
        if self._inner_steps:
            self._inner_steps -= 1
            return False
        (token, is_plain, _), self._step = self._step, None
        self.is_counting = self.is_updating = False
        if is_plain:
            self.activate()
        if token is not None and self.host.effects is not None and self.host.is_open:
            self.host.effects.end_optimizer(self, token, optimizer)
        return True

    def _end_abandoned_step(self) -> None:
        """The hook that ends a step does not run where the step raised."""
        if self._step is not None:
            is_plain, self._step = self._step[1], None
            self.is_counting = self.is_updating = False
            if is_plain:
                self.activate()

    # -- functions -----------------------------------------------------------------------------

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """A function was called. This runs for every one, so it is written for speed."""
        kind = kind_of(func)
        host = self.host
        if kind is Kind.PLAIN or not host.is_open:
            return func(*args, **kwargs) if kwargs else func(*args)
        effects, token = host.effects, None
        if effects is not None and (
            kind >= Kind.WRITES or (kwargs and ("out" in kwargs or kwargs.get("inplace")))
        ):
            try:
                token = effects.prepare((kind, func, args, kwargs), host)
            except Exception as error:  # The user's program must not fail for our sake.
                host.fail(error)
        before = next_sequence_nr()
        result = func(*args, **kwargs) if kwargs else func(*args)
        after = next_sequence_nr()
        try:
            if after != before:
                calls = self.calls
                if calls.ident != _ident():
                    calls = host.calls_of_thread()
                calls.note(before, after, func, sys._getframe(1))
                if host.is_threaded:
                    mark(result, args, (calls.key, before, after))
            # Most results are a single tensor with a node, of which there is little to say.
            if effects is not None and (
                after == before
                or token is not None
                or result.__class__ is not _Tensor
                or not effects.pass_on(args, kwargs, result)
            ):
                effects.finish(self, (kind, func, args, kwargs), result, token)
        except Exception as error:
            host.fail(error)
        return result

    # -- what the stand-ins tell ---------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """Something of ours went wrong; the program goes on."""
        self.host.fail(error)

    def enter_module(self, module: torch.nn.Module, frame: FrameType | None) -> ModuleCall | None:
        """A module is about to run."""
        host = self.host
        if host.is_between_steps and self.calls.module is None:
            host.end_step("the next forward pass")
        if not host.is_open:
            if self._is_active:
                self.follow_host()
            return None
        if self.is_updating:
            self._end_abandoned_step()
        paths, calls = host.paths, self.calls
        path = paths.find(module, calls.module)
        return calls.enter_module(path, paths.count(module), frame)

    def leave_module(self, token: ModuleCall | None) -> None:
        """It is over."""
        if token is not None:
            self.calls.leave_module(token)

    def enter_function(self, cls: Any, args: tuple[Any, ...]) -> tuple[int, Any]:
        """A custom Function is about to run."""
        effects, token = self.host.effects, None
        if effects is not None and self.host.is_open:
            token = effects.enter_function(self, cls, args)
        self.calls.depth += 1
        return next_sequence_nr(), token

    def leave_function(
        self,
        token: tuple[int, Any],
        cls: Any,
        args: tuple[Any, ...],
        result: Any,
        frame: FrameType,
    ) -> None:
        """It is over."""
        self.calls.depth -= 1
        if not self.host.is_open:
            return
        before, after = token[0], next_sequence_nr()
        if after != before:
            self.calls.note(before, after, cls, frame)
            if self.host.is_threaded:
                mark(result, args, (self.calls.key, before, after))
        if self.host.effects is not None:
            self.host.effects.leave_function(self, token[1], cls, args, result)

    def suspend(self) -> None:
        """See nothing until `resume`: compiled code is entered."""
        if self._is_active:
            self.deactivate()
            self._suspended.append(next_sequence_nr())
        else:
            self._suspended.append(-1)

    def resume(self, frame: FrameType | None) -> None:
        """Compiled code was left."""
        before = self._suspended.pop() if self._suspended else -1
        if before < 0:
            return
        self.activate()
        after = next_sequence_nr()
        if after != before and self.host.is_open:
            self.calls.note(before, after, COMPILED_REGION, frame)

    def follow_into_thread(self) -> Callable[[], Callable[[], None]]:
        """This thread starts another one."""
        return self.host.watch_thread


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
