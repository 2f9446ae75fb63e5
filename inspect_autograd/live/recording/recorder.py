"""record: watch forward and backward of everything in a block."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch

from ...errors import InspectAutogradError
from ...events.recording import Recording, RecordingData
from ...graph.tables import NodeTable
from ..attributors import add_attributor, remove_attributor
from ..carried import carry
from ..engine_calls import unwatch, watch
from ..node_types import is_node
from ..parameters import TensorNames
from ..private_torch import LiveNode, not_compiled, unobserved
from ..tracing.environment import describe_environment
from ..walk import LiveGraph
from . import patches
from .arguments import check_limit, check_stats, name_pairs
from .attribution import Attribution, attribute
from .calls import ThreadCalls
from .effects import Effects
from .failures import Failures
from .forks import unwatch_forks, watch_forks
from .module_paths import ModulePaths, check_models
from .optimizers import unwatch_optimizers, watch_optimizers
from .pass_router import PassRouter
from .passes import PassRecorder, Stats
from .source_lines import SourceLines
from .steps import StepBook, StepPlan
from .thread_marks import find_owners
from .thread_watch import ThreadWatch
from .timeline import to_module_spans

__all__ = ["Recorder", "record"]


@not_compiled
def record(
    *models: torch.nn.Module | Mapping[str, torch.nn.Module],
    params: Any = None,
    stats: Stats = "meta",
    saved: bool = True,
    effects: bool = True,
    limit: int | None = None,
    stack: bool = False,
) -> Recorder:
    """Watch forward and backward of a block, and tie every node to the program that made it.

    Nothing of the program changes: no model is touched, gradients stay bit-identical, exceptions
    pass through, and when the block is left, in whatever way, everything is as it was. The current
    thread is recorded, and threads that are started inside the block.

    A step ends with `optimizer.step()`. As long as no optimizer has done a step, it ends with a
    backward pass that another forward pass follows; `recording.end_step()` says so, too.

    Args:
        models: Modules whose paths become the scopes of nodes, or a dict of names to modules.
            Without any, every module that is called outside of another one becomes a root under
            the name of its class.
        params: More names for tensors, as for `capture`.
        stats: What the traces of backward passes note of gradients, as for `trace`; `"off"` puts
            no hooks at all, so that traces have a graph but no events.
        saved: Also describe the tensors that nodes save for backward.
        effects: Also note cuts and writes.
        limit: Keep only the last so many steps, besides the one that runs. By default all are
            kept.
        stack: Keep all of PyTorch's own lines between the user's line and the call, not only the
            innermost one.

    Returns:
        A context manager that gives the Recording. It can be looked at inside the block too.

    Raises:
        ArgumentTypeError: An argument is of the wrong kind.
        ArgumentError: `stats` is not one of these levels, or `limit` is less than 1.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
        >>> with ia.record(model) as recording:
        ...     model(torch.ones(1, 2)).sum().backward()
        >>> [(node.name, node.scope) for node in recording.graph.nodes][:3]
        [('SumBackward0', None), ('ReluBackward0', '1'), ('AddmmBackward0', '0')]
    """
    return Recorder(
        models,
        params=params,
        stats=stats,
        saved=saved,
        effects=effects,
        limit=limit,
        stack=stack,
    )


class Recorder:
    """The context manager that `record` returns; it is for one block.

    Attributes:
        paths: Knows the paths of modules.
        effects: Notes cuts and writes; None where these are not wanted.
        is_threaded: Whether more than one thread was recorded.
        is_between_steps: Whether a backward pass is over that no optimizer is known to follow, so
            that the next module call begins a step.
        is_inside: Whether the block runs.
        has_stepped: Whether an optimizer has done a step.
        is_open: Whether what happens is noted: the block runs, in a step that is recorded.
    """

    def __init__(
        self,
        models: Sequence[Any],
        *,
        params: Any,
        stats: Stats,
        saved: bool,
        effects: bool,
        limit: int | None,
        stack: bool,
        plan: StepPlan | None = None,
    ) -> None:
        check_stats(stats)
        check_limit(limit)
        self._models: dict[str, torch.nn.Module] | None = check_models(models)
        self._params = params
        self.paths = ModulePaths(self._models)
        self._names: TensorNames = TensorNames(())
        self._owners: dict[str, str] = {}
        self._names_version = -1
        self._with_stack = stack
        self._stats: Stats = stats
        self._lines = SourceLines()
        self._router = PassRouter(self, PassRecorder(stats=stats, saved=saved))
        self._limit = limit
        self._plan = plan
        self._begin_ns = time.perf_counter_ns()
        self.effects = Effects(begin_ns=self._begin_ns) if effects else None
        self.is_open = self.is_inside = self.is_threaded = False
        self.is_between_steps = False
        self._steps: StepBook | None = None
        self._watch: ThreadWatch | None = None
        self._engine_threads: dict[int, ThreadCalls] = {}
        self._recording: weakref.ref[Recording] | None = None
        self.has_stepped = False
        self._failures = Failures()
        self._lock = threading.RLock()

    # -- the block -----------------------------------------------------------------------------

    @not_compiled
    def __enter__(self) -> Recording:
        """Begin."""
        if self._steps is not None:
            raise InspectAutogradError(
                "this recording was entered already; each one is for a single block",
                remedy="Call inspect_autograd.record(...) again for the next block.",
            )
        self._begin_ns = time.perf_counter_ns()
        if self.effects is not None:
            self.effects.begin_ns = self._begin_ns
        self._steps = StepBook(self._limit, self._plan)
        self.names()
        recording = self.recording
        self.is_inside, self.is_open = True, self._steps.is_recorded
        try:
            watch_forks(self)
            patches.put()
            watch(self._router)
            watch_optimizers(self)
            self._watch = ThreadWatch(self)
            self._watch.begin()
            add_attributor(self)
        except BaseException:
            self._close()
            raise
        return recording

    @not_compiled
    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put everything back, and turn what was noted into plain data."""
        try:
            self._close()
            self._finish_step("the end of the block" if error is None else type(error).__name__)
            self.steps.close(has_effects=self._has_effects(self.steps.current.index))
            recording = self._held_recording() if error is None else self.recording
            if recording is not None:
                recording.close(self._assemble())
                if error is not None:
                    carry(error, recording, self)
        except Exception:
            if error is None:
                raise
            # The user's own exception must not be hidden by ours.
        finally:
            self._models = None
            self._params = None
            self._names = TensorNames(())
            if self.effects is not None:
                self.effects.close()

    def _close(self) -> None:
        if not self.is_inside:
            return
        self.is_inside = self.is_open = False
        try:
            if self._watch is not None:
                self._watch.end()
        finally:
            remove_attributor(self)
            unwatch_forks(self)
            unwatch_optimizers(self)
            unwatch(self._router)
            patches.put_back()

    # -- threads -------------------------------------------------------------------------------

    @property
    def steps(self) -> StepBook:
        """The steps so far."""
        assert self._steps is not None
        return self._steps

    def new_calls(self) -> ThreadCalls:
        """Rows for the current thread."""
        calls = ThreadCalls(with_stack=self._with_stack)
        with self._lock:
            self.steps.add_thread(calls)
            self.is_threaded = self.steps.thread_count > 1
        return calls

    def leave_in_child(self) -> None:
        """This is a forked process: a worker is not recorded, and takes no lock of ours."""
        self.is_inside = self.is_open = False
        watch = self.watch_here()
        if watch is not None:
            watch.end()

    def fail(self, error: Exception) -> None:
        """Note that something of ours went wrong; the program goes on."""
        self._failures.note(error)

    def watch_thread(self) -> Callable[[], None]:
        """Begin to record the current thread; what is returned ends that."""
        if not self.is_inside:
            return lambda: None
        watch = ThreadWatch(self)
        watch.begin()

        def leave() -> None:
            watch.end()
            with self._lock:
                self.steps.drop_thread(watch.calls)

        return leave

    def calls_of_thread(self) -> ThreadCalls:
        """The rows of the current thread, which is one of the engine's."""
        ident = threading.get_ident()
        calls = self._engine_threads.get(ident)
        if calls is None:
            calls = self._engine_threads[ident] = self.new_calls()
        return calls

    def watch_here(self) -> ThreadWatch | None:
        """What watches the current thread."""
        for watcher in patches.watchers_here():
            if isinstance(watcher, ThreadWatch) and watcher.host is self:
                return watcher
        return None

    # -- names ---------------------------------------------------------------------------------

    def names(self) -> TensorNames:
        """Names of the parameters, buffers and inputs that are known so far."""
        if self._names_version != self.paths.version:
            self._names_version = self.paths.version
            with unobserved():
                pairs = list(self.paths.named_tensors())
                self._owners = {name: name.rpartition(".")[0] for name, _ in pairs}
                self._names = TensorNames([*pairs, *name_pairs(self._params)])
        return self._names

    # -- steps ---------------------------------------------------------------------------------

    def end_step(self, reason: str) -> None:
        """The step that runs is over."""
        with self._lock:
            self.is_between_steps = False
            self._finish_step(reason)
            self.steps.start(early=not self.has_stepped)
            self.paths.start_step()
            if self.effects is not None:
                self.effects.start_step(self.steps.current.index, self.steps.dropped)
            if self.is_open != self.steps.is_recorded:
                self.is_open = self.steps.is_recorded
                watch = self.watch_here()
                if watch is not None:
                    watch.follow_host()

    def _has_effects(self, step: int) -> bool:
        if self.effects is None:
            return False
        names = self.names()
        steps = [write.step for write in self.effects.mutations(names)]
        return step in (*steps, *(cut.step for cut in self.effects.cuts(names)))

    def _finish_step(self, reason: str) -> None:
        try:
            self.steps.finish(reason)
        except Exception as error:
            self.fail(error)

    def optimizer_stepped(self) -> None:
        """An optimizer has done a step."""
        self.has_stepped = True
        self.end_step("optimizer.step()")

    # -- what comes out ------------------------------------------------------------------------

    @property
    def recording(self) -> Recording:
        """What the block gave; made anew where nobody holds it any more."""
        recording = self._held_recording()
        if recording is None:
            recording = Recording(
                source=self._assemble, creation_source=self._creation_of, end_step=self.end_step
            )
            self._recording = weakref.ref(recording)
        return recording

    def _held_recording(self) -> Recording | None:
        return None if self._recording is None else self._recording()

    def _assemble(self) -> RecordingData:
        steps, names = self.steps, self.names()
        effects = self.effects
        return RecordingData(
            traces=tuple(trace for step in steps.kept for trace in step.traces),
            trace_starts_ns=tuple(
                start - self._begin_ns for step in steps.kept for start in step.trace_starts_ns
            ),
            steps=steps.to_records(self._begin_ns),
            dropped_steps=steps.dropped,
            cuts=() if effects is None else effects.cuts(names),
            mutations=() if effects is None else effects.mutations(names),
            modules=to_module_spans(steps.chunks(), self._lines, self._begin_ns),
            stats_level=self._stats,
            notes=(*self._failures.to_notes(), *self.attribution().compiled_notes()),
            environment=describe_environment(),
        )

    def attribution(self) -> Attribution:
        """Tells what is known of the creation of nodes, as of now."""
        return Attribution(self.steps.chunks(), self._lines, self.steps.dropped, self._owners)

    def attribute_live(self, live: LiveGraph, table: NodeTable) -> NodeTable:
        """The nodes of a graph that is captured inside the block, with creation and scope."""
        attribution = self.attribution()
        owners = {}
        if attribution.is_threaded:
            owners = find_owners(live.ids, attribution.is_ambiguous)
        return attribute(table, attribution, owners)

    def _creation_of(self, node: LiveNode) -> Any:
        """What is known of the creation of a live node; None if it is no node."""
        return self.attribution().creation_of(node) if is_node(node) else None
