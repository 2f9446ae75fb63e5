"""Tell the passes over a traced graph from all others, and note how each was called."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from ...events.records import PassInput, RootGradient, TensorStats
from ...graph.records import Root
from ..call_nodes import find_call_nodes
from ..edit_gradients import active_edits
from ..engine_calls import EngineCall
from ..private_torch import (
    LiveNode,
    current_graph_task,
    current_node,
    next_sequence_nr,
    unobserved,
)
from ..tensor_meta import TensorMetaCache
from ..walk import LiveGraph
from .gradient_stats import GradientStats
from .growing_graph import GrowingGraph
from .hooks import Hooks
from .live_log import LiveLog
from .passes import OpenPass, PassBook, outcome_of
from .recorder import Recorder
from .traced_parameters import ParameterBook

__all__ = ["PassWatch"]


class PassWatch:
    """Watches the calls of the engine for one trace; see `EngineWatcher`.

    Attributes:
        edits: What edited gradients while passes of the trace ran, each once.
        first_numbers: Per pass, the next sequence number when it began.
        thread_names: Of the threads that passes of the trace began in, by their identifier; a
            thread may be gone when the trace is looked at.
        log: Told of passes and new nodes, if there is one.
    """

    def __init__(
        self,
        *,
        graph: GrowingGraph,
        passes: PassBook,
        recorder: Recorder,
        hooks: Hooks,
        parameters: ParameterBook,
        metas: TensorMetaCache,
        stats: GradientStats | None,
    ) -> None:
        self.edits: dict[str, None] = {}
        self.first_numbers: dict[int, int] = {}
        self.thread_names: dict[int, str] = {}
        self.log: LiveLog | None = None
        self._graph = graph
        self._passes = passes
        self._recorder = recorder
        self._hooks = hooks
        self._parameters = parameters
        self._metas = metas
        self._stats = stats
        self._starts: frozenset[int] = frozenset()

    def hook_graph(self, roots: Sequence[tuple[LiveNode, Root]]) -> None:
        """Walk and hook what is there before the first pass.

        Args:
            roots: The nodes to start from, each with a record whose `node` is not set yet.
        """
        graph = self._graph
        added = graph.add(graph.walk(node for node, _ in roots))
        for node, root in roots:
            graph.add_root(Root(root.path, graph.ids[node], root.slot, root.meta))
        self._starts = frozenset(graph.ids[node] for node, _ in roots)
        self._parameters.add_leaves(added)
        self._hooks.put(added, graph.to_graph)

    # -- before a pass -------------------------------------------------------------------------

    def begin(self, call: EngineCall) -> OpenPass:
        """A pass is about to start, maybe one over other graphs."""
        with unobserved():
            try:
                return self._begin(call)
            except Exception as error:
                self._recorder.fail(error)
                raise

    def _begin(self, call: EngineCall) -> OpenPass:
        entries = find_call_nodes(call.outputs)
        roots = [node for node, _ in entries if node is not None]
        parent, parent_pass = self._running_node()
        opened = OpenPass(
            id=-1,
            call=call.call,
            place=call.place,
            thread=threading.get_ident(),
            retain_graph=call.retain_graph,
            create_graph=call.create_graph,
            parent=parent,
            parent_pass=parent_pass,
            running_before=frozenset(self._recorder.running),
        )
        unknown = [node for node in roots if node not in self._graph.ids]
        live = self._graph.walk(unknown) if unknown else None
        if parent is None and not self._is_ours(roots, live):
            return self._passes.announce(opened, belongs=False)
        number = len(self._passes.passes)
        if live is not None:
            self._extend(unknown, live, number)
        ids = self._graph.ids
        opened.roots = tuple(
            RootGradient(ids[node], slot, is_implicit, self._measure(gradient))
            for (node, slot), gradient, is_implicit in zip(
                entries, call.gradients, call.is_implicit, strict=False
            )
            if node is not None
        )
        opened.root_ids = frozenset(root.node for root in opened.roots)
        opened.inputs = self._describe_inputs(call.inputs)
        self.edits.update(dict.fromkeys(active_edits()))
        self.first_numbers[number] = next_sequence_nr()
        self._note_thread(opened.thread)
        self._passes.announce(opened, belongs=True)
        self._tell(opened)
        return opened

    def _note_thread(self, ident: int) -> None:
        # Not current_thread(), which would make up a Thread for one that torch started.
        if ident not in self.thread_names:
            for thread in threading.enumerate():
                if thread.ident == ident:
                    self.thread_names[ident] = thread.name

    def _running_node(self) -> tuple[int, int] | tuple[None, None]:
        """Ids of the node of ours that runs in this thread, if one does, and of its pass."""
        task = current_graph_task()
        node = self._graph.ids.get(current_node()) if task >= 0 else None
        # Where it is the first node of its pass, nothing was noted of that pass yet.
        if node is None or not self._passes.enter(task, node):
            return None, None
        opened = self._passes.find(task)
        return (None, None) if opened is None else (node, opened.id)

    def _is_ours(self, roots: Sequence[LiveNode], live: LiveGraph | None) -> bool:
        """Whether a pass from these roots runs over the traced graph.

        Leaves do not count: all graphs that a model makes share its leaves.

        Args:
            roots: What it starts from.
            live: What those of them reach that are not known; None if all are.
        """
        graph = self._graph
        ids, kind_of = graph.ids, graph.kind_of
        known = [id for id in map(ids.get, roots) if id is not None]
        if any(id in self._starts or kind_of(id) != "leaf" for id in known):
            return True
        if live is None:
            return False
        made = self._made_ranges()
        for node, number in zip(live.nodes, live.sequence_nrs, strict=True):
            id = ids.get(node)
            if id is not None and kind_of(id) != "leaf":
                return True
            if any(first <= number < last for first, last in made):
                return True
        return False

    def _made_ranges(self) -> list[tuple[int, int]]:
        """Sequence numbers of the nodes that recorded passes of ours made in this thread."""
        made, thread = self._recorder.made, threading.get_ident()
        return [
            (self.first_numbers[opened.id], made[opened.graph_task][-1][0])
            for opened in self._passes.passes
            if opened.thread == thread and opened.graph_task in made
        ]

    def _extend(self, roots: Sequence[LiveNode], live: LiveGraph, number: int) -> None:
        """Describe and hook what new roots of a pass reach and was not known before."""
        graph = self._graph
        added = graph.add(live)
        for node in roots:
            graph.add_root(Root(f"pass {number}", graph.ids[node], 0, None))
        self._parameters.add_leaves(added)
        self._hooks.put(added, graph.to_graph)
        if self.log is not None:
            self.log.write_graph(graph.to_graph())

    def _describe_inputs(self, inputs: Sequence[Any] | None) -> tuple[PassInput, ...] | None:
        if inputs is None:
            return None
        ids, names_of = self._graph.ids, self._parameters.names_of
        return tuple(
            PassInput(None if node is None else ids.get(node), slot, names_of(value), None)
            for value, (node, slot) in zip(inputs, find_call_nodes(inputs), strict=True)
        )

    def _measure(self, gradient: Any) -> TensorStats | None:
        if gradient is None:
            return None
        if self._stats is None:
            return TensorStats(self._metas.describe(gradient))
        try:
            position = self._stats.note(gradient)
            if not gradient.is_cpu:
                self._stats.fetch()
            return self._stats.stats[position]
        except Exception as error:  # The pass itself must be noted all the same.
            self._recorder.fail(error)
            return TensorStats(self._metas.describe(gradient), note="it could not be measured")

    # -- after it ------------------------------------------------------------------------------

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        """A pass is over."""
        if not isinstance(token, OpenPass):
            return
        running = self._recorder.running
        started = [id for id in list(running) if id not in token.running_before]
        node = None
        if error is not None:
            # With several threads at work it may be another one's node.
            node = started[-1] if started and self._passes.is_alone(token) else None
            for id in started:
                running.pop(id, None)
        outcome = outcome_of(error, node)
        try:
            if token.id >= 0 and token.call == "grad" and token.inputs is not None:
                with unobserved():
                    self._note_results(token, results)
        except Exception as failure:
            self._recorder.fail(failure)
        finally:
            self._passes.close(token, outcome)
        if token.id >= 0:
            self._tell(token)

    def _note_results(self, opened: OpenPass, results: Sequence[Any]) -> None:
        """What `autograd.grad` returned."""
        if opened.inputs is not None and len(results) == len(opened.inputs):
            opened.inputs = tuple(
                PassInput(old.node, old.slot, old.names, self._measure(result))
                for old, result in zip(opened.inputs, results, strict=True)
            )

    def _tell(self, opened: OpenPass) -> None:
        if self.log is not None:
            try:
                self.log.write_pass(opened)
            except Exception as error:
                self._recorder.fail(error)
