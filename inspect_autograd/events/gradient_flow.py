"""How large the gradients of the parameters are in one backward pass, and which look wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, cast

from ..errors import ArgumentError, ArgumentTypeError
from .gradient_deliveries import collect_deliveries
from .gradient_flow_flags import (
    MOSTLY_ZERO,
    NearLoss,
    find_looked_up,
    find_near_loss,
    flag_rows,
)
from .gradient_flow_rows import SEVERITY, Flag, FlagKind, FlowRow, group_by_module, make_row
from .trace import Trace, as_trace

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas

__all__ = ["Flag", "FlagKind", "FlowBy", "FlowRow", "GradientFlow", "find_gradient_flow"]

FlowBy = Literal["parameter", "module"]


@dataclass(frozen=True, slots=True, repr=False)
class GradientFlow:
    """The gradients of the parameters in one backward pass; `print` shows them as a table.

    Attributes:
        rows: One for each parameter or module, in the order of `Trace.parameters`.
        by: What the rows are about.
        backward_pass: Id of the pass.
        where: What called the pass: `backward at train.py:41`.
        learning_rate: As given.
        near_loss: What the sizes of gradients were compared with.
        notes: What is not shown, and why.
    """

    rows: tuple[FlowRow, ...]
    by: FlowBy
    backward_pass: int
    where: str
    learning_rate: float | None
    near_loss: NearLoss
    notes: tuple[str, ...] = ()

    @property
    def flagged(self) -> tuple[FlowRow, ...]:
        """The rows that have a flag, worst first."""
        found = [row for row in self.rows if row.flags]
        return tuple(sorted(found, key=_badness))

    @property
    def flag_counts(self) -> dict[FlagKind, int]:
        """How many parameters have each flag, worst first; only those that occur."""
        counts = Counter({flag.kind: 0 for row in self.rows for flag in row.flags})
        for row in self.rows:
            for flag in row.flags:
                counts[flag.kind] += flag.count
        return {kind: counts[kind] for kind in SEVERITY if kind in counts}

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw the gradient norms as bars on a logarithmic axis, flagged ones marked.

        Needs matplotlib. The same gradient flow gives the same file. Beyond 200 bars, modules
        are shown instead of parameters, and outer instead of inner modules.

        Args:
            path: Where to write; the suffix chooses the format: `.png`, `.svg` or `.pdf`.

        Returns:
            The path, as given.

        Raises:
            ArgumentError: The suffix is another one, or the file cannot be written.
            MissingDependencyError: matplotlib is not installed.
        """
        from ..render.gradient_flow_plot import plot_gradient_flow

        return plot_gradient_flow(self, path)

    def to_dataframe(self) -> pandas.DataFrame:
        """A `pandas.DataFrame` with one row for each of `rows`; needs pandas.

        Its columns are the fields of `FlowRow`; `meta` and `flags` are text.
        """
        from ..graph.import_pandas import import_pandas

        columns = [field.name for field in fields(FlowRow)]
        records = [{name: _cell(name, getattr(row, name)) for name in columns} for row in self.rows]
        return import_pandas().DataFrame.from_records(records, columns=columns)

    def __str__(self) -> str:
        from ..render.gradient_flow_text import render_gradient_flow

        return render_gradient_flow(self)

    def __repr__(self) -> str:
        flagged = sum(bool(row.flags) for row in self.rows)
        return (
            f"<GradientFlow by {self.by}: {len(self.rows)} rows, {flagged} flagged, "
            f"pass {self.backward_pass}>"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))


def _badness(row: FlowRow) -> tuple[int, float]:
    worst = row.flags[0].kind
    size = row.rms or 0.0
    order = {"exploding": -size, "vanishing": size}.get(worst, 0.0)
    return SEVERITY.index(worst), order


def _cell(name: str, value: object) -> object:
    if name == "meta":
        return "" if value is None else str(value)
    if name == "flags":
        return ", ".join(str(flag) for flag in cast("tuple[Flag, ...]", value))
    return value


def find_gradient_flow(
    trace: Trace,
    *,
    by: str = "parameter",
    learning_rate: float | None = None,
    backward_pass: int | None = None,
) -> GradientFlow:
    """How large the gradients of the parameters are; see `Trace.gradient_flow`.

    The flags and their thresholds are described in `gradient_flow_flags`.

    Args:
        trace: The trace; with `stats="basic"` or more.
        by: `parameter` or `module`: what one row is about. The module of a parameter is the path
            before the last dot of its (first) name.
        learning_rate: Of the optimizer, above 0.
        backward_pass: Index in `trace.passes`; by default the last pass that delivered a gradient
            to a leaf. The reentrant passes that it called are part of it.

    Raises:
        ArgumentError: The trace knows no values or no pass, or an argument cannot be used.
        ArgumentTypeError: An argument is of the wrong type.
    """
    trace = as_trace(trace, "trace")
    kind, rate = _check_by(by), _check_learning_rate(learning_rate)
    if trace.stats_level == "meta":
        raise ArgumentError(
            'the trace was made with stats="meta", which knows no values of gradients',
            remedy='Trace with stats="basic" or stats="full".',
        )
    arrived = collect_deliveries(trace, _check_pass(trace, backward_pass))
    deliveries = arrived.deliveries
    parameters = [trace.parameters[index] for index in arrived.parameters]
    rows = [make_row(p, d, rate) for p, d in zip(parameters, deliveries, strict=True)]
    looked_up = [False] * len(rows)
    if any(row.zero_share is not None and row.zero_share > MOSTLY_ZERO for row in rows):
        is_looked_up = find_looked_up(trace.graph)
        looked_up = [is_looked_up(parameter.node) for parameter in parameters]
    near = find_near_loss(rows, deliveries)
    rows = flag_rows(rows, deliveries, near, looked_up)
    chosen = arrived.backward_pass
    flow = GradientFlow(
        rows=tuple(rows),
        by="parameter",
        backward_pass=chosen.id,
        where=f"{chosen.call} at {chosen.place}",
        learning_rate=rate,
        near_loss=near,
        notes=arrived.notes,
    )
    return flow if kind == "parameter" else by_module(flow)


def by_module(flow: GradientFlow) -> GradientFlow:
    """The same by module."""
    return replace(flow, rows=group_by_module(flow.rows, flow.learning_rate), by="module")


def _check_by(by: object) -> FlowBy:
    if by == "parameter" or by == "module":  # noqa: PLR1714 -- mypy narrows only this
        return by
    error = ArgumentError if isinstance(by, str) else ArgumentTypeError
    raise error(
        f"by is {by!r}; expected 'parameter' or 'module'",
        remedy='Give by="parameter" for one row for each parameter, or by="module".',
    )


def _check_learning_rate(rate: object) -> float | None:
    if rate is None:
        return None
    if isinstance(rate, bool) or not isinstance(rate, int | float):
        raise ArgumentTypeError(
            f"learning_rate is {rate!r} of type {type(rate).__name__}; expected a number",
            remedy='Give a float, such as optimizer.param_groups[0]["lr"].',
        )
    if not (isfinite(rate) and rate > 0):
        raise ArgumentError(
            f"learning_rate is {rate!r}; expected a finite number above 0",
            remedy='Give the learning rate of the optimizer, optimizer.param_groups[0]["lr"].',
        )
    return float(rate)


def _check_pass(trace: Trace, pass_id: object) -> int | None:
    count = len(trace.passes)
    if not count:
        raise ArgumentError(
            "the trace has no backward pass, so no parameter was given a gradient",
            remedy="Call backward inside the traced block, on a loss of the traced graph.",
        )
    if pass_id is None:
        return None
    if isinstance(pass_id, bool) or not isinstance(pass_id, int):
        raise ArgumentTypeError(
            f"backward_pass is {pass_id!r} of type {type(pass_id).__name__}; expected an int",
            remedy="Give the id of a pass of this trace; trace.passes lists them.",
        )
    if not 0 <= pass_id < count:
        expected = "0, the only pass" if count == 1 else f"0 to {count - 1}"
        raise ArgumentError(
            f"backward_pass is {pass_id}; expected {expected} of this trace",
            remedy="Give the id of a pass of this trace; trace.passes lists them.",
        )
    return pass_id
