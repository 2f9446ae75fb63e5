"""Decompositions of matrices with repeated values, and of singular ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from inspect_autograd.live.nonfinite.matrices import RULES
from inspect_autograd.live.nonfinite.scene import Scene
from tests.unit.live.nonfinite.births import births, first_birth

linalg = torch.linalg
Program = Callable[[torch.Tensor], torch.Tensor]


@pytest.mark.parametrize(
    ("node", "program", "name"),
    [
        ("LinalgSvdBackward0", lambda x: linalg.svd(x)[0].abs().sum(), "S"),
        ("LinalgEighBackward0", lambda x: linalg.eigh(x)[1].sum(), "eigenvalues"),
        ("LinalgEigBackward0", lambda x: linalg.eig(x)[1].abs().sum(), "eigenvalues"),
    ],
)
def test_vectors_of_repeated_values(node: str, program: Program, name: str) -> None:
    seen = first_birth(program(torch.eye(2).requires_grad_()))
    assert (seen.node, seen.rule) == (node, "repeated-values")
    assert "repeat" in seen.text
    assert seen.values[name].startswith(("f32[2]", "c64[2]"))


def test_distinct_values_are_finite() -> None:
    x = torch.diag(torch.tensor([1.0, 2.0, 4.0])).requires_grad_()
    assert births(linalg.eigh(x)[1].sum()) == []


def test_distinct_complex_values_do_not_repeat() -> None:
    one = torch.ones(2)
    values = {"eigenvalues": torch.tensor([1 + 1j, 1 - 1j])}
    scene = Scene(None, "LinalgEigBackward0", "op", (one,), (one,), saved=values)
    assert RULES["LinalgEigBackward0"](scene) is None


@pytest.mark.parametrize(
    ("node", "program"),
    [
        ("LinalgQrBackward0", lambda x: linalg.qr(x)[0].sum()),
        ("LinalgCholeskyExBackward0", lambda x: linalg.cholesky_ex(x)[0].sum()),
        ("LinalgSlogdetBackward0", lambda x: linalg.slogdet(x)[1]),
        ("LinalgSlogdetBackward0", torch.logdet),
        ("LinalgSolveExBackward0", lambda x: linalg.solve_ex(x, torch.ones(2))[0].sum()),
        (
            "LinalgSolveTriangularBackward0",
            lambda x: linalg.solve_triangular(x, torch.ones(2, 1), upper=True).sum(),
        ),
        ("LinalgInvExBackward0", lambda x: linalg.inv_ex(x)[0].sum()),
    ],
)
def test_a_singular_matrix(node: str, program: Program) -> None:
    seen = first_birth(program(torch.zeros(2, 2).requires_grad_()))
    assert (seen.node, seen.rule) == (node, "singular-matrix")
    assert "singular" in seen.text


def test_where_the_diagonal_is_zero() -> None:
    x = torch.diag(torch.tensor([1.0, 0.0])).requires_grad_()
    seen = first_birth(linalg.slogdet(x)[1])
    assert "(1 of 2 elements, the first at [1])" in seen.text


def test_the_determinant_of_a_singular_matrix_has_a_finite_gradient() -> None:
    assert births(linalg.det(torch.zeros(2, 2).requires_grad_())) == []
