"""`inspect-autograd compare`: where two saved traces differ first."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields

from ..events.compare import Comparison
from ..render.escape import visible
from .result import Result, Say
from .target import load_trace
from .wording import reword

__all__ = ["add_arguments", "run"]

SAME = 0
DIFFERENT = 1

DESCRIPTION = """\
Compare two traces of backward passes: two seeds, two ranks, before and after a change. Nodes are
matched by structure. The first node that differs, in the order in which they ran, is named with
what differs, and whether the node itself made the difference or received it.

The exit code is 0 if the traces are the same within the tolerances, 1 if they differ, and 2 if
they cannot be compared.
"""

EPILOG = """\
examples:
  inspect-autograd compare before.json after.json
  inspect-autograd compare rank0.jsonl rank1.jsonl            logs, also of a crashed process
  inspect-autograd compare a.json b.json --rtol 0 --atol 0    every number has to be equal
"""

WHICH_IS_WHICH = re.compile(r"^a is this trace (\(.*\)), b the other one (\(.*\))$", re.MULTILINE)
TOLERANCES = {"--rtol": (1e-5, "relative"), "--atol": (1e-8, "absolute")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    for name in ("a", "b"):
        parser.add_argument(
            name, metavar=name.upper(), help="a saved trace (trace.json) or a log (trace.jsonl)"
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
    a, b = load_trace(options.a), load_trace(options.b)
    comparison = a.compare(b, rtol=options.rtol, atol=options.atol)
    say(_name_files(reword(str(comparison)), options.a, options.b))
    return Result(
        {"a": options.a, "b": options.b, "same": comparison.is_same, **_data(comparison)},
        code=SAME if comparison.is_same else DIFFERENT,
    )


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
