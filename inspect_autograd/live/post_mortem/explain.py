"""explain: say of an exception what happened, why, where, and how to fix it."""

from __future__ import annotations

from typing import Any

from ...diagnosis.explain_scene import explain_scene
from ...diagnosis.report import Report
from ...errors import ArgumentTypeError
from ..private_torch import not_compiled
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
    return explain_scene(gather(error, params=params))
