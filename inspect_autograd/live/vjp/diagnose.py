"""Say in words what is wrong with a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

__all__ = ["Compared", "find_exchanged", "is_expandable", "name_fault"]


@dataclass(slots=True)
class Compared:
    """A gradient that was returned beside the one that should have been, for one argument.

    Attributes:
        name: Of the argument.
        shape: Of the argument.
        got: What the engine takes for it, one row per vector; None if there is none.
        raw: What was returned, one tensor per vector; None if it was None or no tensor.
        fault: What the engine refuses about it; empty if nothing.
        expected: What it should have been; its last row is for gradients of ones.
        tolerance: How far each element of the first row may be off.
        known: Which elements can be judged.
        wrong: Which elements are wrong.
    """

    name: str
    shape: torch.Size
    got: torch.Tensor | None
    raw: list[torch.Tensor] | None
    fault: str
    expected: torch.Tensor
    tolerance: torch.Tensor
    known: torch.Tensor
    wrong: torch.Tensor


def name_fault(compared: Compared) -> str:
    """What kind of mistake it is: `has the wrong sign`, `is off by the factor 2`, ..."""
    if compared.fault:
        return compared.fault
    got, expected = compared.got, compared.expected
    judged = expected[:2][:, compared.known]
    if got is None:
        return "is None, but should not be"
    returned = got[:, compared.known]
    if not returned.isfinite().all():
        return "is not finite, but should be"
    if not judged.any():
        return (
            "is not zero, although the result does not depend on this argument here "
            "(a straight-through estimator does so on purpose)"
        )
    if not returned.any():
        return "is zero, but should not be"
    if _is_close(compared, got, -expected[:2]):
        return "has the wrong sign"
    for text, other in _alternatives(compared):
        if other.shape == expected[:2].shape and _is_close(compared, got, other):
            return text
    factor = _common_factor(compared, got)
    if factor:
        return f"is off by the factor {factor}"
    wrong, known = int(compared.wrong.sum()), int(compared.known.sum())
    return f"is wrong at {wrong} of {known} elements" if wrong < known else "is wrong"


def _alternatives(compared: Compared) -> list[tuple[str, torch.Tensor]]:
    expected = compared.expected
    found = [
        (
            "does not depend on what was received, as if it had been ones",
            expected[-1:].expand(2, -1),
        )
    ]
    if expected.is_complex():
        found.append(("is the complex conjugate of what it should be", expected[:2].conj()))
    if len(compared.shape) == 2 and compared.shape[0] == compared.shape[1] > 1:
        matrices = expected[:2].reshape(2, *compared.shape)
        found.append(("is transposed", matrices.mT.reshape(2, -1)))
    return found


def _is_close(compared: Compared, got: torch.Tensor, other: torch.Tensor) -> bool:
    known = compared.known
    return bool(((got - other).abs() <= 2 * compared.tolerance)[:, known].all())


def _common_factor(compared: Compared, got: torch.Tensor) -> str:
    """The factor with no more digits than it takes; empty if there is none."""
    expected = compared.expected[:2][:, compared.known]
    returned = got[:, compared.known]
    size = (expected.conj() * expected).real.sum().item()
    factor = ((expected.conj() * returned).real.sum() / size).item()
    # What may be off grows with the factor.
    allowed = 2 * compared.tolerance[compared.known] * max(1.0, abs(factor))
    for digits in range(1, 7):
        rounded = f"{factor:.{digits}g}"
        if bool(((returned - float(rounded) * expected).abs() <= allowed).all()):
            return rounded
    return ""


def find_exchanged(compared: Sequence[Compared]) -> str:
    """Whether a wrong gradient is the right one of another argument.

    Returns:
        A sentence such as `the gradients of arguments x and y are swapped`; empty if not.
    """
    takes: dict[str, str] = {}
    for one in compared:
        if bool(one.wrong.any()):
            other = next((o for o in compared if o is not one and _is_gradient_of(one, o)), None)
            if other is not None:
                takes[one.name] = other.name
    sentences = []
    for name, other_name in takes.items():
        if takes.get(other_name) != name:
            sentences.append(f"what is returned for {name} is the gradient of {other_name}")
        elif list(takes).index(name) < list(takes).index(other_name):
            sentences.append(f"the gradients of arguments {name} and {other_name} are swapped")
    return "; ".join(sentences)


def _is_gradient_of(one: Compared, other: Compared) -> bool:
    if one.raw is None or not other.expected[:2].any():
        return False
    rows = []
    for gradient in one.raw:
        if not is_expandable(other.shape, gradient.shape):
            return False
        rows.append(gradient.sum_to_size(other.shape).reshape(-1))
    close = (torch.stack(rows) - other.expected[:2]).abs() <= 2 * other.tolerance
    return bool(close[:, other.known].all())


def is_expandable(shape: torch.Size, larger: torch.Size) -> bool:
    """Whether a tensor of the one shape can be expanded to the other."""
    if len(shape) > len(larger):
        return False
    tail = larger[len(larger) - len(shape) :]
    return all(a in (1, b) for a, b in zip(shape, tail, strict=True))
