"""Decompositions: they have no derivative where values repeat or a matrix is singular."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .describe_values import describe_tensor, where_text
from .scene import Check, Finding, Scene

__all__ = ["RULES"]


def _check_repeated(name: str, what: str) -> Check:
    """A rule for a node whose formula divides by the differences of these values."""

    def check(scene: Scene) -> Finding | None:
        values = scene.saved[name]
        if values.is_complex():
            values = torch.view_as_real(values)
            ordered = values.unsqueeze(-2) - values.unsqueeze(-3)
            same = (ordered == 0).all(dim=-1)
            same.diagonal(dim1=-2, dim2=-1).fill_(False)
            repeated = same.any(dim=-1)
        else:
            repeated = values.sort(dim=-1).values.diff(dim=-1) == 0
        if not repeated.any():
            return None
        text = (
            f"{what} repeat, and the derivative divides by their differences, which are 0: where "
            "values repeat, the vectors are not unique and have no derivative."
        )
        return Finding("repeated-values", text, {name: describe_tensor(scene.saved[name])})

    return check


def _check_singular(name: str, what: str) -> Check:
    """A rule for a node that saves a triangular factor whose diagonal must not hold a 0."""

    def check(scene: Scene) -> Finding | None:
        saved = scene.saved[name]
        zero = saved.diagonal(dim1=-2, dim2=-1) == 0
        if not zero.any():
            return None
        text = (
            f"The matrix is singular: the diagonal of {what} holds 0 ({where_text(zero)}), and "
            "the derivative divides by it."
        )
        return Finding("singular-matrix", text, {name: describe_tensor(saved)})

    return check


def _check_inverse(scene: Scene) -> Finding | None:
    inverse = scene.saved["inverse"]
    if inverse.isfinite().all():
        return None
    text = "The matrix is singular: its inverse, which was saved, is not finite."
    return Finding("singular-matrix", text, {"inverse": describe_tensor(inverse)})


RULES: Mapping[str, Check] = {
    "LinalgSvdBackward0": _check_repeated("S", "Singular values"),
    "LinalgEighBackward0": _check_repeated("eigenvalues", "Eigenvalues"),
    "LinalgEigBackward0": _check_repeated("eigenvalues", "Eigenvalues"),
    "LinalgQrBackward0": _check_singular("R", "R"),
    "LinalgCholeskyExBackward0": _check_singular("L", "its Cholesky factor"),
    "LinalgSlogdetBackward0": _check_singular("LU", "its factor U"),
    "LinalgSolveExBackward0": _check_singular("LU", "its factor U"),
    "LinalgSolveTriangularBackward0": _check_singular("self", "the matrix"),
    "LinalgInvExBackward0": _check_inverse,
}
