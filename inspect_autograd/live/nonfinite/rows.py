"""Functions of whole rows: softmax, logsumexp, standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch

from ..private_torch import peek_saved, saved_accesses
from .describe_values import describe_tensor, where_text
from .scene import Check, Finding, Scene, is_plain

__all__ = ["RULES"]


def _check_softmax(scene: Scene) -> Finding | None:
    result = scene.saved["result"]
    dims = scene.dims("dim", result.dim())
    rows = result.isnan().all(dim=dims[0]) if dims else result.isnan()
    if not rows.any():
        return None
    where = where_text(rows).replace("element", "row")
    values = {"result": describe_tensor(result)}
    if _masks_whole_rows(scene, dims):
        text = (
            f"Every entry of a row was masked with -Inf before the softmax ({where}), "
            "and the softmax of such a row is 0/0."
        )
    else:
        text = (
            f"The saved result is NaN in whole rows ({where}), so the forward pass made it: the "
            "input of such a row was -Inf everywhere (all of it masked), or held NaN or Inf."
        )
    return Finding("softmax-all-masked", text, values)


def _masks_whole_rows(scene: Scene, dims: tuple[int, ...]) -> bool:
    """Whether the softmax's input came from a `masked_fill` that left nothing of a row."""
    below = scene.node.next_functions[0][0]
    if below is None or not dims or not below.name().startswith("MaskedFillBackward"):
        return False
    raw = next(a.read_raw for a in saved_accesses(type(below)) if a.name == "mask")
    if raw is None:
        return False
    hooked, mask, _ = peek_saved(raw(below))
    if hooked or mask is None or not is_plain(mask):
        return False
    shape = scene.saved["result"].shape
    return bool(mask.broadcast_to(shape).all(dim=dims[0]).any())


def _check_logsumexp(scene: Scene) -> Finding | None:
    saved = scene.saved["self"]
    dims = scene.dims("dim", saved.dim())
    low = saved == -torch.inf
    high = saved == torch.inf
    rows = low.all(dim=dims) if dims else low
    values = {"self": describe_tensor(saved)}
    if rows.any():
        where = where_text(rows).replace("element", "row")
        text = (
            f"Every entry of a row is -Inf ({where}), so its logsumexp is -Inf, and the "
            "derivative exp(x - logsumexp) has -Inf - (-Inf) in it, which is NaN."
        )
        return Finding("logsumexp-all-masked", text, values)
    if high.any():
        text = (
            f"An entry is Inf already ({where_text(high)}), so the derivative "
            "exp(x - logsumexp) has Inf - Inf in it, which is NaN; the forward pass made the Inf."
        )
        return Finding("saved-nonfinite", text, values)
    return None


def _check_logcumsumexp(scene: Scene) -> Finding | None:
    low = scene.saved["result"] == -torch.inf
    if not low.any():
        return None
    text = (
        f"The cumulative sum of exponentials is still 0 ({where_text(low)}), because every entry "
        "so far is -Inf; there its derivative is NaN."
    )
    values = {"result": describe_tensor(scene.saved["result"])}
    return Finding("logsumexp-all-masked", text, values)


def _check_deviation(scene: Scene) -> Finding | None:
    saved = scene.saved["self"]
    correction = scene.attributes["correction"]
    correction = 1 if correction is None else correction
    count = prod(saved.shape[dim] for dim in scene.dims("dim", saved.dim()))
    if count > correction:
        return None
    text = (
        f"The variance of {count} element{'s' * (count != 1)} with correction={correction} "
        f"divides by {count} - {correction}: there is no such estimate."
    )
    return Finding("variance-of-too-few", text, {"self": describe_tensor(saved)})


RULES: Mapping[str, Check] = {
    "SoftmaxBackward0": _check_softmax,
    "LogSoftmaxBackward0": _check_softmax,
    "LogsumexpBackward0": _check_logsumexp,
    "LogcumsumexpBackward0": _check_logcumsumexp,
    "StdBackward0": _check_deviation,
    "VarBackward0": _check_deviation,
    "StdMeanBackward0": _check_deviation,
    "VarMeanBackward0": _check_deviation,
}
