"""Weak references that know the id of what they refer to, for tables by identity."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch

__all__ = ["KeyedRef", "keyed_ref"]


class KeyedRef(weakref.ref[torch.Tensor]):
    """A weak reference to a tensor.

    An id is only good while its object lives. The callback runs before the memory of the tensor
    can be used again, so a table whose entries it removes never takes one tensor for another.

    Attributes:
        key: `id` of the tensor.
    """

    __slots__ = ("key",)
    key: int


def keyed_ref(tensor: torch.Tensor, callback: Callable[[KeyedRef], None]) -> KeyedRef:
    """Refer to a tensor; a constructor of the class would take twice as long."""
    ref = KeyedRef(tensor, callback)
    ref.key = id(tensor)
    return ref
