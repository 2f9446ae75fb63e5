"""Call the backward formula of one live node, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..node_types import NodeType
from ..private_torch import LiveNode, forward_class, peek_saved, raw_saved_tensors, version_of
from .forward_call import CannotCheckError

__all__ = ["Returned", "call_node", "check_callable"]


@dataclass(frozen=True, slots=True)
class Returned:
    """What a node returned.

    Attributes:
        values: One per input.
        count: How many there were, before None at the end was cut off or added.
        changed_received: Whether the node wrote into what it received.
    """

    values: list[Any]
    count: int
    changed_received: bool


def check_callable(node: LiveNode, node_type: NodeType) -> None:
    """Refuse a node that cannot be called without changing something.

    Raises:
        CannotCheckError: Says why.
    """
    kind = node_type.kind
    if kind == "leaf":
        raise CannotCheckError("a leaf only accumulates what it receives")
    if kind == "compiled":
        raise CannotCheckError("torch.compile made it out of many calls")
    if kind == "cpp-custom":
        raise CannotCheckError("it is a Function of a C++ extension")
    if kind == "custom":
        _check_function(node)
        return
    name = type(node).__name__
    if name in UNSUITED:
        raise CannotCheckError(UNSUITED[name])
    if name == "CopySlices":
        raise CannotCheckError("it stands for an in-place change of a view")
    if name in ("NotImplemented", "Error", "DelayedError"):
        raise CannotCheckError("it only raises an error")
    for access in node_type.saved:
        try:
            raw = access.read_raw(node) if access.read_raw is not None else None
            for entry in raw if isinstance(raw, tuple) else (raw,):
                if entry is not None and peek_saved(entry)[0]:
                    raise CannotCheckError(PACKED)
            access.read(node)
        except RuntimeError as error:
            raise CannotCheckError(_explain(error)) from None


def _explain(error: Exception) -> str:
    """Why torch refuses to read what was saved."""
    text = str(error)
    if "modified by an inplace operation" in text:
        return MODIFIED
    if "second time" in text or "after they have already been freed" in text:
        return FREED
    return f"its backward raised {type(error).__name__}: {text}"


_TRIANGLE = "it takes its input to be symmetric, so that single elements cannot be varied"
UNSUITED = {
    "AsStridedScatterBackward0": "several of its elements may be one place in memory",
    "CholeskyBackward0": _TRIANGLE,
    "LinalgCholeskyExBackward0": _TRIANGLE,
    "LinalgEighBackward0": _TRIANGLE,
    "LinalgLuBackward0": "its factors depend on the order of the pivots",
    "LinalgLuFactorExBackward0": "its factors depend on the order of the pivots",
    "LinalgPinvBackward0": "its derivative exists only where the rank stays the same",
    "LuUnpackBackward0": "its gradient has the structure of its factors",
    "MaxUnpool2DBackward0": "several of its elements may go to one place",
    "MaxUnpool3DBackward0": "several of its elements may go to one place",
    "NormalBackward0": "PyTorch defines its gradient to be zero",
    "NormalBackward1": "PyTorch defines its gradient to be zero",
    "NormalBackward2": "PyTorch defines its gradient to be zero",
    "NormalBackward3": "PyTorch defines its gradient to be zero",
}
"""Operators whose gradients are right by another definition than that of finite differences."""

FREED = "a backward pass has freed what it saved"
PACKED = "what it saved is packed (a checkpoint, or saved_tensors_hooks); reading it would unpack"
MODIFIED = "what it saved was modified in place, so a backward pass will refuse it"


def _check_function(node: LiveNode) -> None:
    cls = forward_class(node)
    if cls.__module__.startswith("torch._functorch"):
        raise CannotCheckError("a function transform (torch.func) made it")
    if cls.__module__.partition(".")[0] == "torch":
        raise CannotCheckError(
            "it is part of PyTorch; its backward may run more than itself, as a checkpoint does"
        )
    if getattr(cls, "clear_saved_tensors_on_access", False):
        raise CannotCheckError("its backward frees what it saved (clear_saved_tensors_on_access)")
    entries = raw_saved_tensors(node)
    if entries is None:
        raise CannotCheckError(FREED)
    if any(peek_saved(entry)[0] for entry in entries):
        raise CannotCheckError(PACKED)


def call_node(node: LiveNode, received: Sequence[torch.Tensor | None], count: int) -> Returned:
    """What a node returns for some gradients.

    No hook runs and nothing is freed: the engine is not involved.

    Args:
        node: A node that `check_callable` let pass.
        received: One per output of its forward function.
        count: How many values it should return.

    Raises:
        CannotCheckError: It raised an error.
    """
    given = [None if gradient is None else gradient.clone() for gradient in received]
    # A custom Function has an `apply`, a built-in node a `__call__`.
    call: Any = getattr(node, "apply", node)
    try:
        with torch.no_grad():
            returned = call(*given)
    except Exception as error:
        # Whatever the user's backward raises.
        raise CannotCheckError(_explain(error)) from None
    values = list(returned) if isinstance(returned, tuple) else [returned]
    total = len(values)
    while len(values) > count and values[-1] is None:
        values.pop()  # The engine cuts these off as well.
    changed = any(gradient is not None and _version(gradient) > 0 for gradient in given)
    return Returned(values, total, changed)


def _version(tensor: torch.Tensor) -> int:
    try:
        return version_of(tensor)
    except RuntimeError:
        return 0  # An inference tensor counts no writes.
