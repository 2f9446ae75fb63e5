"""Turn live tensors, and the metadata that nodes keep, into TensorMeta records."""

from __future__ import annotations

from typing import Any

import torch

from ..graph.tensor_meta import TensorMeta

__all__ = ["TensorMetaCache"]


class TensorMetaCache:
    """Makes TensorMeta records; equal ones are one object, which saves time and memory."""

    def __init__(self) -> None:
        self._metas: dict[tuple[Any, ...], TensorMeta] = {}

    def describe(self, tensor: torch.Tensor) -> TensorMeta:
        """What is known of a tensor without reading its values."""
        return self.make(_shape_of(tensor), tensor.dtype, tensor.device, tensor.layout)

    def describe_metadata(self, metadata: Any) -> TensorMeta:
        """What a node knows of a gradient that it receives (`Node._input_metadata[i]`)."""
        return self.make(_shape_of(metadata), metadata.dtype, metadata.device, None)

    def make(self, shape: Any, dtype: Any, device: Any, layout: Any) -> TensorMeta:
        """The record of these values, made once."""
        key = (shape, dtype, device, layout)
        meta = self._metas.get(key)
        if meta is None:
            meta = self._metas[key] = TensorMeta(
                shape=shape,
                dtype=str(dtype).removeprefix("torch."),
                device=str(device),
                layout=None if layout is None else str(layout).removeprefix("torch."),
            )
        return meta


def _shape_of(tensor: Any) -> tuple[Any, ...] | None:
    try:
        shape = tensor.shape
    except RuntimeError:
        return None  # A nested tensor of strided layout has no one shape.
    # A symbolic size must not be compared with another: that would add a guard to the program
    # being compiled. Its name is all we want of it.
    return tuple([size if type(size) is int else str(size) for size in shape])
