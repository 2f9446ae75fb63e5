"""`inspect-autograd doctor`: what is installed, what works, and what to do about the rest."""

from __future__ import annotations

import argparse
from itertools import groupby

from ..render.table import format_table
from .doctor_check import Check
from .doctor_graphviz import check_graphviz
from .doctor_packages import check_packages
from .doctor_torch import check_torch
from .result import Result, Say

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Check what this package needs: Python, PyTorch, Graphviz, fonts. Each thing is tried out rather
than looked up where that is possible: a gradient is computed, and a picture is drawn.

The states are: ok; limited, where something works less well; optional, where something is missing
that only few need; failed, where the main job does not work.
"""

EPILOG = """\
examples:
  inspect-autograd doctor          what is there, and what to do about what is not
  inspect-autograd doctor --json   the same for a bug report

The exit code is 0 if graphs can be captured and drawn, and 1 if not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Set the texts of this verb, which takes no arguments of its own."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG


def run(options: argparse.Namespace, say: Say) -> Result:  # noqa: ARG001 (every verb takes them)
    """Print all findings, grouped, then the verdict."""
    checks: list[Check] = []
    for group, found in groupby(_all_checks(), lambda check: check.group):
        members = list(found)
        checks += members
        rows = [(check.state, check.name, check.detail) for check in members]
        say(f"{group}\n{_indent(format_table(rows))}\n")
    remedies = [check for check in checks if check.remedy]
    if remedies:
        say("What to do")
        for check in remedies:
            say(f"  {check.name}: {check.remedy}")
        say()
    failed = [check.name for check in checks if check.state == "failed"]
    works = not failed
    if works:
        say("Graphs can be captured and drawn.")
    else:
        say(f"Graphs cannot be captured and drawn: {', '.join(failed)} failed.")
    return Result({"works": works, "checks": checks}, code=0 if works else 1)


def _all_checks() -> list[Check]:
    return [*check_packages(), *check_torch(), *check_graphviz()]


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
