"""The catalogue: one rule a file, each with a slug that never changes."""

from __future__ import annotations

from ..rule import Rule
from .checkpoint import CHECKPOINT
from .complex_output import COMPLEX_OUTPUT
from .create_graph_leak import CREATE_GRAPH_LEAK
from .custom_function import CUSTOM_FUNCTION
from .ddp_marked_twice import DDP_MARKED_TWICE
from .ddp_unused_parameters import DDP_UNUSED_PARAMETERS
from .derivative_not_implemented import DERIVATIVE_NOT_IMPLEMENTED
from .dtype_mismatch import DTYPE_MISMATCH
from .functorch_transform import FUNCTORCH_TRANSFORM
from .grad_assignment import GRAD_ASSIGNMENT
from .gradient_argument_mismatch import GRADIENT_ARGUMENT_MISMATCH
from .graph_freed import GRAPH_FREED
from .hook_return import HOOK_RETURN
from .inference_tensor import INFERENCE_TENSOR
from .input_without_grad import INPUT_WITHOUT_GRAD
from .integer_requires_grad import INTEGER_REQUIRES_GRAD
from .leaf_modified_in_place import LEAF_MODIFIED_IN_PLACE
from .leaves_autograd import LEAVES_AUTOGRAD
from .no_double_backward import NO_DOUBLE_BACKWARD
from .no_graph import NO_GRAPH
from .non_finite_gradient import NON_FINITE_GRADIENT
from .non_leaf_grad import NON_LEAF_GRAD
from .non_scalar_output import NON_SCALAR_OUTPUT
from .saved_tensor_hooks import SAVED_TENSOR_HOOKS
from .saved_tensor_modified import SAVED_TENSOR_MODIFIED
from .unused_input import UNUSED_INPUT
from .view_modified_in_place import VIEW_MODIFIED_IN_PLACE

__all__ = ["RULES"]

RULES: tuple[Rule, ...] = (
    NON_SCALAR_OUTPUT,
    COMPLEX_OUTPUT,
    NO_GRAPH,
    LEAVES_AUTOGRAD,
    GRADIENT_ARGUMENT_MISMATCH,
    UNUSED_INPUT,
    INPUT_WITHOUT_GRAD,
    FUNCTORCH_TRANSFORM,
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
    CUSTOM_FUNCTION,
    HOOK_RETURN,
    CHECKPOINT,
    NON_LEAF_GRAD,
    GRAD_ASSIGNMENT,
    INTEGER_REQUIRES_GRAD,
    DTYPE_MISMATCH,
    DDP_UNUSED_PARAMETERS,
    DDP_MARKED_TWICE,
)
"""In the order in which they are asked; the first one that applies comes first in a report."""
