"""The part of `inspect-autograd demo` in which PyTorch refuses something."""

from __future__ import annotations

from typing import Any

from ..diagnosis.report import Report
from ..errors import InspectAutogradError

__all__ = ["REFUSAL", "explain_refusal"]

REFUSAL = """\
7. What PyTorch refuses, explained: y = 2 * x * x holds four numbers, and y.backward() fails

{text}

   For any error: `except RuntimeError as error: print(inspect_autograd.explain(error))`.
"""


def explain_refusal() -> tuple[Report, dict[str, Any]]:
    """Let backward() start from four numbers, and explain why that fails.

    Raises:
        InspectAutogradError: It was not refused, or the refusal was not recognised.
    """
    import torch

    from ..live.post_mortem.explain import explain

    x = torch.arange(4.0, requires_grad=True)
    y = 2 * x * x
    try:
        y.backward()
    except RuntimeError as error:
        report = explain(error)
        slugs = [diagnosis.slug for diagnosis in report.diagnoses]
        if slugs == ["non-scalar-output"]:
            return report, {"slugs": slugs}
    raise InspectAutogradError(
        "backward() of four numbers was not refused as it should be",
        remedy="This is a fault of this package or of the installed PyTorch; please report it.",
    )
