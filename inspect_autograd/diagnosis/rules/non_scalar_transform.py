"""The form of `torch.func.grad`: the function that it differentiates returns no scalar."""

from __future__ import annotations

import re

from ...graph.creation import SourceLine
from ..function_body import FunctionBody
from ..records import Diagnosis, Evidence, Hint
from ..rule import says
from ..scene import Scene

__all__ = ["diagnose_transform"]


def diagnose_transform(scene: Scene) -> Diagnosis:
    """What `torch.func.grad` and its like want of the function.

    Args:
        scene: One whose failure is this refusal.
    """
    found = says(scene, r"got tensor with (\d+) dim")
    dims = int(found[1]) if found is not None else 1
    name = scene.transforms[-1] if scene.transforms else "torch.func.grad"
    f = _function(scene)
    shape = f"{dims} dimension{'s' * (dims != 1)}"
    return Diagnosis(
        slug="non-scalar-output",
        summary=f"The function given to {name} returns a tensor with {shape}, but it must return "
        "a scalar: one number, without any dimension.",
        explanation="A gradient says how one number changes when others do. A tensor with "
        f"{shape} may hold several, so there would be several gradients: the Jacobian.\n\n"
        "Unlike backward(), which accepts any tensor with one element, the transforms ask for no "
        "dimension at all: f32[] is a scalar, f32[1] is not.",
        evidence=_evidence(scene),
        hints=(
            Hint(
                "Reduce the result in the function.",
                f"torch.func.grad(lambda x: {f}(x).sum())(x)",
            ),
            Hint(
                "If it has one element, drop its dimensions.",
                f"torch.func.grad(lambda x: {f}(x).squeeze())(x)",
            ),
            Hint("Compute the whole Jacobian.", f"torch.func.jacrev({f})(x)"),
            Hint(
                f"Or weigh its rows yourself, v having the shape of {f}(x).",
                f"value, vjp = torch.func.vjp({f}, x)\n(gradient,) = vjp(v)",
            ),
        ),
        source=_line(scene),
    )


def _line(scene: Scene) -> SourceLine | None:
    """Where the function returns its result, else the call of the transform."""
    body = scene.numbers.get("transformed")
    if isinstance(body, FunctionBody):
        return body.returns
    return scene.line


def _function(scene: Scene) -> str:
    """The name of the function that the transform was given; `f` if it has none."""
    frame = scene.user_frame
    code = "" if frame is None else frame.expression or frame.code
    found = re.search(r"grad(?:_and_value)?\(([a-zA-Z_]\w*)[,)]", code)
    return "f" if found is None else found[1]


def _evidence(scene: Scene) -> tuple[Evidence, ...]:
    frame = scene.user_frame
    if frame is None:
        return ()
    text = frame.expression or frame.code
    called = Evidence(f"it is called by `{text}` at {frame.source.short}", frame.source)
    body = scene.numbers.get("transformed")
    if isinstance(body, FunctionBody):
        return called, Evidence(f"{body.name} returns its result here", body.returns)
    return (called,)
