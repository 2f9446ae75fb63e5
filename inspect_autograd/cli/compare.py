"""`inspect-autograd compare`: where two saved traces, or two runs, differ first."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields

from ..events.compare import Comparison
from ..events.trace import Trace
from ..render.escape import visible
from .compare_runs import (
    Series,
    compare_series,
    describe_origin,
    find_series,
    render_runs,
)
from .result import Result, Say, UsageError
from .target import load_trace
from .wording import reword

__all__ = ["add_arguments", "run"]

SAME = 0
DIFFERENT = 1

DESCRIPTION = """\
Compare two traces of backward passes: two seeds, two ranks, before and after a change. Nodes are
matched by structure. The first node that differs, in the order in which they ran, is named with
what differs, and whether the node itself made the difference or received it.

Two folders that `inspect-autograd run` wrote, or two recordings, are compared step by step up to
the first backward pass that differs.

The exit code is 0 if the traces are the same within the tolerances, 1 if they differ, and 2 if
they cannot be compared.
"""

EPILOG = """\
examples:
  inspect-autograd compare before.json after.json
  inspect-autograd compare rank0.jsonl rank1.jsonl            logs, also of a crashed process
  inspect-autograd compare a.json b.json --rtol 0 --atol 0    every number has to be equal
  inspect-autograd compare inspect_autograd_out/rank0 inspect_autograd_out/rank1
"""

WHICH_IS_WHICH = re.compile(r"^a is this trace (\(.*\)), b the other one (\(.*\))$", re.MULTILINE)
TOLERANCES = {"--rtol": (1e-5, "relative"), "--atol": (1e-8, "absolute")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    for name in ("a", "b"):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help="a saved trace (trace.json) or a log (trace.jsonl); or a folder that `run` wrote, "
            "or a saved recording (recording.json)",
        )
    for option, (default, kind) in TOLERANCES.items():
        parser.add_argument(
            option,
            type=_tolerance,
            default=default,
            metavar="X",
            help=f"{kind} tolerance (%(default)g by default)",
        )


def run(options: argparse.Namespace, say: Say) -> Result:
    """Print the report."""
    runs = find_series(options.a), find_series(options.b)
    if runs[0] is not None and runs[1] is not None:
        return _compare_runs(runs[0], runs[1], options, say)
    if runs[0] is not None or runs[1] is not None:
        run, other = (options.a, options.b) if runs[1] is None else (options.b, options.a)
        raise UsageError(
            f"{run} is a whole run, but {other} is not",
            remedy="Compare two folders or recordings, or two traces in them.",
        )
    a, b = load_trace(options.a), load_trace(options.b)
    comparison = a.compare(b, rtol=options.rtol, atol=options.atol)
    _say_comparison(a, comparison, options, say)
    return _result(options, is_same=comparison.is_same, **_data(comparison))


def _compare_runs(a: Series, b: Series, options: argparse.Namespace, say: Say) -> Result:
    found = compare_series(a, b, rtol=options.rtol, atol=options.atol)
    say(_visible_lines(render_runs(found)))
    more: dict[str, object] = {}
    if found.a is not None and found.comparison is not None:
        say()
        _say_comparison(found.a, found.comparison, options, say)
        more = _data(found.comparison)
    step, number = found.key or (None, None)
    return _result(
        options,
        is_same=found.is_same,
        step=step,
        number=number,
        agreeing=found.agreeing,
        only_a=found.only_a,
        only_b=found.only_b,
        **more,
    )


def _result(options: argparse.Namespace, *, is_same: bool, **data: object) -> Result:
    return Result(
        {"a": options.a, "b": options.b, "same": is_same, **data},
        code=SAME if is_same else DIFFERENT,
    )


def _say_comparison(
    a: Trace, comparison: Comparison, options: argparse.Namespace, say: Say
) -> None:
    report = _name_files(reword(str(comparison)), options.a, options.b)
    origin = describe_origin(a, comparison)
    if origin:  # Below the line that names the node.
        first, _, rest = report.partition("\n")
        report = f"{first}\nThe node was {visible(origin)}.\n{rest}"
    say(report)


def _visible_lines(text: str) -> str:
    """The text with what a terminal would act on escaped, but for its line breaks."""
    return "\n".join(visible(line) for line in text.splitlines())


def _name_files(report: str, a: str, b: str) -> str:
    """The report, where it says which trace is which."""

    def name(found: re.Match[str]) -> str:
        return f"a: {visible(a)} {found[1]}\nb: {visible(b)} {found[2]}"

    return WHICH_IS_WHICH.sub(name, report)


def _data(comparison: Comparison) -> dict[str, object]:
    data = {field.name: getattr(comparison, field.name) for field in fields(comparison)}
    return data | {"matched": len(comparison.matched)}


def _tolerance(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more, such as 1e-5")
    return number
