"""What the commands of `inspect-autograd step` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch

from ..errors import ArgumentError
from ..events.engine_state import EngineState, NodeStatus, StepRecord
from ..events.pass_progress import PassProgress
from ..graph.records import Node
from ..live.breaking.commands import parse_number
from ..live.breaking.namespace import evaluate_with
from ..live.stepping.step import Step
from ..render.escape import visible
from ..render.step_screen import (
    Line,
    neighbourhood_lines,
    plain_lines,
    screen_lines,
    status_word,
)
from ..render.step_text import node_label, status_text
from .node_details import describe_node_fully
from .result import UserCodeError
from .step_commands import command_help, parse
from .step_looks import (
    find_nodes,
    gradient_lines,
    names_for_print,
    order_lines,
    saved_lines_of,
    source_lines,
    where_lines_of,
)
from .step_start import Started
from .user_code import user_traceback

__all__ = ["Session", "Shown"]

MAX_LEVELS = 20
MAX_PEEKED = 8


class Shown(NamedTuple):
    """What a command shows.

    Attributes:
        lines: The text.
        is_screen: Whether the lines are to fit into the width of the terminal.
        step: The step that it came to.
        is_end: Whether the user wants to leave.
    """

    lines: list[Line]
    is_screen: bool = True
    step: StepRecord | None = None
    is_end: bool = False


class Session:
    """Carries out commands on one pass.

    Args:
        started: The pass.
        held: Opened around a run; gives what is asked before each node, whether to stop.
    """

    def __init__(
        self, started: Started, held: Callable[[], AbstractContextManager[Callable[[], bool]]]
    ) -> None:
        self._started = started
        self._stepper = started.stepper
        self._graph = started.stepper.graph
        self._held = held
        self._step: Step | None = None
        self._focus: int | None = None

    def open(self) -> Shown:
        """What is shown first."""
        graph, notes = self._graph, self._stepper.notes
        nodes, leaves = len(graph), len(graph.leaves())
        title = f"{visible(self._started.target)}: {_count(nodes, 'node')}, "
        title += ("1 leaf" if leaves == 1 else f"{leaves} leaves") + "; help shows the commands"
        lines = [Line(title, "title"), *(Line(f"note: {visible(n)}", "waiting") for n in notes)]
        return Shown(lines + screen_lines(None, self._progress()))

    def do(self, line: str) -> Shown:
        """Carry out one command.

        Raises:
            ArgumentError: The command is wrong, or cannot be carried out.
            UserCodeError: A node raised an error. The pass stands before that node.
        """
        name, rest = parse(line)
        shown = getattr(self, f"_do_{name}")(rest)
        return shown if isinstance(shown, Shown) else Shown(shown)

    @property
    def state(self) -> EngineState:
        """Where the pass stands."""
        return self._stepper.state

    def gradients(self) -> list[tuple[str, Any]]:
        """Name of each leaf or input, and numbers about its gradient."""
        return gradient_lines(self._started)

    # -- going on and back -----------------------------------------------------------------------

    def _do_next(self, rest: str) -> Shown:
        end = self._stepper.position + _number(rest, "N", 1)
        return self._go(lambda step: step.index + 1 >= end)

    def _do_run(self, rest: str) -> Shown:
        del rest
        return self._go(lambda _: False)

    def _do_until(self, rest: str) -> Shown:
        progress = self._progress()
        found = find_nodes(self._graph, rest)
        runs = {*progress.coming, *progress.only_captured} - {*progress.done}
        wanted = {node.id for node in found} & runs
        if not wanted:
            (first, *others) = found
            word = status_word(progress, first.id)
            more = f", and {_count(len(others), 'other')} like it" if others else ""
            raise ArgumentError(
                f"no node that matches {rest!r} is still to run: "
                f"{node_label(self._graph, first.id)} is {word}{more}",
                remedy="back takes steps back; order shows what is to come.",
            )
        return self._go(lambda step: step.id in wanted)

    def _do_back(self, rest: str) -> Shown:
        self._step = self._stepper.back(_number(rest, "N", 1))
        return self._show()

    def _go(self, is_reached: Callable[[Step], bool]) -> Shown:
        before = self._stepper.position
        is_stopped = False
        with self._held() as is_interrupted:
            while not (is_stopped := is_interrupted()):
                step = self._next()
                if step is None:
                    break
                self._step = step
                if is_reached(step):
                    break
        taken = self._stepper.position - before
        if not taken and not is_stopped:
            text = f"the pass is over after {_count(before, 'step')}"
            return Shown([Line(f"{text}; grads shows the gradients, back goes back", "title")])
        shown = self._show()
        if is_stopped:
            shown.lines.append(Line(f"interrupted after {_count(taken, 'step')}", "bad"))
        return shown

    def _next(self) -> Step | None:
        try:
            return self._stepper.next()
        except Exception as error:
            self._focus = None
            id = self.state.next_node
            label = "a node" if id is None else node_label(self._graph, id)
            raise UserCodeError(
                f"{label} raised {type(error).__name__} in step {self._stepper.position}",
                type_name=type(error).__name__,
                detail=str(error),
                traceback=user_traceback(error),
                remedy="If loss.backward() raises the same, explain(error) says what it means.",
            ) from error

    def _show(self) -> Shown:
        self._focus = None
        record = None if self._step is None else self._step.describe()
        return Shown(screen_lines(record, self._progress()), step=record)

    # -- the pass --------------------------------------------------------------------------------

    def _do_peek(self, rest: str) -> list[Line]:
        return plain_lines(status_text(self._peek(self._one(rest).id)))

    def _do_queue(self, rest: str) -> list[Line]:
        del rest
        state = self.state
        if state.is_over:
            return [Line("the queue is empty: the pass is over")]
        return self._statuses(state.queue)

    def _do_waiting(self, rest: str) -> list[Line]:
        del rest
        waiting = [waiting.node for waiting in self.state.waiting]
        return self._statuses(waiting) if waiting else [Line("no node waits for a gradient")]

    def _do_order(self, rest: str) -> list[Line]:
        return order_lines(self._progress(), _number(rest, "N", 10))

    def _do_grads(self, rest: str) -> list[Line]:
        del rest
        rows = self.gradients()
        width = max((len(name) for name, _ in rows), default=0)
        known = [Line(f"{name:{width}}  {stats}") for name, stats in rows if stats is not None]
        missing = [name for name, stats in rows if stats is None]
        known += [Line(f"{name:{width}}  none yet", "dim") for name in missing[:MAX_PEEKED]]
        if len(missing) > MAX_PEEKED:
            known.append(Line(f"… and {len(missing) - MAX_PEEKED} more without one", "dim"))
        return known

    def _statuses(self, ids: Sequence[int]) -> list[Line]:
        lines = []
        for id in ids[:MAX_PEEKED]:
            lines += plain_lines(status_text(self._peek(id)))
        if len(ids) > MAX_PEEKED:
            lines.append(Line(f"… and {len(ids) - MAX_PEEKED} more", "dim"))
        return lines

    # -- one node --------------------------------------------------------------------------------

    def _do_graph(self, rest: str) -> list[Line]:
        levels = _number(rest, "LEVELS", 3)
        return neighbourhood_lines(self._progress(), self._at(), levels=min(levels, MAX_LEVELS))

    def _do_node(self, rest: str) -> Shown:
        if rest:
            self._focus = self._one(rest).id
        text = describe_node_fully(self._graph, self._graph.nodes[self._at()])
        return Shown(plain_lines(text), is_screen=False)

    def _do_up(self, rest: str) -> list[Line]:
        senders = self._graph.previous_nodes(self._at())
        return self._move(senders, parse_number(rest, len(senders), "node that sends a gradient"))

    def _do_down(self, rest: str) -> list[Line]:
        targets = self._graph.next_nodes(self._at())
        return self._move(targets, parse_number(rest, len(targets), "node that a gradient goes to"))

    def _move(self, nodes: Sequence[Node], index: int) -> list[Line]:
        self._focus = nodes[index].id
        return neighbourhood_lines(self._progress(), self._focus, levels=1)

    def _do_saved(self, rest: str) -> list[Line]:
        del rest
        return saved_lines_of(self._started.live.nodes[self._at()])

    def _do_where(self, rest: str) -> Shown:
        del rest
        return Shown(where_lines_of(self._graph.nodes[self._at()]), is_screen=False)

    def _do_source(self, rest: str) -> Shown:
        del rest
        return Shown(source_lines(self._graph.nodes[self._at()]), is_screen=False)

    def _do_print(self, rest: str) -> Shown:
        step = self._step_of(self._at())
        names = names_for_print(self._started, self._graph.nodes[self._at()], step)
        with torch.no_grad():
            value = evaluate_with(rest, names)
            try:
                text = value if isinstance(value, str) else repr(value)
            except Exception as error:
                raise ArgumentError(f"its repr raises {type(error).__name__}: {error}") from None
        return Shown(plain_lines(text) or [Line("")], is_screen=False)

    # -- the rest --------------------------------------------------------------------------------

    def _do_help(self, rest: str) -> Shown:
        return Shown([Line(line) for line in command_help(rest)], is_screen=False)

    def _do_quit(self, rest: str) -> Shown:
        del rest
        return Shown([], is_end=True)

    # -- inside ----------------------------------------------------------------------------------

    def _progress(self) -> PassProgress:
        done = {step.id: step.index for step in self._stepper.steps}
        return PassProgress(self.state, done, self._started.order)

    def _peek(self, id: int) -> NodeStatus:
        return self._stepper.peek(id)

    def _at(self) -> int:
        """The node that is looked at: one that was named, else the last that ran."""
        if self._focus is not None:
            return self._focus
        if self._step is not None:
            return self._step.id
        id = self.state.next_node
        return 0 if id is None else id

    def _step_of(self, id: int) -> Step | None:
        return next((step for step in self._stepper.steps if step.id == id), None)

    def _one(self, text: str) -> Node:
        if not text:
            return self._graph.nodes[self._at()]
        found = find_nodes(self._graph, text)
        if len(found) > 1:
            labels = ", ".join(node_label(self._graph, node.id) for node in found[:6])
            more = f", and {len(found) - 6} more" if len(found) > 6 else ""
            raise ArgumentError(
                f"{text!r} matches {len(found)} nodes: {labels}{more}",
                remedy=f"Give the id of one of them, such as #{found[0].id}.",
            )
        return found[0]


def _number(rest: str, what: str, default: int) -> int:
    if not rest:
        return default
    if not (rest.isascii() and rest.isdigit() and int(rest) > 0):
        raise ArgumentError(
            f"{what} is {rest!r}; expected a whole number above 0",
            remedy="Leave it out, or write for example 3.",
        )
    return int(rest)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
