"""Bring a few numbers over from their devices, without waiting for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..private_training import foreach_norms
from .values import group_tensors

__all__ = ["PendingNumbers", "launch_norms"]


class PendingNumbers:
    """Numbers that are on their way from a device.

    On the CPU they are there at once. Of a CUDA device they are copied while the program goes on,
    and read in a later step; of other devices they are fetched then.

    Args:
        tensors: Of one dimension each, with few elements.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._parts: list[tuple[Any, torch.Tensor]] = []
        for tensor in tensors:
            event = None
            if tensor.is_cuda:
                host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                host.copy_(tensor, non_blocking=True)
                event = torch.cuda.Event()
                event.record(torch.cuda.current_stream(tensor.device))
                tensor = host  # noqa: PLW2901
            self._parts.append((event, tensor))

    @property
    def is_ready(self) -> bool:
        """Whether reading them waits for nothing."""
        return all(event is None and tensor.is_cpu for event, tensor in self._parts)

    def read(self) -> list[float]:
        """All of them, in order."""
        found: list[float] = []
        for event, tensor in self._parts:
            if event is not None:
                event.synchronize()
            found += tensor.tolist()
        return found


def launch_norms(
    tensors: Sequence[torch.Tensor], scalars: Sequence[torch.Tensor] = ()
) -> tuple[list[int], PendingNumbers]:
    """Start to compute the Euclidean norms of tensors.

    Args:
        tensors: On any devices.
        scalars: Further tensors of one element, whose values are wanted too.

    Returns:
        The positions of the tensors that have a norm, in the order of the numbers, and the
        numbers: first the norms, then the scalars.
    """
    with torch.no_grad():
        groups = group_tensors(tensors)
        rows = [torch.stack(foreach_norms([tensors[i] for i in group])) for group in groups]
        rows += [scalar.detach().reshape(1) for scalar in scalars]
        return [i for group in groups for i in group], PendingNumbers(rows)
