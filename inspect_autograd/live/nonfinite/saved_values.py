"""What the forward pass saved is not finite already, so the backward pass is not the cause."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .describe_values import describe_tensor, where_text
from .scene import Finding, Scene

__all__ = ["check_saved", "describe_saved"]

HINTS: Mapping[str, str] = {
    "SqrtBackward0": "the square root of a negative number is NaN",
    "RsqrtBackward0": "the square root of a negative number is NaN",
    "PowBackward1": "a negative number to a fractional power is NaN",
    "NativeLayerNormBackward0": "the squares of large inputs overflow",
}
"""How the saved result of an operation can be NaN though its input is finite."""


def check_saved(scene: Scene) -> Finding | None:
    """Applies to every node: a saved tensor holds NaN or Inf where it matters."""
    # Inputs first: where an input is not finite already, the result is no news.
    for name, saved in sorted(scene.saved.items(), key=lambda item: _is_result(item[0])):
        if not (saved.is_floating_point() or saved.is_complex()):
            continue
        bad = ~torch.isfinite(saved)
        if bad.any() and _matters(scene, bad):
            return Finding("saved-nonfinite", _text(scene, name, saved, bad))
    return None


def _matters(scene: Scene, bad: torch.Tensor) -> bool:
    """Whether a returned gradient may be bad because of it: at the same positions, if it has any.

    Only an elementwise operation has gradients of one shape all over; what other operations do
    with an element is not known.
    """
    slots = scene.bad_slots()
    shapes = {returned.shape for _, returned, _ in slots}
    shapes |= {received.shape for received in scene.received if received is not None}
    if shapes != {bad.shape}:
        return True
    return any((bad & other).any() for _, _, other in slots) or scene.kind != "op"


def _text(scene: Scene, name: str, saved: torch.Tensor, bad: torch.Tensor) -> str:
    problems = [("NaN", saved.isnan()), ("Inf", saved.isinf())]
    what = " and ".join(called for called, mask in problems if mask.any())
    is_result = _is_result(name)
    origin = "made in this operation or before it" if is_result else "made before this operation"
    text = (
        f"The saved `{name}` holds {what} already ({where_text(bad)}): it comes from the forward "
        f"pass, {origin}."
    )
    if is_result and scene.name in HINTS and saved.isnan().any():
        text += f" One way: {HINTS[scene.name]}."
    received = scene.received[0] if scene.received else None
    if received is not None and received.shape == bad.shape:
        masked = bad & (received == 0)
        if masked.any():
            text += f" The gradient that arrives there is 0, and 0 · {what} is NaN."
    return text


def _is_result(name: str) -> bool:
    return name.startswith(("result", "output", "logsumexp"))


def describe_saved(scene: Scene) -> dict[str, str]:
    """What each saved tensor holds, and which ones were not looked at."""
    return {name: describe_tensor(saved) for name, saved in scene.saved.items()} | dict(
        scene.unseen
    )
