"""NonfiniteReport: where NaN or Inf was born, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Literal

__all__ = ["NonfiniteKind", "NonfiniteReport"]

NonfiniteKind = Literal["born", "root", "accumulated", "changed", "unknown"]

WIDTH = 96
SHOWN = 5


@dataclass(frozen=True, slots=True)
class NonfiniteReport:
    """Where NaN or Inf was born in a trace, why, and how far it got.

    Attributes:
        kind: `born`: a node received only finite gradients and returned one that is not.
            `root`: the gradient given to a root was not finite already. `accumulated`: several
            finite gradients were added up, and their sum is not finite. `changed`: what a node
            received is not finite although what was returned to it is: a hook in between changed
            it. `unknown`: numbers are missing there; `explanation` says between which nodes.
        what: `NaN`, `Inf` or `NaN and Inf`.
        event: Order of the event where it was first seen; None if that node did not run.
        node: Id of its node in `Trace.graph`.
        node_label: What to call the node: its name, or that of its parameter.
        backward_pass: Id of the pass.
        place: The user's line that ran the pass, such as `train.py:41`; empty if unknown.
        slot: For `born`, which of the returned gradients (slot of `next_functions`); else which
            of the received ones (output slot); -1 if unknown.
        rule: Slug of the rule that explains it; empty if none does.
        explanation: Why, as far as is known.
        values: What was looked at: name to a short description of what it held.
        fix: What to do about it.
        passed_on: The first nodes that received it and passed it on, as `#8 MulBackward0`.
        passed_on_count: How many nodes passed it on in all.
        reached: Names of the parameters that a gradient with NaN or Inf arrived at, in any pass.
        others: Later births that do not come from this one: name of the node to how many.
        made_by: The call, line and module that made the node, where `record` saw them; else empty.
    """

    kind: NonfiniteKind
    what: str
    event: int | None
    node: int
    node_label: str
    backward_pass: int
    place: str
    slot: int
    rule: str
    explanation: str
    values: Mapping[str, str] = field(default_factory=dict)
    fix: str = ""
    passed_on: tuple[str, ...] = ()
    passed_on_count: int = 0
    reached: tuple[str, ...] = ()
    others: Mapping[str, int] = field(default_factory=dict)
    made_by: str = ""

    @property
    def headline(self) -> str:
        """One line that says what was born where."""
        node = f"#{self.node} {self.node_label}"
        place = f", {self.place}" if self.place else ""
        where = f"pass {self.backward_pass}{place}"
        at = where if self.event is None else f"event {self.event} of {where}"
        subject = f"{self.what} {'were' if ' and ' in self.what else 'was'}"
        match self.kind:
            case "born":
                return f"{subject} born at {node} ({at})"
            case "root":
                return f"{subject} in the gradient given to the root {node} ({at})"
            case "accumulated":
                return f"{subject} born where gradients are added up for {node} ({at})"
            case "changed":
                return f"{subject} put in by a hook on the way to {node} ({at})"
            case "unknown":
                return f"{subject} first seen at {node} ({at}); the birth was not seen"

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield self.headline
        if self.made_by:
            yield f"  #{self.node} was made by {self.made_by}"
        yield from _paragraph(self.explanation)
        if self.rule:
            yield f"  rule: {self.rule}"
        for name, value in self.values.items():
            yield f"    {name}: {value}"
        if self.fix:
            yield from _paragraph(f"What to do: {self.fix}")
        yield from _paragraph(f"Passed on by {self._passed_on_text()}.")
        if self.reached:
            count = len(self.reached)
            names = _first(self.reached, count)
            plural = "" if count == 1 else "s"
            yield from _paragraph(f"It reached the gradient{plural} of {count}: {names}.")
        else:
            yield "  It reached no leaf."
        if self.others:
            births = [f"{name} ({count})" for name, count in self.others.items()]
            text = _first(tuple(births), len(births))
            yield from _paragraph(f"Later births that do not come from this one: {text}.")

    def _passed_on_text(self) -> str:
        if not self.passed_on_count:
            return "no node"
        count = self.passed_on_count
        plural = "" if count == 1 else "s"
        return f"{count} node{plural}: {_first(self.passed_on, count)}"


def _first(names: tuple[str, ...], count: int) -> str:
    more = count - min(len(names), SHOWN)
    return ", ".join(names[:SHOWN]) + (f", … {more} more" if more > 0 else "")


def _paragraph(text: str) -> list[str]:
    return wrap(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
