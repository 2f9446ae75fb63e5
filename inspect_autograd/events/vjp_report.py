"""What check_vjp found: plain records, and their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ..graph.tensor_meta import TensorMeta

__all__ = ["VjpArgument", "VjpCheck", "VjpExample", "VjpReport", "VjpStatus"]

VjpStatus = Literal["right", "wrong", "not checked"]

MAX_LINES = 20


@dataclass(frozen=True, slots=True)
class VjpExample:
    """One element of a gradient.

    Attributes:
        index: Where in the gradient.
        expected: What was received times the Jacobian, found by finite differences.
        got: What the node returned; None if it returned nothing for the whole argument.
    """

    index: tuple[int, ...]
    expected: float | complex
    got: float | complex | None

    def __str__(self) -> str:
        got = "None" if self.got is None else f"{self.got:.6g}"
        place = f"[{', '.join(map(str, self.index))}]" if self.index else "the only element"
        return f"{place}: got {got}, expected {self.expected:.6g}"


@dataclass(frozen=True, slots=True)
class VjpArgument:
    """One input of a node's forward function, and the gradient that was returned for it.

    Attributes:
        position: Which argument of the forward function, from 0; `ctx` is not counted.
        name: Its name there; `tensors[1]` for a member of a list.
        meta: Shape and dtype of the input.
        leads_to: Id of the node that the gradient goes on to.
        status: `right`, `wrong` or `not checked`.
        reason: Why it was not checked; empty otherwise.
        max_abs_error: Largest difference between got and expected; None where not checked.
        max_rel_error: The same, divided by the largest expected element; None where not checked,
            and where all that is expected is 0.
        compared: How many elements were compared.
        left_out: How many were not, because the forward function has a kink, a jump or a value
            that is not finite there.
        diagnosis: What is wrong, as far as it can be told; empty if it is right.
        examples: The elements with the largest errors if it is wrong, else the first one.
    """

    position: int
    name: str
    meta: TensorMeta
    leads_to: int
    status: VjpStatus
    reason: str = ""
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    compared: int = 0
    left_out: int = 0
    diagnosis: str = ""
    examples: tuple[VjpExample, ...] = ()


@dataclass(frozen=True, slots=True)
class VjpCheck:
    """The check of one node.

    Attributes:
        node: Its id, as `capture` numbers the nodes of the same outputs.
        name: Its name, such as `SwapBackward`.
        place: Of a custom Function, where its backward stands (`/path/train.py:12`); else empty.
        status: `wrong` if any argument is, `right` if all were checked or have no gradient to
            check, `not checked` otherwise.
        reason: Why it was not checked; empty otherwise.
        diagnosis: What is wrong; empty otherwise.
        source: Where the forward function and its inputs come from.
        precision: Dtype that the forward function was repeated in.
        arguments: One for each input that has a gradient.
        notes: What is not wrong, but good to know.
    """

    node: int
    name: str
    place: str
    status: VjpStatus
    reason: str = ""
    diagnosis: str = ""
    source: str = ""
    precision: str = ""
    arguments: tuple[VjpArgument, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """`#3 SwapBackward (train.py:12)`."""
        file = self.place.replace("\\", "/").rpartition("/")[2]
        return f"#{self.node} {self.name}" + (f" ({file})" if file else "")


@dataclass(frozen=True, slots=True)
class VjpReport:
    """What `check_vjp` found; `print` shows it.

    Attributes:
        checks: One for each node that was asked for, in the order of their ids. Leaves, which
            only accumulate, are not among them.
    """

    checks: tuple[VjpCheck, ...]

    @property
    def wrong(self) -> tuple[VjpCheck, ...]:
        """The checks of nodes that return something else than they should."""
        return self._with("wrong")

    @property
    def right(self) -> tuple[VjpCheck, ...]:
        """The checks of nodes that return what they received times their Jacobian."""
        return self._with("right")

    @property
    def not_checked(self) -> tuple[VjpCheck, ...]:
        """The nodes that could not be checked, with the reason."""
        return self._with("not checked")

    @property
    def is_right(self) -> bool | None:
        """False if any node is wrong; None if none could be checked; True otherwise."""
        return False if self.wrong else True if self.right else None

    def _with(self, status: VjpStatus) -> tuple[VjpCheck, ...]:
        return tuple(check for check in self.checks if check.status == status)

    def __str__(self) -> str:
        blocks = [
            [_verdict(self), *_wrong_lines(self.wrong)],
            _table(self.wrong + self.right),
            _notes(self.wrong + self.right),
            _reasons(self.not_checked),
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block)


def _verdict(report: VjpReport) -> str:
    wrong, right, left = len(report.wrong), len(report.right), len(report.not_checked)
    more = f"; {_nodes(left)} not checked" if left else ""
    if wrong:
        verb = "does" if wrong == 1 else "do"
        what = "not return what it received times its Jacobian"
        return f"wrong: {wrong} of {wrong + right} checked nodes {verb} {what}{more}"
    if right:
        who = "the one checked node" if right == 1 else f"each of {right} checked nodes"
        return f"right: {who} returns what it received times its Jacobian{more}"
    return f"nothing could be checked{f': {_nodes(left)} left out' if left else ''}"


def _wrong_lines(checks: Sequence[VjpCheck]) -> Iterator[str]:
    for check in checks:
        yield f"  {check.label}: {check.diagnosis}"


def _table(checks: Sequence[VjpCheck]) -> list[str]:
    rows = [row for check in checks for row in _rows(check)]
    if not rows:
        return []
    header = ("node", "argument", "status", "largest error", "relative", "elements", "example")
    left = len(rows) - MAX_LINES
    return [
        *_align([header, *rows[:MAX_LINES]]),
        *([f"… and {left} more rows; report.checks has them all"] if left > 0 else []),
    ]


def _rows(check: VjpCheck) -> Iterator[tuple[str, ...]]:
    for argument in check.arguments:
        elements = str(argument.compared)
        if argument.left_out:
            elements += f" (+{argument.left_out} left out)"
        shown = argument.examples[:1] if argument.status == "wrong" else ()
        yield (
            check.label,
            f"{argument.name} {argument.meta}",
            argument.status,
            _number(argument.max_abs_error),
            _number(argument.max_rel_error),
            elements,
            argument.reason or "".join(map(str, shown)),
        )


def _notes(checks: Sequence[VjpCheck]) -> list[str]:
    lines = [f"{check.label}: {note}" for check in checks for note in check.notes]
    left = len(lines) - MAX_LINES
    if left > 0:
        lines[MAX_LINES:] = [f"… and {left} more notes; VjpCheck.notes has them all"]
    return lines


def _reasons(checks: Sequence[VjpCheck]) -> list[str]:
    """One line for each reason and name, since many nodes share one."""
    groups: dict[tuple[str, str], list[VjpCheck]] = {}
    for check in checks:
        groups.setdefault((check.name, check.reason), []).append(check)
    lines = []
    for (name, reason), group in groups.items():
        ids = ", ".join(f"#{check.node}" for check in group[:5])
        more = f" and {len(group) - 5} more" if len(group) > 5 else ""
        lines.append(f"not checked: {ids}{more} {name}: {reason}")
    left = len(lines) - MAX_LINES
    if left > 0:
        lines[MAX_LINES:] = [f"… and {left} more reasons; report.not_checked has them all"]
    return lines


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count != 1)}"
