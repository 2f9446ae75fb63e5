"""What `run` says of the error that ended a script."""

from __future__ import annotations

import sys

from ..diagnosis.report import Report

__all__ = ["REPORT", "explain_ending"]

REPORT = "report.txt"
"""Name of the file in the folder of the run."""


def explain_ending(error: BaseException | None) -> Report | None:
    """The report on what ended the script; None if that is no error of PyTorch that is known.

    Args:
        error: What ended it, if anything did. It carries what the recording saw.
    """
    if error is None or not isinstance(error, Exception) or "torch" not in sys.modules:
        return None
    from ..live.post_mortem.explain import explain

    report = explain(error)
    return report if report.diagnoses else None
