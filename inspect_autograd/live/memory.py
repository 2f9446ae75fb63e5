"""Where the elements of a tensor lie, and how many bytes they take."""

from __future__ import annotations

from typing import NamedTuple

import torch

from .private_torch import inner_tensors, storage_key

__all__ = ["Memory", "find_memory", "find_region"]


class Memory(NamedTuple):
    """The memory of a tensor.

    Attributes:
        bytes: Of its elements; an expanded element counts as often as it is seen. None if torch
            does not tell.
        storage: Key of its storage, equal for tensors that share memory; None if torch does not
            tell.
        storage_bytes: Size of the whole storage.
    """

    bytes: int | None
    storage: int | None
    storage_bytes: int


UNKNOWN = Memory(None, None, 0)
_NO_STORAGE = (RuntimeError, NotImplementedError, TypeError, AttributeError)


def find_memory(tensor: torch.Tensor) -> Memory:
    """Find the memory of a tensor without touching its values or its device."""
    try:
        storage = tensor.untyped_storage()
        return Memory(tensor.nbytes, storage_key(storage), storage.nbytes())
    except _NO_STORAGE:
        return _memory_of_parts(tensor)


def find_region(tensor: torch.Tensor) -> tuple[int, int]:
    """The bytes of its storage that a tensor lies in: the first, and the one behind the last.

    A tensor whose strides torch does not tell is taken to fill its storage.
    """
    try:
        start = int(tensor.storage_offset())
        count = tensor.numel()
        if count and not tensor.is_contiguous():
            sizes = zip(tensor.shape, tensor.stride(), strict=True)
            count = 1 + sum((size - 1) * stride for size, stride in sizes)
        return start * tensor.itemsize, (start + count) * tensor.itemsize
    except _NO_STORAGE:
        return 0, find_memory(tensor).storage_bytes


def _memory_of_parts(tensor: torch.Tensor) -> Memory:
    # Sparse and other composed tensors: the tensors that they are made of hold the memory. The
    # first part's storage stands for all of them, so that the whole is counted once.
    try:
        with torch.no_grad():
            parts = [find_memory(part) for part in inner_tensors(tensor) if part is not tensor]
    except _NO_STORAGE:
        return UNKNOWN
    if not parts or any(part.bytes is None for part in parts):
        return UNKNOWN
    return Memory(
        sum(part.bytes or 0 for part in parts),
        parts[0].storage,
        sum(part.storage_bytes for part in parts),
    )
