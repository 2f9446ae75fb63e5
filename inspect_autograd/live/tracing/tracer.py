"""trace: note what every node of a backward pass receives and returns."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...errors import InspectAutogradError
from ...events.nested_passes import find_inner_passes
from ...events.records import BackwardPass, Environment, Evidence, Outcome, StatsLevel
from ...events.table import EventTable
from ...events.trace import KeptTensors, Trace, TraceData
from ...graph.records import Node, Root
from ..carried import carry
from ..engine_calls import unwatch, watch
from ..parameters import collect_names
from ..private_torch import LiveNode, not_compiled, unobserved
from ..roots import find_roots
from ..saved import SavedTensorReader
from ..tensor_meta import TensorMetaCache
from .arguments import check_keep, check_stats
from .assemble import build_table, find_orders_of_made_nodes
from .environment import describe_environment
from .gradient_stats import GradientStats
from .growing_graph import GrowingGraph
from .hooks import Hooks, remove_all
from .interrupts import finish
from .live_log import LiveLog, open_log
from .pass_watch import PassWatch
from .passes import PassBook, outcome_of
from .recorder import Recorder
from .traced_parameters import ParameterBook

if TYPE_CHECKING:
    import os

__all__ = ["Tracer", "trace"]


@not_compiled
def trace(
    outputs: Any,
    *,
    params: Any = None,
    stats: StatsLevel = "basic",
    keep: str | Callable[[Node], bool] | None = None,
    log: str | os.PathLike[str] | None = None,
) -> Tracer:
    """Note what every node receives and returns in the backward passes of a block.

    Every node that `outputs` reach is hooked, leaves and views included. No forward pass has to
    run again, gradients stay bit-identical, exceptions pass through, and all hooks are removed on
    every way out. The block may hold any number of passes: `backward` and `autograd.grad`, also
    of something computed from the outputs inside the block. Passes over other graphs are not
    noted, even where they share leaves with this one.

    Args:
        outputs: What backward will start from, as for `capture`.
        params: Names for parameters, buffers and inputs, as for `capture`.
        stats: `"meta"` notes shapes, types and which gradients came; `"basic"` adds the norm, the
            smallest and the largest element, and so whether all is finite; `"full"` adds the mean
            and counts of zeros, NaN and Inf.
        keep: Keep copies of what some nodes receive and return, in `Trace.kept`: a glob for the
            names of nodes or parameters, or a function that is given a Node and answers yes or
            no.
        log: A file to which each event is written as a line of JSON as it happens, so that a
            process that dies leaves what ran; `inspect_autograd.load` reads it.

    Returns:
        A context manager that gives the Trace. It can be looked at inside the block too.

    Raises:
        NoGraphError: No tensor in `outputs` carries a graph; says why.
        ArgumentTypeError: An argument is of the wrong kind.
        ArgumentError: `stats` is not one of these levels, `keep` matches no node, or `log` cannot
            be written.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.arange(4.0, requires_grad=True)
        >>> y = 2 * torch.dot(x, x)
        >>> with ia.trace(y, params={"x": x}) as trace:
        ...     y.backward()
        >>> [str(stats) for stats in trace.events[0].received]
        ['f32[] |1|']
    """
    return Tracer(outputs, params=params, stats=stats, keep=keep, log=log)


class Tracer:
    """The context manager that `trace` returns; it is for one block.

    Whoever knows the passes from elsewhere uses `open`, `watch`, `close` and `assemble` instead of
    a block.

    Attributes:
        watch: Is to be told of the passes.
        recorder: What its hooks wrote.
        begin_ns: What counts as 0 for the times, by `time.perf_counter_ns`.
    """

    def __init__(
        self,
        outputs: Any,
        *,
        params: Any,
        stats: StatsLevel,
        keep: str | Callable[[Node], bool] | None,
        log: str | os.PathLike[str] | None,
        saved: bool = False,
        hooked: bool = True,
    ) -> None:
        check_stats(stats)
        self._level: StatsLevel = stats
        self._keep = check_keep(keep)
        self._log_path = log
        metas = TensorMetaCache()
        with unobserved():
            names = collect_names(params)
            roots, notes = find_roots(outputs, metas)
            self._parameters = ParameterBook(names, metas, with_norms=stats != "meta")
        self._roots: list[tuple[Any, Root]] | None = [
            (root.node, Root(root.path, -1, root.slot, root.meta)) for root in roots
        ]
        reader = SavedTensorReader(metas, names) if saved else None
        self._graph = GrowingGraph(names, metas, reader)
        self._graph.add_notes(notes)
        self._passes = PassBook()
        self._stats = None if stats == "meta" else GradientStats(stats, metas)
        self.recorder = Recorder(self._stats, self._passes)
        hooks = Hooks(self.recorder, self._keep if hooked else None)
        self.watch = PassWatch(
            graph=self._graph,
            passes=self._passes,
            recorder=self.recorder,
            hooks=hooks,
            parameters=self._parameters,
            metas=metas,
            stats=self._stats,
        )
        self._log: LiveLog | None = None
        # Hooks are taken off even if nobody leaves the block, when this object goes.
        self._handles = hooks.handles
        weakref.finalize(self, remove_all, self._handles)
        self._trace: weakref.ref[Trace] | None = None
        self.begin_ns = 0
        self._error: Outcome | None = None
        self._environment: Environment | None = None

    @not_compiled
    def __enter__(self) -> Trace:
        """Hook every node."""
        roots, self._roots = self._roots, None
        if roots is None:
            raise InspectAutogradError(
                "this trace was entered already; each one is for a single block",
                remedy="Call inspect_autograd.trace(...) again for the next block.",
            )
        try:
            self.begin_ns = time.perf_counter_ns()
            self._log = LiveLog.open(
                open_log(self._log_path), self._passes, self._stats, self.begin_ns
            )
            if self._log is not None:
                self.recorder.listener = self.watch.log = self._log
            with unobserved():
                self.watch.hook_graph(roots)
                self._keep.check(self._graph.to_graph)
            if self._log is not None:
                self._log.write_header(self._graph.to_graph(), self._level, describe_environment())
                self._log.write_parameters(self._parameters.to_records())
            trace = Trace(source=self.assemble, kept_source=self._kept_so_far)
            self._trace = weakref.ref(trace)
            watch(self.watch)
            return trace
        except BaseException:
            self.close(None)
            if self._log is not None:
                with contextlib.suppress(OSError):
                    self._log.close(None)
            raise

    @not_compiled
    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Remove every hook, and turn what was noted into plain data."""
        if error is not None:
            self._error = outcome_of(error, None)
        try:
            self.close(error)
            data = self._finish_log(self.assemble())
            trace = self._trace() if self._trace is not None else None
            if trace is not None:
                trace.close(data, self._kept(data.table))
            if error is not None:
                carry(error, Trace(data))
        except Exception:
            if error is None:
                raise
            # The user's own exception must not be hidden by ours.

    def open(self) -> None:
        """Hook every node, without a block: the passes are told by `watch` alone."""
        roots, self._roots = self._roots or [], None
        self.begin_ns = time.perf_counter_ns()
        self._environment = describe_environment()
        try:
            with unobserved():
                self.watch.hook_graph(roots)
        except BaseException:
            self.close(None)
            raise

    def leaves(self) -> list[Any]:
        """The tensors of the leaves of the graph as far as it is known; only before `close`."""
        nodes = self._graph.ids
        return [node.variable for node in nodes if type(node).__name__ == "AccumulateGrad"]

    def _finish_log(self, data: TraceData) -> TraceData:
        if self._log is not None:
            try:
                self._log.close(data)
            except OSError as error:  # Such as a full disk; the trace itself is there.
                note = f"the log is not complete: {error.strerror or error}"
                return replace(data, notes=(*data.notes, note))
        return data

    @property
    def live_nodes(self) -> Mapping[LiveNode, int]:
        """The nodes with their ids, roots first; none once it was closed."""
        return self._graph.ids

    def close(self, error: BaseException | None) -> None:
        """Let go of the engine, the hooks, the graph and the user's tensors.

        Args:
            error: What ended the block.
        """
        running = list(self.recorder.running)
        finish(
            partial(self._passes.end, error, running[-1] if running else None),
            partial(unwatch, self.watch),
            partial(remove_all, self._handles),
            self._graph.release,
            self._parameters.release,
        )

    # -- what comes out ------------------------------------------------------------------------

    def assemble(self) -> TraceData:
        """What was noted so far as records."""
        recorder, passes, stats = self.recorder, self._passes.passes, self._stats
        flat = recorder.flat[:]
        if stats is not None:
            stats.fetch()
        starts = {
            opened.graph_task: self.watch.first_numbers.get(opened.id, 0)
            for opened in passes
            if opened.graph_task is not None
        }
        self._graph.orders = find_orders_of_made_nodes(
            self._graph.to_graph(), recorder.made, starts
        )
        graph = self._graph.to_graph()
        tasks = {o.graph_task: o.id for o in passes if o.graph_task is not None}
        threads = {} if self._log is None else self._log.threads
        records = tuple(opened.to_record(threads) for opened in passes)
        measured = None if stats is None else stats.stats
        table = build_table(
            graph, flat, measured, passes=tasks, threads=threads, begin_ns=self.begin_ns
        )
        orders = self._orders(table)
        return TraceData(
            graph=graph,
            table=table,
            stats_level=self._level,
            outcome=self._outcome(records),
            passes=records,
            parameters=self._parameters.to_records(),
            evidence=tuple(
                Evidence(orders[key], *found)
                for key, found in recorder.evidence.items()
                if key in orders
            ),
            threads=tuple(map(self._thread_name, threads)),
            edits=tuple(self.watch.edits),
            notes=self._notes(),
            environment=self._environment or describe_environment(),
        )

    def _orders(self, table: EventTable) -> dict[tuple[int, int], int]:
        """Orders of the events that something was noted of, by graph task and node.

        A node runs once in a graph task.
        """
        recorder = self.recorder
        wanted = {*recorder.evidence, *recorder.kept}
        if not wanted:
            return {}
        tasks = [opened.graph_task for opened in self._passes.passes]
        keys = zip((tasks[id] for id in table.passes), table.nodes, strict=True)
        return {
            (key[0], key[1]): order
            for order, key in enumerate(keys)
            if key[0] is not None and key in wanted
        }

    def _kept_so_far(self) -> dict[int, KeptTensors]:
        return self._kept(self.assemble().table)

    def _kept(self, table: EventTable) -> dict[int, KeptTensors]:
        orders, kept = self._orders(table), self.recorder.kept
        return {
            order: KeptTensors(order, *kept[key]) for key, order in orders.items() if key in kept
        }

    def _outcome(self, passes: Sequence[BackwardPass]) -> Outcome:
        """That of the last pass, unless the block ended with an error of another kind."""
        outer = [backward_pass for backward_pass in passes if backward_pass.parent is None]
        if not outer:
            return self._error or Outcome("nothing ran")
        last = outer[-1]
        if last.outcome.status != "raised":
            return self._error or last.outcome
        # A pass inside of it that ended with the same error knows more precisely where.
        ended = replace(last.outcome, node=None)
        outcomes = [inner.outcome for inner in find_inner_passes(passes, last.id)]
        return [outcome for outcome in outcomes if replace(outcome, node=None) == ended][-1]

    def _notes(self) -> tuple[str, ...]:
        notes = [
            f"inspect_autograd itself failed {count} times while it took notes ({text}); what it "
            "could not note is missing"
            for text, count in self.recorder.failures.items()
        ]
        if foreign := self._passes.foreign:
            ran = "1 backward pass" if foreign == 1 else f"{foreign} backward passes"
            notes.append(f"{ran} in this block ran over other graphs than the traced one")
        if "CompiledFunctionBackward" in self._graph.names:
            notes.append(
                "CompiledFunctionBackward stands for a whole compiled graph; what happens inside "
                "of it is not seen"
            )
        return tuple(notes)

    def _thread_name(self, ident: int) -> str:
        return self.watch.thread_names.get(ident, "a thread of PyTorch")
