"""check_vjp: whether nodes return what they received times their Jacobian."""

from .check import check_vjp

__all__ = ["check_vjp"]
