"""Breakpoints: hooks the passes of a block, and stops them where a condition is met."""

from __future__ import annotations

import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from ...errors import BreakpointQuitError, InspectAutogradError
from ...graph.creation import SourceLine
from ..call_nodes import find_call_nodes
from ..engine_calls import EngineCall, find_place, unwatch, watch
from ..node_selection import find_by_glob, find_closest, select_by_glob
from ..parameters import TensorNames, collect_names
from ..private_torch import (
    NO_SEQUENCE_NR,
    LiveNode,
    current_graph_task,
    current_node,
    sequence_nrs,
    unobserved,
)
from ..roots import find_roots
from ..tensor_meta import TensorMetaCache
from .conditions import Conditions
from .front_end import FrontEnd, write_error
from .pause import Gradients, Pause
from .stop import Stop
from .watched_graph import WatchedGraph, hook_graph

__all__ = ["Breakpoints"]


@dataclass(slots=True, eq=False)
class _Pass:
    """A pass that runs.

    Attributes:
        number: Counted from 0; a pass inside of another one has the number of that.
        outer: The pass inside of which it runs.
        place: The user's line that started it.
        thread: Which thread that was.
        handles: What removes the hooks that were put for it.
        met: The node at which predicates were met before it ran, and these predicates.
        is_nonfinite: Whether the first NaN or Inf has been met.
    """

    number: int
    outer: _Pass | None
    place: SourceLine | None
    thread: int
    handles: list[Any] = field(default_factory=list)
    met: tuple[WatchedGraph | None, int, bool] = (None, -1, False)
    is_nonfinite: bool = False

    @property
    def outermost(self) -> _Pass:
        found = self
        while found.outer is not None:
            found = found.outer
        return found


class _Here(threading.local):
    """What is true of one thread.

    Attributes:
        is_busy: Whether a condition or a prompt of ours runs in it: what it starts is not stopped.
    """

    is_busy = False


class Breakpoints:
    """The block of `break_on`; `print` shows what it did.

    Attributes:
        stop_count: How often a pass was stopped so far.
        pass_count: How many passes began so far, those inside of others not counted.
    """

    def __init__(
        self, conditions: Conditions, outputs: Any, params: Any, front_end: FrontEnd
    ) -> None:
        self.stop_count = 0
        self.pass_count = 0
        self._conditions = conditions
        self._given: Any = (outputs, params)
        self._is_limited = outputs is not None
        self._front_end = front_end
        self._handles: list[Any] = []
        self._leaves: list[LiveNode] = []
        self._tasks: dict[int, _Pass] = {}
        self._open: list[_Pass] = []
        self._stepping: _Pass | None = None
        self._is_left = False
        self._asking: Stop | None = None
        self._lock = threading.RLock()
        self._here = _Here()
        self._names = TensorNames(())
        self._last: object = None
        self._node_count = 0
        self._seen: Counter[str] = Counter()
        self._unmatched = dict.fromkeys(conditions.globs)
        self._failures: list[str] = []
        # Also where the block is never left: it may stand in a generator that is dropped.
        weakref.finalize(self, _remove_all, self._handles).atexit = False

    # -- the block -----------------------------------------------------------------------------

    def __enter__(self) -> Breakpoints:
        if self._given is None:
            raise InspectAutogradError(
                "this block of break_on has been entered before",
                remedy="Call break_on again for each block.",
            )
        # The block must not keep the graph alive, so what was given is let go of.
        (outputs, params), self._given = self._given, None
        self._names = collect_names(params)
        try:
            if outputs is not None:
                with unobserved():
                    roots, _ = find_roots(outputs, TensorMetaCache())
                    self._hook([(root.node, root.tensor) for root in roots], self._handles)
            watch(self)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()
        if error is None:
            write_error("".join(f"break_on: {line}\n" for line in self._closing_lines()))

    def _remove(self) -> None:
        unwatch(self)
        _remove_all(self._handles)
        self._leaves.clear()
        self._names = TensorNames(())  # It holds the user's tensors.

    # -- passes --------------------------------------------------------------------------------

    def begin(self, call: EngineCall) -> _Pass:
        """A pass is about to start; see `EngineWatcher`."""
        task = current_graph_task()
        outer = self._tasks.get(task) if task >= 0 else None
        number = self.pass_count if outer is None else outer.number
        opened = _Pass(number, outer, call.place, threading.get_ident())
        self.pass_count += outer is None
        self._open.append(opened)
        # Of a graph that the block is for, the passes that its own nodes start belong to it.
        is_ours = outer is not None or not self._is_limited
        if is_ours and not (self._here.is_busy or self._is_left):
            try:
                with unobserved():
                    nodes = zip(find_call_nodes(call.outputs), call.outputs, strict=True)
                    roots = [(node, value) for (node, _), value in nodes if node is not None]
                    self._hook(roots, opened.handles)
            except BaseException as error:
                _remove_all(opened.handles)
                self._failures.append(f"{type(error).__name__}: {error}")
                if not isinstance(error, Exception):
                    self.end(opened, error, ())
                    raise
        return opened

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        """A pass is over, in whichever way."""
        del results
        if not isinstance(token, _Pass):
            return
        _remove_all(token.handles)
        self._open = [opened for opened in self._open if opened is not token]
        for task in [task for task, opened in list(self._tasks.items()) if opened is token]:
            del self._tasks[task]
        if self._stepping is token:
            self._stepping = None
            if error is None:
                self._front_end.say(f"pass {token.number} is over")

    def _hook(self, roots: Sequence[tuple[LiveNode, Any]], handles: list[Any]) -> None:
        watched, live, put = hook_graph(
            self, roots, self._names, with_values=self._conditions.need_values
        )
        if handles is self._handles:
            # With no graph that holds it, the AccumulateGrad of a leaf is made anew for each pass.
            kinds = watched.graph.node_table.kinds
            self._leaves = [node for node, _ in roots if kinds[live.ids[node]] == "leaf"]
        reasons: dict[int, str] = {}
        for glob in self._conditions.globs:
            if self._is_limited and handles is self._handles:
                ids = select_by_glob(glob, watched.names, "conditions:")
            else:
                ids = find_by_glob(glob, watched.names)
            for id in ids:
                reasons.setdefault(id, repr(glob))
            if ids:
                self._unmatched.pop(glob, None)
        watched.reasons = reasons
        self._node_count += len(watched.graph)
        if self._unmatched:
            self._seen.update(name for names in watched.names for name in names)
        put(handles)

    def _find_pass(self, task: int) -> _Pass:
        """The pass that a node is the first to run in."""
        thread = threading.get_ident()
        opened = next((o for o in reversed(self._open) if o.thread == thread), None)
        if opened is None:
            # A thread of the engine's runs it; or it began before the block.
            opened = self._open[-1] if self._open else _Pass(self.pass_count, None, None, thread)
        self._tasks[task] = opened
        return opened

    # -- nodes ---------------------------------------------------------------------------------

    def before(self, watched: WatchedGraph, id: int, received: Gradients) -> Gradients | None:
        """A node is about to run; see `Host`."""
        task = current_graph_task()
        opened = self._tasks.get(task)
        if opened is None:
            # Other graphs share the leaves; it is this one's pass if another node ran first.
            if id in watched.shared_leaves:
                return None
            opened = self._find_pass(task)
        stepping = self._stepping is not None and self._stepping is opened.outermost
        reason = "the next node" if stepping else watched.reasons.get(id)
        if not (reason or self._conditions.need_values) or self._is_ignored():
            return None
        pause = Pause(watched.graph.nodes[id], received, None, opened.number)
        met = self._test(pause, opened)
        opened.met = (watched, id, bool(met))
        reason = reason or met
        return self._stop(pause, reason, watched, opened) if reason else None

    def after(
        self, watched: WatchedGraph, id: int, returned: Gradients, received: Gradients
    ) -> Gradients | None:
        """A node has run; see `Host`."""
        opened = self._tasks.get(current_graph_task())
        # What it received has met the condition already.
        if opened is None or opened.met == (watched, id, True) or not returned:
            return None
        if self._is_ignored():
            return None
        pause = Pause(watched.graph.nodes[id], received, returned, opened.number)
        reason = self._test(pause, opened)
        return self._stop(pause, reason, watched, opened) if reason else None

    def _is_ignored(self) -> bool:
        # What an expression starts may run in another thread, which must not wait for the prompt.
        asking = self._asking
        is_evaluating = asking is not None and asking.is_evaluating
        return self._is_left or is_evaluating or self._here.is_busy

    def _test(self, pause: Pause, opened: _Pass) -> str:
        """Why to stop for the sake of the gradients; empty if there is no reason."""
        self._here.is_busy = True
        try:
            outermost = opened.outermost
            what = "received" if pause.when == "before" else "returned"
            is_wanted = self._conditions.nonfinite and not outermost.is_nonfinite
            if is_wanted and pause.is_finite is False:
                outermost.is_nonfinite = True
                return f"the first NaN or Inf of this pass, which it {what}"
            for predicate in self._conditions.predicates:
                if predicate.is_met(pause):
                    return f"{predicate.name} is true of what it {what}"
            return ""
        finally:
            self._here.is_busy = False

    def _stop(
        self, pause: Pause, reason: str, watched: WatchedGraph, opened: _Pass
    ) -> Gradients | None:
        key = (current_graph_task(), pause.when, _key_of(current_node()))
        with self._lock:  # Two threads must not ask at the same time.
            # A node that two watched passes share has two hooks.
            if self._is_ignored() or (key == self._last and key[2] is not None):
                return None
            self._last = key
            self.stop_count += 1
            if self._stepping is opened.outermost:
                self._stepping = None
            place = opened.place or find_place(sys._getframe())
            stop = self._asking = Stop(pause, reason, watched, place)
            self._here.is_busy = True
            try:
                action = self._front_end.show(stop)
            finally:
                self._here.is_busy = False
                self._asking = None
            if action == "quit":
                raise BreakpointQuitError(
                    f"the backward pass was left at a breakpoint, {pause.when} node "
                    f"#{pause.node.id} {pause.node.label}",
                    remedy="Set gradients to None before the next pass: those that this one had "
                    "reached were added.",
                )
            if action == "next":
                self._stepping = opened.outermost
            elif action == "leave":
                self._is_left = True
            return stop.replacement

    # -- what is said --------------------------------------------------------------------------

    def _closing_lines(self) -> Iterator[str]:
        """What the user should know at the end of the block; mostly nothing."""
        if not self.pass_count:
            yield "no backward pass began in the block"
            return
        yield from (f"a pass was not watched: {failure}" for failure in self._failures)
        if self._front_end.unshown:
            yield f"{self._front_end.unshown} more stops are not shown"
        if self._is_left:
            return
        nodes = f"the {self._node_count} nodes of {_count(self.pass_count, 'pass', 'es')}"
        for glob in self._unmatched:
            close = ", ".join(find_closest(glob, self._seen))
            yield f"{glob!r} matches none of {nodes}; the closest names are {close}"
        is_all_said = not self._conditions.need_values and self._unmatched
        if not (self.stop_count or is_all_said):
            yield f"no stop at {nodes}, for {self._conditions}"

    def __str__(self) -> str:
        stops, passes = _count(self.stop_count, "stop"), _count(self.pass_count, "pass", "es")
        return f"break_on {self._conditions}: {stops} in {passes}"


def _count(count: int, what: str, ending: str = "s") -> str:
    return f"{count} {what}{ending * (count != 1)}"


def _key_of(node: LiveNode | None) -> int | None:
    """Tells a node from all others of its pass; None where that cannot be told."""
    if node is None:
        return None
    (number,) = sequence_nrs([node])
    return number if number != NO_SEQUENCE_NR else -id(getattr(node, "variable", node))


def _remove_all(handles: list[Any]) -> None:
    while handles:
        handles.pop().remove()
