"""What can be wrong before anything fails: one rule a file, each with a slug that never changes."""

from __future__ import annotations

from ..program_rule import ProgramRule
from .create_graph_leak import CREATE_GRAPH_LEAK
from .double_among_float import DOUBLE_AMONG_FLOAT
from .integer_weight import INTEGER_WEIGHT
from .non_finite_gradient import NON_FINITE_GRADIENT
from .non_finite_parameter import NON_FINITE_PARAMETER
from .optimizer_stale import OPTIMIZER_STALE
from .parameter_device import PARAMETER_DEVICE
from .parameter_float16 import PARAMETER_FLOAT16
from .parameter_frozen import PARAMETER_FROZEN
from .parameter_not_a_leaf import PARAMETER_NOT_A_LEAF
from .parameter_not_in_optimizer import PARAMETER_NOT_IN_OPTIMIZER
from .parameter_unreached import PARAMETER_UNREACHED
from .parameter_unregistered import PARAMETER_UNREGISTERED
from .parameter_without_gradient import PARAMETER_WITHOUT_GRADIENT

__all__ = ["PROGRAM_RULES"]

PROGRAM_RULES: tuple[ProgramRule, ...] = (
    NON_FINITE_PARAMETER,
    NON_FINITE_GRADIENT,
    CREATE_GRAPH_LEAK,
    OPTIMIZER_STALE,
    PARAMETER_NOT_A_LEAF,
    PARAMETER_UNREGISTERED,
    PARAMETER_UNREACHED,
    PARAMETER_NOT_IN_OPTIMIZER,
    PARAMETER_WITHOUT_GRADIENT,
    PARAMETER_FROZEN,
    PARAMETER_DEVICE,
    PARAMETER_FLOAT16,
    DOUBLE_AMONG_FLOAT,
    INTEGER_WEIGHT,
)
"""In the order in which they stand in a report, among those that are equally certain."""
