"""Functions whose derivative is infinite, or not defined, at certain points of their domain.

`SINGULAR` lists the points by node name. Which tensors a node saves, and that its gradient is
not finite there, was found by running each of them; the formulas stand in PyTorch's
`tools/autograd/derivatives.yaml`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from .describe_values import describe_tensor, where_text
from .scene import Check, Finding, Scene

__all__ = ["MASKED", "RULES", "Singular", "check_points"]

MASKED = "zero-times-inf"
"""Slug where the gradient that arrives at the point is 0, so that the point was masked out."""


class Singular(NamedTuple):
    """Points where a function has no finite derivative.

    Attributes:
        rule: Slug.
        shown: The saved tensor that tells where the points are.
        called: What the saved tensor holds there, such as `0`.
        why: A clause: `the derivative of sqrt at 0 is infinite`.
        where: Mask of the points; must broadcast to the shape of the received gradient.
    """

    rule: str
    shown: str
    called: str
    why: str
    where: Callable[[Scene], torch.Tensor]


def check_points(points: Sequence[Singular]) -> Check:
    """A rule that applies where a returned gradient is not finite at one of these points."""

    def check(scene: Scene) -> Finding | None:
        for point in points:
            if point.shown in scene.saved:
                finding = _check_point(scene, point)
                if finding is not None:
                    return finding
        return None

    return check


def _check_point(scene: Scene, point: Singular) -> Finding | None:
    gradient = scene.gradient
    own_mask = point.where(scene)
    mask = own_mask.broadcast_to(gradient.shape)
    bad_slots = scene.bad_slots()
    # A gradient that was summed to the shape of a broadcast input has no positions of its own.
    if all(bad.shape == gradient.shape for _, _, bad in bad_slots):
        any_bad = torch.zeros_like(mask)
        for _, _, bad in bad_slots:
            any_bad = any_bad | bad
        mask = mask & any_bad
    if not mask.any():
        return None
    saved = scene.saved[point.shown]
    own = own_mask if own_mask.shape == saved.shape else None
    values = {point.shown: describe_tensor(saved, own, point.called)}
    is_masked = not (gradient[mask] != 0).any()
    has_nan = any(returned.isnan().any() for _, returned, _ in bad_slots)
    where = where_text(mask)
    if is_masked and has_nan:
        factor = "NaN" if point.rule == "outside-domain" else "Inf"
        text = (
            f"0 · {factor}: {point.why}, and the gradient that arrives there is 0 ({where}). This "
            "happens behind torch.where or a mask, since both branches are differentiated."
        )
        return Finding(MASKED, text, values)
    return Finding(point.rule, f"{_sentence(point.why)} ({where}).", values)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is(name: str, *numbers: float) -> Callable[[Scene], torch.Tensor]:
    def where(scene: Scene) -> torch.Tensor:
        saved = scene.saved[name]
        mask = saved == numbers[0]
        for number in numbers[1:]:
            mask = mask | (saved == number)
        return mask

    return where


def _is_inf(name: str) -> Callable[[Scene], torch.Tensor]:
    return lambda scene: scene.saved[name].isinf()


def _outside(name: str, low: float, high: float) -> Callable[[Scene], torch.Tensor]:
    return lambda scene: (scene.saved[name] < low) | (scene.saved[name] > high)


def _both(numbers: float) -> Callable[[Scene], torch.Tensor]:
    return lambda scene: (scene.saved["self"] == numbers) & (scene.saved["other"] == numbers)


def _log(function: str, saved: str = "self", at: int = 0, is_: str = "1/x") -> Singular:
    why = f"the derivative of {function} at {at} is infinite: it is {is_}"
    return Singular("log-at-zero", saved, str(at), why, _is(saved, at))


def _inverse_trigonometric(function: str) -> tuple[Singular, ...]:
    at_one = f"the derivative of {function} at 1 and -1 is infinite"
    outside = f"{function} is not defined below -1 or above 1"
    return (
        Singular(f"{function}-at-one", "self", "1 or -1", at_one, _is("self", 1, -1)),
        Singular("outside-domain", "self", "outside of [-1, 1]", outside, _outside("self", -1, 1)),
    )


def _division(other: str, what: str) -> tuple[Singular, ...]:
    why = f"the derivative of {what} is infinite where its divisor `{other}` is 0"
    return (Singular("division-by-zero", other, "0", why, _is(other, 0)),)


def _exponential(function: str, saved: str, mask: Callable[[Scene], torch.Tensor]) -> Singular:
    already = ", or was Inf already" if saved == "result" else ""
    why = f"the derivative of {function} is Inf: its argument is too large for the dtype{already}"
    return Singular("exp-overflow", saved, "Inf" if saved == "result" else "too large", why, mask)


def _is_pole(name: str) -> Callable[[Scene], torch.Tensor]:
    return lambda scene: (scene.saved[name] <= 0) & (scene.saved[name].frac() == 0)


def _gamma(function: str) -> tuple[Singular, ...]:
    why = f"{function} has a pole at 0, -1, -2, …"
    return (Singular("gamma-pole", "self", "at a pole", why, _is_pole("self")),)


def _is_half_pole(scene: Scene) -> torch.Tensor:
    # mvlgamma(x, p) is a sum of lgamma(x - j/2) for j = 0 … p - 1.
    saved = scene.saved["self"]
    mask = torch.zeros_like(saved, dtype=torch.bool)
    for j in range(min(int(scene.attributes["p"]), 64)):
        mask = mask | ((saved - j / 2 <= 0) & ((saved - j / 2).frac() == 0))
    return mask


SINGULAR: Mapping[str, tuple[Singular, ...]] = {
    "SqrtBackward0": (
        Singular(
            "sqrt-at-zero",
            "result",
            "0",
            "the derivative of sqrt at 0 is infinite: it is 1/(2·sqrt(x))",
            _is("result", 0),
        ),
    ),
    "RsqrtBackward0": (
        Singular(
            "rsqrt-at-zero",
            "result",
            "Inf",
            "rsqrt and its derivative at 0 are infinite",
            _is_inf("result"),
        ),
    ),
    "LogBackward0": (_log("log"),),
    "Log2Backward0": (_log("log2", is_="1/(x·ln 2)"),),
    "Log10Backward0": (_log("log10", is_="1/(x·ln 10)"),),
    "Log1PBackward0": (_log("log1p", at=-1, is_="1/(1 + x)"),),
    "XlogyBackward0": (_log("xlogy(x, y) in y", "other", is_="x/y"),),
    "XlogyBackward1": (_log("xlogy(x, y) in y", "other", is_="x/y"),),
    "SpecialXlog1PyBackward0": (_log("xlog1py(x, y) in y", "other", at=-1, is_="x/(1 + y)"),),
    "SpecialXlog1PyBackward1": (_log("xlog1py(x, y) in y", "other", at=-1, is_="x/(1 + y)"),),
    "SpecialEntrBackward0": (_log("entr(x) = -x·log(x)", is_="-log(x) - 1"),),
    "LogitBackward0": (
        Singular(
            "logit-at-bound",
            "self",
            "0 or 1",
            "the derivative of logit at 0 and 1 is infinite",
            _is("self", 0, 1),
        ),
        Singular(
            "outside-domain",
            "self",
            "outside of [0, 1]",
            "logit is not defined below 0 or above 1",
            _outside("self", 0, 1),
        ),
    ),
    "DivBackward0": _division("other", "a division"),
    "DivBackward2": _division("other", "a division"),
    "FmodBackward1": _division("other", "fmod"),
    "RemainderBackward1": _division("other", "remainder"),
    "AddcdivBackward0": _division("tensor2", "the division in addcdiv"),
    "ReciprocalBackward0": (
        Singular(
            "division-by-zero",
            "result",
            "Inf",
            "1/x is Inf: x is 0, or so small that 1/x overflows",
            _is_inf("result"),
        ),
    ),
    "AcosBackward0": _inverse_trigonometric("acos"),
    "AsinBackward0": _inverse_trigonometric("asin"),
    "AtanhBackward0": _inverse_trigonometric("atanh")[:1],
    "ErfinvBackward0": _inverse_trigonometric("erfinv"),
    "AcoshBackward0": (
        Singular(
            "acosh-at-one", "self", "1", "the derivative of acosh at 1 is infinite", _is("self", 1)
        ),
        Singular(
            "outside-domain",
            "self",
            "below 1",
            "acosh is not defined below 1",
            lambda scene: scene.saved["self"] < 1,
        ),
    ),
    "SpecialNdtriBackward0": (
        Singular(
            "ndtri-at-bound",
            "result",
            "Inf",
            "ndtri and its derivative at 0 and 1 are infinite",
            _is_inf("result"),
        ),
    ),
    "HypotBackward0": (
        Singular(
            "hypot-at-origin",
            "result",
            "0",
            "hypot has no derivative at the origin: its formula is 0/0 there",
            _is("result", 0),
        ),
    ),
    "LogaddexpBackward0": (
        Singular(
            "logsumexp-all-masked",
            "self",
            "-Inf",
            "both arguments are -Inf, so their difference is NaN",
            _both(-torch.inf),
        ),
    ),
    "Logaddexp2Backward0": (
        Singular(
            "logsumexp-all-masked",
            "self",
            "-Inf",
            "both arguments are -Inf, so their difference is NaN",
            _both(-torch.inf),
        ),
    ),
    "ExpBackward0": (_exponential("exp", "result", _is_inf("result")),),
    "Exp2Backward0": (_exponential("exp2", "result", _is_inf("result")),),
    "Expm1Backward0": (_exponential("expm1", "result", _is_inf("result")),),
    "SinhBackward0": (_exponential("sinh", "self", lambda s: s.saved["self"].cosh().isinf()),),
    "CoshBackward0": (_exponential("cosh", "self", lambda s: s.saved["self"].sinh().isinf()),),
    "I0Backward0": (_exponential("i0", "self", lambda s: s.saved["self"].i0().isinf()),),
    "LgammaBackward0": _gamma("lgamma"),
    "DigammaBackward0": _gamma("digamma"),
    "PolygammaBackward0": _gamma("polygamma"),
    "MvlgammaBackward0": (
        Singular(
            "gamma-pole",
            "self",
            "at a pole",
            "mvlgamma(x, p) has poles at (p - 1)/2 and at half-integers below",
            _is_half_pole,
        ),
    ),
}

RULES: Mapping[str, Check] = {name: check_points(points) for name, points in SINGULAR.items()}
