"""A gradient was to be implied for an output that is no scalar."""

from __future__ import annotations

from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene

__all__ = ["NON_SCALAR_OUTPUT"]


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not says(scene, r"implicitly created only for scalar outputs"):
        return None
    output = scene.output
    what = "the output" if output is None else f"{output.name} ({output.meta})"
    return Diagnosis(
        slug="non-scalar-output",
        summary=f"backward() started from {what}, which is no scalar, without a gradient.",
        explanation="",
        evidence=() if output is None else (Evidence(f"it was made by {output.grad_fn}"),),
        hints=(Hint("Make it one number first.", "loss.mean().backward()"),),
    )


NON_SCALAR_OUTPUT = Rule(
    "non-scalar-output", "Backward from an output that is no scalar", _diagnose
)
