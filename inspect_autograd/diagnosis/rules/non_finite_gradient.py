"""NaN or Inf in gradients: PyTorch says nothing, unless anomaly mode is on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...events.nonfinite_report import NonfiniteReport
from ...events.trace import Trace
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, is_users_own, says
from ..scene import Scene

__all__ = ["NON_FINITE_GRADIENT"]

SLUG = "non-finite-gradient"
_ANOMALY = r"function '?(\w+)'? returned nan values in its (\d+)\w\w output"
_COMPLAINT = r"\b(nan|inf|non-?finite|not finite|isfinite|isnan|isinf)\b"
_WHY = (
    "PyTorch computes on with NaN and Inf like with any number: 0 · Inf is NaN, and whatever meets "
    "NaN becomes NaN. So one bad element reaches every parameter behind it, without an error."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    anomaly = says(scene, _ANOMALY)
    if anomaly is None and scene.failure is not None and not _complains(scene):
        return None
    for trace in _traces(scene):
        report = trace.first_nonfinite()
        if report is not None:
            return _from_report(trace, report, bool(anomaly) or scene.failure is None)
    return None if anomaly is None else _from_anomaly(scene, anomaly[1])


def _complains(scene: Scene) -> bool:
    """Whether the user's own check of the gradients failed."""
    frame = scene.user_frame
    text = f"{scene.message} {frame.code if frame is not None else ''}"
    return is_users_own(scene) and _matches(text)


def _matches(text: str) -> bool:
    return re.search(_COMPLAINT, text, re.IGNORECASE) is not None


def _traces(scene: Scene) -> Iterator[Trace]:
    """What is carried, as far as it knows numbers."""
    traces = [] if scene.trace is None else [scene.trace]
    if scene.recording is not None:
        traces += scene.recording.traces
    return (trace for trace in traces if trace.stats_level != "meta")


def _from_report(trace: Trace, report: NonfiniteReport, is_asked: bool) -> Diagnosis:
    node = trace.graph.nodes[report.node]
    line = f" ({node.source.short})" if node.source is not None else ""
    reached = report.reached
    names = ", ".join(reached[:3]) + (", …" if len(reached) > 3 else "")
    summary = f"{report.headline}{line}" + (f" and reached {names}." if reached else ".")
    evidence = [Evidence(f"{name}: {value}", node.source) for name, value in report.values.items()]
    if reached:
        count = f"{len(reached)} gradient{'s' * (len(reached) != 1)}"
        evidence.append(Evidence(f"it reached {count}: {names}"))
    if report.passed_on_count:
        evidence.append(Evidence(f"nodes that passed it on: {', '.join(report.passed_on)}"))
    why = f"{report.explanation}\n\n{_WHY}" if report.explanation else _WHY
    hints = [Hint(report.fix)] if report.fix else []
    return Diagnosis(
        SLUG,
        summary,
        why,
        tuple(evidence),
        (*hints, *_GENERAL),
        "certain" if is_asked else "likely",
        node.source,
    )


_GENERAL = (
    Hint(
        "Where a branch must not be taken for some inputs, choose the inputs before the function, "
        "not its results after it.",
        "safe = torch.where(x > 0, x, 1.0)\ny = torch.where(x > 0, safe.sqrt(), 0.0)",
    ),
    Hint("Keep arguments away from where the derivative is infinite.", "(x + 1e-8).sqrt()"),
)


def _from_anomaly(scene: Scene, name: str) -> Diagnosis:
    node = None
    if scene.graph is not None and scene.running is not None and scene.running.node is not None:
        node = scene.graph.nodes[scene.running.node]
    line = None if node is None else node.source
    output = scene.output
    loss = output.names[0] if output is not None and output.names else "loss"
    return Diagnosis(
        SLUG,
        f"The backward pass from {loss} came to NaN: {name} returned it.",
        _WHY
        + "\n\nAnomaly mode names the first node that returned NaN, which need not be where it "
        "came from, and it does not look for Inf.",
        () if node is None else (Evidence(f"{node} returned NaN", line, node.id),),
        (
            Hint(
                "Look where NaN or Inf was born, and why.",
                f"with inspect_autograd.trace({loss}, stats='basic') as trace:\n"
                f"    {loss}.backward()\n"
                "print(trace.first_nonfinite())",
            ),
            *_GENERAL,
        ),
        "likely",
        line,
    )


NON_FINITE_GRADIENT = Rule(SLUG, "NaN or Inf in gradients", _diagnose)
