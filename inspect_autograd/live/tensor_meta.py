"""Turn live tensors, and the metadata that nodes keep, into TensorMeta records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from ..graph.tensor_meta import TensorMeta
from .private_torch import LiveNode, input_metadata

__all__ = ["TensorMetaCache"]


class TensorMetaCache:
    """Makes TensorMeta records; equal ones are one object, which saves time and memory."""

    def __init__(self) -> None:
        self._metas: dict[tuple[Any, ...], TensorMeta] = {}
        self._received: dict[tuple[Any, ...], tuple[TensorMeta, ...]] = {}

    def describe(self, tensor: torch.Tensor) -> TensorMeta:
        """What is known of a tensor without reading its values."""
        try:
            known = self._metas.get((tensor.shape, tensor.dtype, tensor.device, tensor.layout))
        except (RuntimeError, TypeError):
            known = None  # A nested tensor has no one shape, a symbolic size no hash.
        if known is not None:
            return known
        return self._make((_shape_of(tensor), tensor.dtype, tensor.device, tensor.layout))

    def describe_received(self, nodes: Iterable[LiveNode]) -> list[tuple[TensorMeta, ...]]:
        """What gradients each node receives, one per output slot."""
        known = self._received
        result = []
        for entries in input_metadata(nodes):
            # This runs for every node, so the usual case, one slot, is written for speed.
            if len(entries) == 1:
                entry = entries[0]
                try:
                    received = known.get((tuple(entry.shape), entry.dtype, entry.device))
                except (RuntimeError, TypeError):
                    received = None  # A nested tensor has no one shape, a symbolic size no hash.
                if received is not None:
                    result.append(received)
                    continue
            keys = [(_shape_of(entry), entry.dtype, entry.device) for entry in entries]
            metas = tuple([self._make((*key, None)) for key in keys])
            result.append(known.setdefault(keys[0] if len(keys) == 1 else tuple(keys), metas))
        return result

    def _make(self, key: tuple[Any, ...]) -> TensorMeta:
        shape, dtype, device, layout = key
        return self._metas.setdefault(
            key,
            TensorMeta(
                shape=shape,
                dtype=str(dtype).removeprefix("torch."),
                device=str(device),
                layout=None if layout is None else str(layout).removeprefix("torch."),
            ),
        )


def _shape_of(tensor: Any) -> tuple[int | str, ...] | None:
    try:
        shape = tensor.shape
    except RuntimeError:
        return None  # A nested tensor of strided layout has no one shape.
    for size in shape:
        if size.__class__ is not int:
            # A symbolic size must not be compared with anything: that would add a guard to the
            # program being compiled. Its name is all we want of it.
            return tuple([str(size) if size.__class__ is not int else size for size in shape])
    return tuple(shape)
