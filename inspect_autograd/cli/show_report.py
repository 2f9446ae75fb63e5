"""What `inspect-autograd show` prints of a saved report."""

from __future__ import annotations

import argparse
from typing import Any

from ..diagnosis.report import Report
from .result import Say
from .target import refuse_options

__all__ = ["show_report"]

# A report has one view: itself, in full.
_OF_OTHERS = (
    *("--tree", "--modules", "--summary", "--find", "--node", "--memory"),
    *("--flow", "--slowest", "--cuts", "--writes", "--timeline", "--trace"),
)


def show_report(report: Report, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Print the report with all its evidence; the same as data.

    Raises:
        UsageError: An option asks for a part of a graph, a trace or a recording.
    """
    refuse_options(
        options,
        dict.fromkeys(_OF_OTHERS, "Leave it out: a report is shown as a whole."),
        "report",
        meant="graph, a trace or a recording",
    )
    say(report.to_text(full=True))
    return {"report": report.to_json()}
