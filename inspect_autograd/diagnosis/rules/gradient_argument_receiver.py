"""backward() was called on something that is no tensor but may hold some: a tuple, a dict, None.

Plain numbers and arrays, which were taken out of a tensor, belong to `leaves-autograd`.
"""

from __future__ import annotations

from ..failing_call import call_of, find_failing_call
from ..records import Diagnosis, Evidence, Hint
from ..rule import says
from ..scene import Scene
from ..subjects import with_article

__all__ = ["diagnose_receiver"]

_MEANINGS = {
    "tuple": "several tensors (or what a function returned) in a tuple",
    "list": "several tensors in a list",
    "dict": "several values in a dict",
    "NoneType": "None: a function that forgot its return, or an in-place call that returns nothing",
}


def diagnose_receiver(scene: Scene) -> Diagnosis | None:
    """What was meant by `.backward()` on this; None where it has nothing to do with PyTorch.

    Args:
        scene: One whose failure is an AttributeError.
    """
    found = says(scene, r"^'(\w+)' object has no attribute 'backward'")
    if found is None:
        return None
    kind = found[1]
    meaning = _MEANINGS.get(kind)
    if meaning is None and kind.endswith("Output"):
        meaning = "the result of a model, which has the loss as an attribute"
    if meaning is None:
        return None
    name = find_failing_call(scene).output_text(0) or "loss"
    return Diagnosis(
        "gradient-argument-mismatch",
        f"backward() was called on {name}, which is no tensor but {_shown(kind)}.",
        f"Only tensors have a graph to walk. This is {meaning}.",
        evidence=_evidence(scene, name),
        hints=_hints(kind, name),
        source=scene.line,
    )


def _shown(kind: str) -> str:
    return "None" if kind == "NoneType" else with_article(kind)


def _evidence(scene: Scene, name: str) -> tuple[Evidence, ...]:
    frame = scene.user_frame
    if frame is None:
        return ()
    described = frame.others.get(name)
    if described is None:
        parts = [f"{n} ({facts.meta})" for n, facts in frame.tensors.items()
                 if n.startswith(f"{name}[")]  # fmt: skip
        return (Evidence(f"it holds {', '.join(parts[:4])}"),) if parts else ()
    return (Evidence(f"{name} is {described}", frame.source),)


def _hints(kind: str, name: str) -> tuple[Hint, ...]:
    if kind in ("tuple", "list"):
        return (
            Hint(
                "Add the parts into one loss, and start from that.",
                f"sum(part.sum() for part in {name}).backward()",
            ),
            Hint("If only one of them is the loss, take it.", call_of(name, "[0].backward()")),
        )
    if kind == "dict":
        return (
            Hint("Start from the loss in it.", f'{name}["loss"].backward()'),
            Hint("Or add all its values.", f"sum({name}.values()).backward()"),
        )
    if kind == "NoneType":
        return (Hint(f"Look at what gave {name}: does it return the loss?", "return loss"),)
    return (Hint("Start from the loss in it.", f"{name}.loss.backward()"),)
