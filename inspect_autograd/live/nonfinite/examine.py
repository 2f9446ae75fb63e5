"""Find out why a node made NaN or Inf out of finite gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from ..private_torch import LiveNode, unobserved
from . import losses, matrices, normalizations, powers, rows, singular
from .custom import check_custom
from .describe_values import describe_tensor
from .overflow import check_overflow
from .saved_values import check_saved, describe_saved
from .scene import Check, Finding, Scene, look_at

__all__ = ["RULES", "RULES_FOR_ALL", "examine"]

RULES: Mapping[str, Check] = {
    **singular.RULES,
    **powers.RULES,
    **rows.RULES,
    **normalizations.RULES,
    **matrices.RULES,
    **losses.RULES,
}
"""By the name of the node, the rule that knows its formula."""

RULES_FOR_ALL: Sequence[Check] = (check_saved, check_overflow, check_custom)
"""What is tried at any node afterwards, in this order."""


def examine(
    node: LiveNode,
    grad_outputs: Sequence[torch.Tensor | None],
    grad_inputs: Sequence[torch.Tensor | None],
) -> tuple[str, str, dict[str, str]] | None:
    """Say why a node returned NaN or Inf.

    To be called in a hook of the node, when its formula has run and what it saved is still there.
    It never raises, runs no code of the user's, changes nothing, and keeps no tensor. It reads
    values, so on an accelerator it waits for the device.

    Args:
        node: The live node.
        grad_outputs: What it received, all finite.
        grad_inputs: What it returned, not all finite.

    Returns:
        The slug of the rule that applies (empty if none does), one or two sentences, and what was
        seen: name to a short description. None if nothing could be looked at.
    """
    try:
        # A hook may run under create_graph=True, and inside inference or dispatch modes.
        with unobserved(), torch.no_grad():
            return _examine(look_at(node, grad_outputs, grad_inputs))
    except Exception:  # The backward pass of the user must not fail because it is looked at.
        return None


def _examine(scene: Scene) -> tuple[str, str, dict[str, str]] | None:
    values = dict(_describe(scene))
    finding = _find(scene)
    if finding is not None:
        return finding.rule, finding.text, {**values, **finding.values}
    if not values:
        return None
    return "", _say_what_is_known(scene), values


def _find(scene: Scene) -> Finding | None:
    own = RULES.get(scene.name)
    for check in [*([own] if own is not None else []), *RULES_FOR_ALL]:
        try:
            finding = check(scene)
        except Exception:  # What a rule needs is not there, or has an unusual shape or dtype.
            continue
        if finding is not None:
            return finding
    return None


def _describe(scene: Scene) -> Iterator[tuple[str, str]]:
    for what, gradients in (("received", scene.received), ("returned", scene.returned)):
        several = len(gradients) > 1
        for slot, gradient in enumerate(gradients):
            if gradient is not None:
                yield (f"{what}[{slot}]" if several else what), describe_tensor(gradient)
    yield from describe_saved(scene).items()
    for name in ("exponent", "eps", "correction", "value"):
        if isinstance(scene.attributes.get(name), int | float):
            yield name, str(scene.attributes[name])


def _say_what_is_known(scene: Scene) -> str:
    parts = ["No rule explains it."]
    if scene.unseen:
        names = ", ".join(f"`{name}`" for name in scene.unseen)
        parts.append(f"Of what was saved, {names} could not be looked at.")
    elif scene.saved:
        parts.append("What was saved is finite.")
    half = [g for g in scene.returned if g is not None and g.dtype is torch.float16]
    if half and not any(g.isnan().any() for g in half):
        parts.append("The numbers are float16, whose largest is 65504, so an overflow is likely.")
    return " ".join(parts)
