"""`--pass`: which backward pass of a trace is meant."""

from __future__ import annotations

import argparse

from ..events.trace import Trace
from .result import UsageError

__all__ = ["check_pass", "pass_id"]


def pass_id(text: str) -> int:
    """The number of a backward pass, as the type of an argument."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a pass, such as 0")
    return int(text)


def check_pass(trace: Trace, id: int | None) -> None:
    """Refuse the number of a pass that the trace does not have.

    Raises:
        UsageError: It does not.
    """
    count = len(trace.passes)
    if id is None or id < count:
        return
    there = {0: "no pass, as no backward pass ran", 1: "pass 0 only"}.get(
        count, f"the passes 0 to {count - 1}"
    )
    raise UsageError(
        f"--pass is {id}, but this trace has {there}",
        remedy="Give one of these, or leave --pass out for the last one." if count else "",
    )
