"""Why the result of a call has no graph, and whether the call was the user's doing."""

from __future__ import annotations

import os
from pathlib import Path
from types import BuiltinFunctionType, FrameType, MethodDescriptorType, MethodWrapperType
from typing import Any

import torch

from ...events.effects import CutReason
from ..file_owners import USER, owner_of

__all__ = ["COPIES", "is_internal", "is_one_by_one", "is_optimizer_code", "reason_of"]

_TORCH = str(Path(torch.__file__).parent) + os.sep

_WRAPPERS = tuple(
    _TORCH + file.replace("/", os.sep)
    for file in (
        "overrides.py",
        "functional.py",
        "nn/functional.py",
        "_tensor.py",
        "utils/_contextlib.py",
        "_jit_internal.py",
    )
)
"""Files with functions that stand between the user's call and the one that is seen."""

_OPTIMIZERS = _TORCH + "optim" + os.sep

_INTERNAL = (
    _OPTIMIZERS,
    *(
        _TORCH + place.replace("/", os.sep)
        for place in (
            "_dynamo/",
            "_functorch/",
            "_utils.py",
            "amp/",
            "autograd/",
            "distributed/",
            "distributions/constraints.py",
            "distributions/distribution.py",
            "multiprocessing/",
            "nn/init.py",
            "nn/modules/module.py",
            "nn/parallel/",
            "nn/parameter.py",
            "nn/utils/",
            "serialization.py",
            "testing/",
            "utils/",
        )
    ),
)
"""Code of torch that computes without a graph on purpose: checks of arguments, clipping,
optimizers, `state_dict`, `deepcopy`, checkpoints."""

COPIES = frozenset(
    (
        "as_tensor", "asarray", "linspace", "logspace", "new_tensor", "tensor",
    )
)  # fmt: skip
"""Functions that make a new tensor of values, also of those of a tensor."""

_DETACHES = frozenset(("detach", "detach_", "detach_copy"))

_ONE_BY_ONE = frozenset(
    ("broadcast_tensors", "meshgrid", "atleast_1d", "atleast_2d", "atleast_3d", "align_tensors")
)

_wrappers: dict[str, bool] = {}


def reason_of(function: Any, output: torch.Tensor) -> CutReason:
    """Why a result has no graph, though an argument has one."""
    name = getattr(function, "__name__", "")
    if name in _DETACHES:
        return "detach"
    if isinstance(function, MethodWrapperType):
        owner = getattr(function.__self__, "__name__", "")
        if owner == "data":
            return "data"
    if name in COPIES:
        return "copy"
    if not is_differentiable(output):
        return "not differentiable"
    if torch.is_inference_mode_enabled():
        return "inference_mode"
    if not torch.is_grad_enabled():
        return "no_grad"
    # A function of torch that has no derivative (`torch.unique`).
    is_native = isinstance(function, BuiltinFunctionType | MethodDescriptorType)
    is_torch = is_native or str(getattr(function, "__module__", "")).startswith("torch")
    return "not differentiable" if is_torch else "unknown"


def is_differentiable(tensor: torch.Tensor) -> bool:
    """Whether a tensor of this type could carry a graph at all."""
    dtype = tensor.dtype
    return dtype.is_floating_point or dtype.is_complex


def is_one_by_one(function: Any) -> bool:
    """Whether each result belongs to one argument, so that one without a graph is no cut."""
    name = getattr(function, "__name__", "")
    return name in _ONE_BY_ONE or name.startswith("_foreach_")


def is_internal(frame: FrameType | None) -> bool:
    """Whether code of torch called that computes without a graph on purpose.

    Args:
        frame: Where to look outwards from; ours, or torch's.
    """
    return _file_behind(frame).startswith(_INTERNAL)


def is_optimizer_code(frame: FrameType | None) -> bool:
    """Whether an optimizer of torch called."""
    return _file_behind(frame).startswith(_OPTIMIZERS)


def _file_behind(frame: FrameType | None) -> str:
    """The innermost file that does not only stand between a caller and the function seen."""
    while frame is not None:
        file = frame.f_code.co_filename
        is_wrapper = _wrappers.get(file)
        if is_wrapper is None:
            is_wrapper = _wrappers[file] = _is_wrapper(file)
        if not is_wrapper:
            return file
        frame = frame.f_back
    return ""


def _is_wrapper(file: str) -> bool:
    return file in _WRAPPERS or (owner_of(file) != USER and not file.startswith(_TORCH))
