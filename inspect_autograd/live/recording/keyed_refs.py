"""Weak references that know the id of what they refer to, for tables by identity."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["KeyedRef"]


class KeyedRef(weakref.ref[torch.Tensor]):
    """A weak reference to a tensor.

    An id is only good while its object lives. The callback runs before the memory of the tensor
    can be used again, so a table whose entries it removes never takes one tensor for another.

    Attributes:
        key: `id` of the tensor.
    """

    __slots__ = ("key",)
    key: int

    def __new__(
        cls, tensor: torch.Tensor, callback: Callable[[Any], None] | None = None
    ) -> KeyedRef:
        """Refer to a tensor."""
        self = super().__new__(cls, tensor, callback)
        self.key = id(tensor)
        return self
