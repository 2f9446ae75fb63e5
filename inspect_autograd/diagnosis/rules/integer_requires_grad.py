"""A gradient was asked of a tensor of whole numbers or truth values."""

from __future__ import annotations

import re

from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..subjects import code_of, find_subject

__all__ = ["INTEGER_REQUIRES_GRAD"]

_FLOATING = ("float", "bfloat", "complex")


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not says(
        scene, r"^only tensors of floating point (?:and complex )?dtype can require gradients?"
    ):
        return None
    frame = scene.user_frame
    subject, code = _integer(scene), code_of(frame)
    dtype = _dtype(code) if subject is None else subject.meta.dtype
    what = f"A tensor of dtype {dtype}" if dtype else "A tensor of whole numbers"
    if subject is not None and subject.names:
        what = f"{subject.name} ({subject.meta})"
    return Diagnosis(
        slug="integer-requires-grad",
        summary=f"{what} cannot require a gradient; only floating-point and complex tensors can.",
        explanation="A gradient says how the result changes when an element changes a little, and "
        "whole numbers or truth values cannot change a little.",
        evidence=() if frame is None else (Evidence(f"asked for by {code}", frame.source),),
        hints=_hints(subject, code),
        source=scene.line,
    )


def _integer(scene: Scene) -> TensorFacts | None:
    """The tensor it is about: one of those named that cannot have a gradient."""
    subject = find_subject(scene)
    candidates = scene.involved or (() if subject is None else (subject,))
    found = (f for f in candidates if not f.meta.dtype.startswith(_FLOATING))
    return next(found, None)


def _dtype(code: str) -> str:
    """The dtype that the line names, or that the function which makes the tensor has."""
    named = re.search(r"\b(?:torch\.)?(u?int\d+|long|int|short|bool)\b(?!\()", code)
    if named is not None:
        return {"long": "int64", "int": "int32", "short": "int16"}.get(named[1], named[1])
    return "int64" if re.search(r"\b(?:randint|arange|tensor|as_tensor)\(", code) else ""


def _hints(subject: TensorFacts | None, code: str) -> tuple[Hint, ...]:
    if subject is not None and subject.names:
        name = subject.name
        make = Hint("Convert it first.", f"{name} = {name}.float().requires_grad_()")
    elif "dtype=" in code and "requires_grad=True" in code:
        floating = re.sub(r"dtype\s*=\s*[\w.]+", "dtype=torch.float32", code)
        make = Hint("Make it with a floating-point dtype.", floating)
    else:
        make = Hint(
            "Make it with a floating-point dtype.",
            "torch.tensor([1.0, 2.0], requires_grad=True)  # 1.0, not 1",
        )
    return (
        make,
        Hint(
            "If these are indices, labels or a mask, leave requires_grad out: what they select "
            "gets its gradient without it."
        ),
    )


INTEGER_REQUIRES_GRAD = Rule("integer-requires-grad", "A gradient for whole numbers", _diagnose)
