"""Which backward passes belong to a trace, and what is known of each."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from ...events.records import BackwardPass, Outcome, PassCall, PassInput, RootGradient
from ...graph.creation import SourceLine

__all__ = ["OpenPass", "PassBook", "outcome_of"]


@dataclass(slots=True, eq=False)
class OpenPass:
    """A backward pass, from its announcement on. It holds no tensor and no node.

    Attributes:
        id: Index among the passes of the trace; -1 for one that is not part of it.
        call: How the engine was called.
        place: The user's line.
        roots: The gradients it was given.
        root_ids: Ids of the nodes that it starts at.
        inputs: What it is limited to; None if it is not.
        retain_graph: Whether saved tensors are kept.
        create_graph: Whether the pass itself is recorded.
        thread: Identifier of the calling thread.
        parent: Id of the node that called it.
        parent_pass: Id of the pass that this node ran in.
        depth: How many passes of the same thread it runs inside of.
        graph_task: The engine's number, once its first node has run.
        running_before: Ids of the nodes that ran when it began.
        outcome: How it ended; `running` until then.
    """

    id: int
    call: PassCall
    place: SourceLine | None
    thread: int
    roots: tuple[RootGradient, ...] = ()
    root_ids: frozenset[int] = frozenset()
    inputs: tuple[PassInput, ...] | None = None
    retain_graph: bool = False
    create_graph: bool = False
    parent: int | None = None
    parent_pass: int | None = None
    graph_task: int | None = None
    running_before: frozenset[int] = frozenset()
    outcome: Outcome = field(default_factory=lambda: Outcome("running"))

    def to_record(self, threads: dict[int, int]) -> BackwardPass:
        """What is known of it as a record.

        Args:
            threads: Index of each thread by its identifier.
        """
        place = self.place
        return BackwardPass(
            id=self.id,
            call=self.call,
            file=None if place is None else place.file,
            line=None if place is None else place.line,
            function=None if place is None else place.function,
            roots=self.roots,
            inputs=self.inputs,
            retain_graph=self.retain_graph,
            create_graph=self.create_graph,
            graph_task=self.graph_task,
            thread=threads.setdefault(self.thread, len(threads)),
            parent=self.parent,
            outcome=self.outcome,
            parent_pass=self.parent_pass,
        )


def outcome_of(error: BaseException | None, node: int | None) -> Outcome:
    """How something ended.

    Args:
        error: What it raised, None if it did not.
        node: Id of the node that was running then.
    """
    if error is None:
        return Outcome("completed")
    return Outcome("raised", type(error).__name__, str(error), node)


class PassBook:
    """Knows for every graph task whether it belongs to the trace.

    Attributes:
        passes: The passes of the trace in the order in which they began.
        current_task: The graph task that a node was last seen in, -1 before the first.
        recorded_tasks: The graph tasks that record themselves (`create_graph=True`).
        foreign: How many passes began that are not part of the trace.
    """

    def __init__(self) -> None:
        self.passes: list[OpenPass] = []
        self.current_task = -1
        self.foreign = 0
        self.recorded_tasks: set[int] = set()
        self._by_task: dict[int, OpenPass] = {}
        self._waiting: list[OpenPass] = []
        self._lock = threading.RLock()
        self._is_over = False

    def announce(self, opened: OpenPass, *, belongs: bool) -> OpenPass:
        """A pass is about to start; if it belongs to the trace it gets its id."""
        with self._lock:
            if belongs:
                opened.id = len(self.passes)
                self.passes.append(opened)
            else:
                self.foreign += 1
            self._waiting.append(opened)
        return opened

    def close(self, opened: OpenPass, outcome: Outcome) -> None:
        """A pass is over."""
        with self._lock:
            opened.outcome = outcome
            if opened in self._waiting:
                self._waiting.remove(opened)
            # Numbers of graph tasks are never used again, but the pass around this one goes on.
            self.current_task = -1

    def enter(self, task: int, node: int) -> bool:
        """A node was seen in another graph task than the one before it.

        Returns:
            Whether that task belongs to the trace.
        """
        with self._lock:
            if self._is_over:
                return False
            opened = self._by_task.get(task)
            if opened is None:
                opened = self._by_task[task] = self._assign(node)
                opened.graph_task = task
            if opened.id < 0:
                return False
            if opened.create_graph:
                self.recorded_tasks.add(task)
            self.current_task = task
            return True

    def end(self, error: BaseException | None, node: int | None) -> None:
        """The block is over: nothing belongs to the trace from now on.

        Args:
            error: What ended the block.
            node: Id of the node that runs now.
        """
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            self.current_task = -1
            for opened in self.passes:
                # Nobody tells the end of a pass that nobody announced.
                if opened.call == "engine" and opened.outcome.status == "running":
                    opened.outcome = outcome_of(error, node)

    def find(self, task: int) -> OpenPass | None:
        """The pass with this graph task, if a node of it was seen."""
        return self._by_task.get(task)

    def is_alone(self, opened: OpenPass) -> bool:
        """Whether no pass runs in another thread."""
        return all(
            other.thread == opened.thread or other.outcome.status != "running"
            for other in (*self._by_task.values(), *self._waiting)
        )

    def _assign(self, node: int) -> OpenPass:
        """Which of the announced passes a new graph task is, told by the first node that ran."""
        thread = threading.get_ident()
        waiting = self._waiting
        mine = [opened for opened in waiting if opened.thread == thread]
        # On an accelerator nodes run in a thread of the engine. A pass starts at one of its roots.
        found = mine[-1:] or [o for o in waiting if node in o.root_ids] or waiting[-1:]
        if found:
            waiting.remove(found[0])
            return found[0]
        # Nobody announced it: the engine was called past torch.autograd.
        opened = OpenPass(len(self.passes), "engine", None, thread, root_ids=frozenset({node}))
        self.passes.append(opened)
        return opened
