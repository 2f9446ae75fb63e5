"""explain: say of an exception what happened, why, where, and how to fix it."""

from __future__ import annotations

from typing import Any

import torch

from ...diagnosis.explain_scene import explain_scene
from ...diagnosis.records import Evidence, Failure
from ...diagnosis.report import Report
from ...diagnosis.scene import Scene
from ...errors import ArgumentTypeError
from ..private_torch import not_compiled
from .candidates import candidates
from .failure import text_of
from .gather import gather

__all__ = ["explain"]


@not_compiled
def explain(error: BaseException, *, params: Any = None) -> Report:
    """Explain an error of PyTorch's autograd: cause, line, fix.

    Works after the fact, from the exception alone: the frames of its traceback still hold the
    tensors. An exception that passed through `record` or `trace` carries what they saw, so that
    lines are known too. Nothing is run again, and nothing of the program changes.

    Args:
        error: The exception, as caught.
        params: Names for tensors, as for `capture`.

    Returns:
        The report. Where the failure is not recognised, it has no diagnosis, and says what was
        found.

    Raises:
        ArgumentTypeError: `error` is no exception.
    """
    if not isinstance(error, BaseException):
        raise ArgumentTypeError(
            f"error is of type {type(error).__name__}; expected the exception that was raised",
            remedy="Write `except RuntimeError as error: print(inspect_autograd.explain(error))`.",
        )
    try:
        return _explain(error, params)
    except Exception as fault:
        return _report_of(error, fault)


def _explain(error: BaseException, params: Any) -> Report:
    """The first report that recognises something: of the exception, or of one behind it."""
    first: Report | None = None
    for one, led_to in candidates(error):
        report = explain_scene(gather(one, params=params, led_to=led_to))
        if report.diagnoses:
            return report
        first = first or report
    assert first is not None
    return first


def _report_of(error: BaseException, fault: Exception) -> Report:
    """A report that says that none could be made: another error is the last thing one needs."""
    failure = Failure(type(error).__qualname__, text_of(error))
    text = f"inspect_autograd itself failed while it looked: {type(fault).__name__}: {fault}"
    scene = Scene(failure=failure, notes=(text,), torch_version=torch.__version__)
    return Report(diagnoses=(), failure=failure, facts=(Evidence(text),), scene=scene)
