"""Why parameters have no gradient, as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..diagnosis.why_no_grad import REASONS
from .escape import visible

if TYPE_CHECKING:
    from ..diagnosis.why_no_grad import MissingGradient, WhyNoGrad

__all__ = ["render_why_no_grad"]

SHOWN = 6
"""Names in one group."""
MAX_GROUPS = 40


def render_why_no_grad(why: WhyNoGrad) -> str:
    """The counts first, then each reason with its parameters, worst first."""
    lines = [_headline(why)]
    lines += [f"  {count} × {visible(f'{r}: {REASONS[r]}')}" for r, count in why.counts.items()]
    groups = _group(why)
    for (reason, text, certainty), rows in list(groups.items())[:MAX_GROUPS]:
        sure = "" if certainty == "certain" else f" ({certainty})"
        lines += ["", f"{reason}{sure}" + (f": {visible(text)}" if text else "")]
        lines += [f"    {visible(_describe(row))}" for row in rows[:SHOWN]]
        if len(rows) > SHOWN:
            lines.append(f"    … and {len(rows) - SHOWN} more")
    if len(groups) > MAX_GROUPS:
        lines += ["", f"… and {len(groups) - MAX_GROUPS} more reasons"]
    if why.zero:
        names = ", ".join(why.zero[:SHOWN]) + (", …" if len(why.zero) > SHOWN else "")
        one = len(why.zero) == 1
        lines += ["", visible(
            f"{len(why.zero)} gradient{'' if one else 's'} {'is' if one else 'are'} there, but "
            f"exactly 0 in every element: {names}"
        )]  # fmt: skip
    return "\n".join([*lines, *(line for note in why.notes for line in ("", visible(note)))])


def _headline(why: WhyNoGrad) -> str:
    have, lack = why.with_gradient, len(why.missing)
    total = have + lack
    if not total:
        return "There is no parameter."
    if total == 1:
        return f"The only parameter has {'a' if have else 'no'} gradient."
    if not lack:
        return f"All {total} parameters have a gradient."
    if not have:
        return f"None of the {total} parameters has a gradient."
    return f"{total} parameters: {have} {_has(have)} a gradient, {lack} {_has(lack)} none."


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _group(why: WhyNoGrad) -> dict[tuple[str, str, str], list[MissingGradient]]:
    groups: dict[tuple[str, str, str], list[MissingGradient]] = {}
    for row in why.missing:
        groups.setdefault((row.reason, row.text, row.certainty), []).append(row)
    return groups


def _describe(row: MissingGradient) -> str:
    tied = f" (tied to {', '.join(row.names[1:])})" if len(row.names) > 1 else ""
    return row.name + tied + ("" if row.meta is None else f"  {row.meta}")
