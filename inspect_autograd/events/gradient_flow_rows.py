"""The rows of a gradient flow: one for each parameter, or one for each module."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import hypot, isnan, nan, sqrt
from typing import Literal

from ..graph.tensor_meta import TensorMeta
from .gradient_deliveries import Delivery
from .records import TracedParameter

__all__ = ["NO_NAME", "SEVERITY", "Flag", "FlagKind", "FlowRow", "group_by_module", "make_row"]

FlagKind = Literal[
    "missing",
    "non-finite",
    "dead",
    "vanishing",
    "exploding",
    "mostly zero",
    "update too large",
    "update too small",
]
SEVERITY: tuple[FlagKind, ...] = (
    "non-finite",
    "exploding",
    "missing",
    "dead",
    "vanishing",
    "update too large",
    "update too small",
    "mostly zero",
)
"""Worst first: the order of flagged rows in the text, and of the flags of a row."""
NO_NAME = "(no name)"
"""Module of the parameters that have no name, and so no module."""


@dataclass(frozen=True, slots=True)
class Flag:
    """Something that looks wrong; `gradient_flow_flags` has the criteria.

    Attributes:
        kind: What.
        text: The numbers or the reason behind it.
        count: Of a module: how many of its parameters have it.
    """

    kind: FlagKind
    text: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.kind} ×{self.count}" if self.count > 1 else self.kind


@dataclass(frozen=True, slots=True)
class FlowRow:
    """The gradient of one parameter, or of all parameters of a module taken as one vector.

    A number that is not known is None. A gradient that did not arrive is counted in `missing`
    and is no part of `l2`, `max_abs` and `zero_share`.

    Attributes:
        name: First name of the parameter, `leaf #4` (with the id of its node) if it has none;
            or the path of the module, empty for the outermost one.
        names: All names of the parameter; or the first names of the module's parameters. A tied
            parameter belongs to the module of its first name.
        meta: Shape and dtype of the parameter; None for a module.
        parameters: How many parameters it is about: 1, or those of the module.
        missing: How many of these got no gradient.
        numel: Number of elements of all its parameters.
        l2: Euclidean norm of the gradient; `inf` where only the squares overflow.
        max_abs: Largest absolute value of an element of the gradient.
        zero_share: Share of the gradient's elements that are exactly 0; known at
            `stats="full"`.
        parameter_l2: Norm of the parameter's values when the trace began.
        update_ratio: `learning_rate · |gradient| / |parameter|`, how far one step of plain SGD
            moves it; None without a learning rate, and where the parameter is all zeros.
        deliveries: How many gradients the pass delivered to it. If a parameter got several, as
            where checkpointed blocks share it, the numbers are those of the largest one: their
            sum, which ends up in `.grad`, was never seen.
        flags: What looks wrong, worst first.
        vanishing_below: Norm below which it is flagged as vanishing; None if there is nothing
            to compare with.
        exploding_above: Norm above which it is flagged as exploding.
        note: What else there is to say.
    """

    name: str
    names: tuple[str, ...]
    meta: TensorMeta | None
    parameters: int
    missing: int
    numel: int | None
    l2: float | None
    max_abs: float | None
    zero_share: float | None
    parameter_l2: float | None
    update_ratio: float | None
    deliveries: int
    flags: tuple[Flag, ...] = ()
    vanishing_below: float | None = None
    exploding_above: float | None = None
    note: str = ""

    @property
    def magnitude(self) -> float | None:
        """`l2`, or `max_abs` where the squares underflowed so that the norm came out smaller."""
        if self.l2 is None:
            return self.max_abs
        if self.max_abs is None or isnan(self.l2):
            return self.l2
        return nan if isnan(self.max_abs) else max(self.l2, self.max_abs)

    @property
    def rms(self) -> float | None:
        """Root of the mean square of the elements: the norm without the influence of the size."""
        size = self.magnitude
        return None if size is None or not self.numel else size / sqrt(self.numel)


def make_row(
    parameter: TracedParameter, delivery: Delivery, learning_rate: float | None
) -> FlowRow:
    """The row of one parameter, without flags."""
    stats = delivery.stats
    notes = []
    if delivery.count > 1:
        notes.append(f"largest of {delivery.count} deliveries")
    if stats is not None and stats.note:
        notes.append(stats.note)
    elif stats is not None and stats.l2 is None:
        notes.append("its norm was not computed")
    l2 = None if stats is None else stats.l2
    return FlowRow(
        name=parameter.names[0] if parameter.names else f"leaf #{parameter.node}",
        names=parameter.names,
        meta=parameter.meta,
        parameters=1,
        missing=int(stats is None),
        numel=parameter.meta.numel,
        l2=l2,
        max_abs=None if stats is None else stats.max_abs,
        zero_share=None if stats is None else stats.zero_share,
        parameter_l2=parameter.l2,
        update_ratio=_update_ratio(learning_rate, l2, parameter.l2),
        deliveries=delivery.count,
        note="; ".join(notes),
    )


def _update_ratio(
    learning_rate: float | None, l2: float | None, parameter_l2: float | None
) -> float | None:
    # A bias often starts as zeros: then any update is infinitely large, which means nothing.
    if learning_rate is None or l2 is None or not parameter_l2:
        return None
    return learning_rate * l2 / parameter_l2


def group_by_module(
    rows: Iterable[FlowRow], learning_rate: float | None, depth: int | None = None
) -> tuple[FlowRow, ...]:
    """One row for each module, in the order in which the modules come first.

    Args:
        rows: Rows of parameters.
        learning_rate: For the update ratio.
        depth: How many components of the module path to keep; all by default.
    """
    groups: dict[str, list[FlowRow]] = {}
    for row in rows:
        module = row.name.rpartition(".")[0] if row.names else NO_NAME
        if depth is not None:
            module = ".".join(module.split(".")[:depth])
        groups.setdefault(module, []).append(row)
    return tuple(_join(name, members, learning_rate) for name, members in groups.items())


def _join(name: str, rows: Sequence[FlowRow], learning_rate: float | None) -> FlowRow:
    came = [row for row in rows if not row.missing]
    l2 = _norm([row.l2 for row in came if row.l2 is not None])
    norms = [row.parameter_l2 for row in rows]
    parameter_l2 = None if None in norms else _norm([norm for norm in norms if norm is not None])
    numels = [row.numel for row in rows]
    notes = _join_notes(rows, came)
    return FlowRow(
        name=name,
        names=tuple(row.name for row in rows),
        meta=None,
        parameters=len(rows),
        missing=len(rows) - len(came),
        numel=None if None in numels else sum(n for n in numels if n is not None),
        l2=l2,
        max_abs=_largest([row.max_abs for row in came if row.max_abs is not None]),
        zero_share=_zero_share(came),
        parameter_l2=parameter_l2,
        update_ratio=_update_ratio(learning_rate, l2, parameter_l2),
        deliveries=sum(row.deliveries for row in rows),
        flags=_join_flags(rows),
        note="; ".join(notes),
    )


def _norm(norms: Sequence[float]) -> float | None:
    """Norm of the vectors of these norms put end to end; None of none."""
    if any(isnan(norm) for norm in norms):  # `hypot(nan, inf)` is inf.
        return nan
    return hypot(*norms) if norms else None


def _largest(values: Sequence[float]) -> float | None:
    if any(isnan(value) for value in values):
        return nan
    return max(values, default=None)


def _zero_share(rows: Sequence[FlowRow]) -> float | None:
    """Zeros among all elements of the gradients that came; None unless all of them know."""
    zeros = total = 0.0
    for row in rows:
        if row.numel == 0:
            continue
        if row.zero_share is None or row.numel is None:
            return None
        zeros += row.zero_share * row.numel
        total += row.numel
    return zeros / total if total else None


def _join_notes(rows: Sequence[FlowRow], came: Sequence[FlowRow]) -> list[str]:
    notes = []
    if len(came) < len(rows):
        notes.append(f"{len(rows) - len(came)} of {len(rows)} gradients missing")
    unknown = sum(row.l2 is None for row in came)
    if unknown:
        notes.append(f"{unknown} of {len(rows)} without a norm, left out")
    several = sum(row.deliveries > 1 for row in came)
    if several:
        notes.append(f"{several} of {len(rows)} show the largest of several deliveries")
    return notes


def _join_flags(rows: Sequence[FlowRow]) -> tuple[Flag, ...]:
    """The flags of the parameters, counted; each with the text of the first, and whose it is."""
    found: dict[FlagKind, list[tuple[FlowRow, Flag]]] = {}
    for row in rows:
        for flag in row.flags:
            found.setdefault(flag.kind, []).append((row, flag))
    joined = []
    for kind in SEVERITY:
        if kind in found:
            row, flag = found[kind][0]
            own = row.name.rpartition(".")[2]
            more = f", and {len(found[kind]) - 1} more" if len(found[kind]) > 1 else ""
            joined.append(Flag(kind, f"{own}: {flag.text}{more}", len(found[kind])))
    return tuple(joined)
