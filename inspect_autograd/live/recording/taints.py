"""Tensors that were computed from what came out of a cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from ..private_modes import functions_unobserved
from .cut_rows import CutRow
from .keyed_refs import KeyedRef, keyed_ref

__all__ = ["Taints"]

Cuts = frozenset[CutRow]
NONE: Cuts = frozenset()
_NO_POINTER = (RuntimeError, NotImplementedError, TypeError, AttributeError)


class Taints:
    """Remembers behind which cuts a tensor lies, and keeps none of them alive.

    Attributes:
        by_id: Per tensor, a weak reference that takes the entry out, and the cuts. Falsy while
            nothing is followed.
        by_address: The same for memory that a NumPy array looks at, too. Whoever makes a tensor of
            the array has the same values, and no function mode sees `torch.from_numpy`.
    """

    def __init__(self) -> None:
        self.by_id: dict[int, tuple[KeyedRef, Cuts]] = {}
        self.by_address: dict[int, tuple[KeyedRef, Cuts]] = {}

    def find(self, tensors: Iterable[torch.Tensor]) -> Cuts:
        """The cuts behind some tensors."""
        by_id, found = self.by_id, NONE
        for tensor in tensors:
            entry = by_id.get(id(tensor))
            if entry is None:
                if not self.by_address:
                    continue
                entry = self.by_address.get(_address(tensor))
                if entry is None:
                    continue
            if found is not entry[1]:
                found = found | entry[1] if found else entry[1]
        return found

    def find_in_arrays(self, args: Iterable[Any]) -> Cuts:
        """The cuts behind NumPy arrays."""
        found = NONE
        for value in args:
            interface = getattr(value, "__array_interface__", None)
            if isinstance(interface, dict):
                entry = self.by_address.get(interface["data"][0])
                if entry is not None:
                    found |= entry[1]
        return found

    def add(self, tensor: torch.Tensor, cuts: Cuts) -> None:
        """A tensor was computed from, or overwritten with, what lies behind these cuts."""
        key = id(tensor)
        entry = self.by_id.get(key)
        if entry is None:
            self.by_id[key] = keyed_ref(tensor, self._forget), cuts
        elif not cuts <= entry[1]:
            self.by_id[key] = entry[0], cuts | entry[1]

    def add_array(self, array: Any, cuts: Cuts) -> None:
        """A NumPy array looks at the memory of such a tensor; `numpy()` makes it the base."""
        base = getattr(array, "base", None)
        # An empty tensor has no address.
        if isinstance(base, torch.Tensor) and _address(base):
            self.by_address[_address(base)] = keyed_ref(base, self._forget_address), cuts
            self.add(base, cuts)  # So that it shows in `by_id` that something is followed.

    def close(self) -> None:
        """Follow nothing any more."""
        self.by_id.clear()
        self.by_address.clear()

    def _forget(self, ref: KeyedRef) -> None:
        entry = self.by_id.get(ref.key)
        if entry is not None and entry[0] is ref:
            del self.by_id[ref.key]

    def _forget_address(self, ref: KeyedRef) -> None:
        # Rare enough to search for it: its address cannot be asked for any more.
        for address, entry in list(self.by_address.items()):
            if entry[0] is ref:
                del self.by_address[address]


def _address(tensor: torch.Tensor) -> int:
    try:
        with functions_unobserved():
            return tensor.data_ptr()
    except _NO_POINTER:
        return 0
