"""Where the elements of a tensor lie, and how many bytes they take."""

from __future__ import annotations

import torch

from .private_torch import inner_tensors, storage_key_and_bytes

__all__ = ["Memory", "find_memory", "find_region"]


Memory = tuple[int | None, int | None, int]
"""The memory of a tensor: `(bytes, storage, storage_bytes)`.

`bytes` are those of its elements, an expanded one counted as often as it is seen; `storage` is a
key, equal for tensors that share memory; `storage_bytes` is the size of the whole storage. The
first two are None where torch does not tell.
"""

UNKNOWN: Memory = (None, None, 0)
_NO_STORAGE = (RuntimeError, NotImplementedError, TypeError, AttributeError)


def find_memory(tensor: torch.Tensor) -> Memory:
    """Find the memory of a tensor without touching its values or its device."""
    try:
        return tensor.nbytes, *storage_key_and_bytes(tensor)
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
        return 0, find_memory(tensor)[2]


def _memory_of_parts(tensor: torch.Tensor) -> Memory:
    # Sparse and other composed tensors: the tensors that they are made of hold the memory. The
    # first part's storage stands for all of them, so that the whole is counted once.
    try:
        with torch.no_grad():
            parts = [find_memory(part) for part in inner_tensors(tensor) if part is not tensor]
    except _NO_STORAGE:
        return UNKNOWN
    sizes = [size for size, _, _ in parts if size is not None]
    if not parts or len(sizes) < len(parts):
        return UNKNOWN
    return sum(sizes), parts[0][1], sum(storage_bytes for _, _, storage_bytes in parts)
