"""The catalogue: one rule a file, each with a slug that never changes."""

from __future__ import annotations

from ..rule import Rule
from .non_scalar_output import NON_SCALAR_OUTPUT

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (NON_SCALAR_OUTPUT,)
"""In the order in which they are asked; the first one that applies comes first in a report."""
