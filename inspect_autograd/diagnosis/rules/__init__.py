"""The catalogue: one rule a file, each with a slug that never changes."""

from __future__ import annotations

from ..rule import Rule
from .create_graph_leak import CREATE_GRAPH_LEAK
from .derivative_not_implemented import DERIVATIVE_NOT_IMPLEMENTED
from .graph_freed import GRAPH_FREED
from .inference_tensor import INFERENCE_TENSOR
from .leaf_modified_in_place import LEAF_MODIFIED_IN_PLACE
from .no_double_backward import NO_DOUBLE_BACKWARD
from .non_finite_gradient import NON_FINITE_GRADIENT
from .non_scalar_output import NON_SCALAR_OUTPUT
from .saved_tensor_hooks import SAVED_TENSOR_HOOKS
from .saved_tensor_modified import SAVED_TENSOR_MODIFIED
from .view_modified_in_place import VIEW_MODIFIED_IN_PLACE

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    NON_SCALAR_OUTPUT,
    INFERENCE_TENSOR,
    GRAPH_FREED,
    SAVED_TENSOR_MODIFIED,
    LEAF_MODIFIED_IN_PLACE,
    VIEW_MODIFIED_IN_PLACE,
    NO_DOUBLE_BACKWARD,
    DERIVATIVE_NOT_IMPLEMENTED,
    SAVED_TENSOR_HOOKS,
    CREATE_GRAPH_LEAK,
    NON_FINITE_GRADIENT,
)
"""In the order in which they are asked; the first one that applies comes first in a report."""
