"""Which backward pass becomes a trace of its own, and which belongs to that of another one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..engine_calls import EngineCall
from ..private_torch import current_graph_task
from .passes import PassRecorder, RecordedPass
from .thread_watch import ThreadWatch

if TYPE_CHECKING:
    from .recorder import Recorder

__all__ = ["PassRouter"]


class _Inner(NamedTuple):
    """A pass inside of another one, whose trace knows it by a token."""

    outer: RecordedPass
    token: object


class _Token(NamedTuple):
    """A pass between its beginning and its end."""

    watch: ThreadWatch | None
    ident: int
    opened: RecordedPass | _Inner | None
    is_outermost: bool


class PassRouter:
    """Watches the calls of the engine for one recording; see `EngineWatcher`.

    Args:
        host: The recording.
        passes: Makes the traces.
    """

    def __init__(self, host: Recorder, passes: PassRecorder) -> None:
        self._host = host
        self._passes = passes
        self._running: dict[int, list[RecordedPass | None]] = {}

    def begin(self, call: EngineCall) -> object:
        """A backward pass is about to start, in any thread of the process."""
        host = self._host
        if not host.is_open and not self._is_first_recorded():
            return None
        ident = threading.get_ident()
        running = self._running.setdefault(ident, [])
        watch = host.watch_here()
        depth = len(running)
        if watch is not None:
            watch.begin_pass()
        try:
            opened = self._begin(call, running, watch)
        except Exception as error:
            host.fail(error)
            opened = None
        return _Token(watch, ident, opened, len(running) > depth)

    def _is_first_recorded(self) -> bool:
        """Count a pass of a step that is not recorded; whether it begins one that is."""
        host = self._host
        if not host.is_inside or current_graph_task() != -1 or host.watch_here() is None:
            return False
        self._end_step_before()
        host.steps.current.pass_count += not host.is_open
        return host.is_open

    def _end_step_before(self) -> None:
        """Where neither an optimizer nor a module says where a step ends, the next pass does."""
        if self._host.steps.current.pass_count and not self._host.has_stepped:
            self._host.end_step("the next backward pass")

    def _begin(
        self, call: EngineCall, running: list[RecordedPass | None], watch: ThreadWatch | None
    ) -> RecordedPass | _Inner | None:
        host = self._host
        if current_graph_task() != -1 or running:
            # A pass inside of another one belongs to the trace of that.
            outer = running[-1] if running else self._any_running()
            if host.effects is not None and host.is_open:
                host.effects.begin_pass(call, None, host)
            return None if outer is None else _Inner(outer, outer.tracer.watch.begin(call))
        if watch is None:
            return None  # A thread that is not recorded.
        self._end_step_before()
        host.steps.current.pass_count += 1
        if not host.is_open:
            return None
        recorded = self._passes.begin(call, host.names(), host.attribution())
        running.append(recorded)
        if host.effects is not None:
            leaves = () if recorded is None else recorded.tracer.leaves()
            host.effects.begin_pass(call, leaves, host)
        if recorded is not None:
            host.steps.current.traces.append(recorded.trace)
            host.steps.current.trace_starts_ns.append(recorded.tracer.begin_ns)
        return recorded

    def _any_running(self) -> RecordedPass | None:
        """A reentrant pass in a thread of the engine: nobody tells which pass it is inside of."""
        for passes in self._running.values():
            if passes and passes[-1] is not None:
                return passes[-1]
        return None

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        """It is over."""
        if not isinstance(token, _Token):
            return
        host, watch, opened = self._host, token.watch, token.opened
        try:
            if isinstance(opened, _Inner):
                opened.outer.tracer.watch.end(opened.token, error, results)
            elif opened is not None:
                chunk = None if watch is None else host.steps.chunk_of(watch.calls)
                self._passes.end(opened, error, results, chunk)
        except Exception as failure:
            host.fail(failure)
        finally:
            if token.is_outermost:
                self._running[token.ident].pop()
                host.is_between_steps = not host.has_stepped
            if watch is not None:
                watch.end_pass()
