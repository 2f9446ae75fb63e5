"""What is remembered of tensors that were written to or are leaves, without keeping them alive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch

from ...graph.tensor_meta import TensorMeta
from ..memory import find_memory
from ..parameters import TensorNames
from ..tensor_meta import TensorMetaCache
from .keyed_refs import KeyedRef, keyed_ref

__all__ = ["KnownTensor", "KnownTensors", "NameSource"]


class NameSource(Protocol):
    """A recording."""

    def names(self) -> TensorNames:
        """Names of the tensors that are known so far."""


class KnownTensor:
    """One tensor, which may be gone by now.

    Attributes:
        ref: Refers to it.
        meta: Its shape and type when it was first seen.
        name: Its name; empty if it has none.
        view_of: Where it is a view of memory that has a name: that name.
        bit: Which bit of a set of leaves stands for it; -1 before it was part of one.
        is_reached: Whether a backward pass reached it.
    """

    __slots__ = ("bit", "is_reached", "meta", "name", "ref", "view_of")

    def __init__(self, ref: KeyedRef, meta: TensorMeta) -> None:
        self.ref = ref
        self.meta = meta
        self.name = self.view_of = ""
        self.bit = -1
        self.is_reached = False

    def set_names(self, tensor: torch.Tensor, names: TensorNames) -> None:
        """Look its names up: by identity, or else by memory, which only tells while it lives."""
        self.name = next(iter(names.of_leaf(tensor)), "")
        if not names.is_given(tensor):
            storage = find_memory(tensor)[1]
            owners = () if storage is None else names.of_memory(storage, tensor)
            self.view_of = next(iter(owners), "")

    def refresh_names(self, names: TensorNames) -> None:
        """Look them up again: modules that were met later may have named it."""
        tensor = self.ref()
        if tensor is not None and not self.name:
            self.set_names(tensor, names)

    def label(self) -> str:
        """What to call a leaf."""
        return self.name or f"{self.meta} leaf"


class KnownTensors:
    """Gives each tensor one KnownTensor, and sets of leaves as the bits of an integer.

    A leaf gives its bit back when it dies. Until then no graph that leads to it can be gone, so
    what is noted in the nodes of a graph means what it says.

    Attributes:
        metas: Makes the TensorMeta records.
        dead: Leaves that died since this list was cleared.
        generation: Rises when a bit is given back.
    """

    def __init__(self) -> None:
        self.metas = TensorMetaCache()
        self.dead: list[KnownTensor] = []
        self.generation = 0
        self._known: dict[int, KnownTensor] = {}
        self._by_bit: list[KnownTensor | None] = []
        self._free: list[int] = []

    def find(self, tensor: torch.Tensor, source: NameSource) -> KnownTensor:
        """The one for a tensor; the mode must not see what happens here."""
        known = self._known.get(id(tensor))
        if known is None or known.ref() is not tensor:
            known = KnownTensor(keyed_ref(tensor, self._forget), self.metas.describe(tensor))
            known.set_names(tensor, source.names())
            self._known[id(tensor)] = known
        return known

    def mask_of(self, leaf: torch.Tensor, source: NameSource) -> int:
        """The set that holds one leaf."""
        known = self.find(leaf, source)
        if known.bit < 0:
            try:
                known.bit = self._free.pop()
                self._by_bit[known.bit] = known
            except IndexError:
                known.bit = len(self._by_bit)
                self._by_bit.append(known)
        return 1 << known.bit

    def members(self, mask: int) -> Iterable[KnownTensor]:
        """The leaves of a set."""
        by_bit = self._by_bit
        while mask:
            low = mask & -mask
            mask ^= low
            known = by_bit[low.bit_length() - 1]
            if known is not None:
                yield known

    def close(self) -> None:
        """Forget all of them, so that no weak reference stays behind."""
        self._known.clear()
        self._by_bit.clear()
        self._free.clear()
        self.dead.clear()

    def _forget(self, ref: KeyedRef) -> None:
        known = self._known.get(ref.key)
        if known is None or known.ref is not ref:
            return
        del self._known[ref.key]
        if known.bit >= 0:
            self.generation += 1
            self._by_bit[known.bit] = None
            self._free.append(known.bit)
            self.dead.append(known)
