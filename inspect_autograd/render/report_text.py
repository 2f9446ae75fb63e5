"""A Report as plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..diagnosis.report import Report

__all__ = ["render_report"]


def render_report(report: Report) -> str:
    """What `print(report)` shows; the first lines answer."""
    lines: list[str] = []
    for diagnosis in report.diagnoses:
        lines += [f"[{diagnosis.slug}] {diagnosis.summary}", "", diagnosis.explanation]
        lines += [f"  - {item.text}" for item in diagnosis.evidence]
        for hint in diagnosis.hints:
            lines += [f"  * {hint.text}", f"      {hint.code}" if hint.code else ""]
    if not report.diagnoses:
        lines.append("This failure is not one that inspect_autograd knows. What was found:")
        lines += [f"  - {item.text}" for item in report.facts]
    return "\n".join(lines)
