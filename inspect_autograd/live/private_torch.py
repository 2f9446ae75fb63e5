"""Every private name of torch that this package relies on, in one place.

Each function says what we rely on, which versions were seen to have it, and what happens without
it. Nothing else in the package may use a torch name that starts with an underscore.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

__all__ = [
    "NO_SEQUENCE_NR",
    "LiveNode",
    "input_metadata",
    "raw_saved_names",
    "raw_saved_tensors",
    "sequence_nrs",
    "storage_key",
    "torch_function_disabled",
    "unpack_hook",
]

LiveNode = Any
"""A `grad_fn`. `torch.autograd.graph.Node` is not a base of the nodes of C++ extensions."""

RAW_PREFIX = "_raw_saved_"
"""`_raw_saved_X` is the SavedVariable behind `_saved_X` (1.9 and newer). Without it a saved
tensor would have to be read through `_saved_X`, which runs unpack hooks."""

NO_SEQUENCE_NR = 2**64 - 1
"""What AccumulateGrad has for a sequence number: the engine runs it at once."""


def sequence_nrs(nodes: Iterable[LiveNode]) -> list[int]:
    """`Node._sequence_nr()` of each node (2.1 and newer).

    A number is unique within its thread and rises with every node made. AccumulateGrad has
    `NO_SEQUENCE_NR`, and so has every node where torch lacks the method.
    """
    try:
        return [node._sequence_nr() for node in nodes]
    except AttributeError:
        return [getattr(node, "_sequence_nr", lambda: NO_SEQUENCE_NR)() for node in nodes]


def input_metadata(node: LiveNode) -> Sequence[Any]:
    """`Node._input_metadata` (2.1 and newer): what the node receives, one entry per output slot.

    Each entry has `shape`, `dtype`, `device`; `shape` raises for strided nested tensors. Empty
    where torch lacks it, so that shapes are unknown.
    """
    try:
        return node._input_metadata  # type: ignore[no-any-return]
    except (AttributeError, RuntimeError):
        return ()


def raw_saved_names(node_type: type) -> tuple[str, ...]:
    """Names X for which nodes of this type have `_raw_saved_X`, in alphabetical order."""
    return tuple(
        name.removeprefix(RAW_PREFIX) for name in dir(node_type) if name.startswith(RAW_PREFIX)
    )


def raw_saved_tensors(node: LiveNode) -> tuple[Any, ...] | None:
    """`_raw_saved_tensors` of a custom Function (1.10 and newer); None once they were freed."""
    try:
        return node._raw_saved_tensors or ()
    except RuntimeError:
        return None
    except AttributeError:
        return ()


def unpack_hook(raw: Any) -> Any:
    """The unpack hook of a SavedVariable (`.unpack_hook`), None if reading runs no user code.

    Present in 2.7 and newer. On older versions we look at what `.data` gives: a pack hook may
    return anything, and a checkpoint returns an object that is not a tensor.
    """
    try:
        return raw.unpack_hook
    except AttributeError:
        return None if raw.data is None or isinstance(raw.data, torch.Tensor) else raw


def storage_key(tensor: torch.Tensor) -> int:
    """Address of the StorageImpl (`UntypedStorage._cdata`): equal for tensors that share memory.

    Raises:
        RuntimeError: The tensor has no storage (sparse, nested, functorch wrappers).
    """
    return tensor.untyped_storage()._cdata


def torch_function_disabled() -> AbstractContextManager[Any]:
    """No `__torch_function__` of a subclass or mode runs inside (1.7 and newer).

    Reading `.shape` of a subclass would otherwise run the user's code.
    """
    return torch._C.DisableTorchFunction()
