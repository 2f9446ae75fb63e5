"""Numbers about gradients while a backward pass runs: each distinct gradient once."""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Sequence
from itertools import groupby
from math import isfinite, isnan

import torch

from ...events.columns import NUMBERS, StatsColumn
from ...events.table import NO_GRADIENT
from ...graph.tensor_meta import TensorMeta
from ..private_torch import (
    are_modes_active,
    is_functorch_wrapper,
    is_in_function_transform,
    unobserved,
    version_of,
)
from ..tensor_meta import TensorMetaCache
from .reductions import (
    SMALL,
    Level,
    Numbers,
    UnreducedError,
    reduce_small,
    reduce_strided,
    reduce_tensor,
)

__all__ = ["GradientStats"]

MAX_PENDING = 100_000
"""So many gradients may wait on an accelerator before their numbers are fetched: some 100 MB."""
MAX_KNOWN = 4096
"""So many weak references are kept before those to dead tensors are dropped."""

_UNKNOWN = (None,) * NUMBERS
_PLAIN = (torch.Tensor, torch.nn.Parameter)


class GradientStats:
    """Measures gradients and numbers them.

    On the CPU the numbers are there at once. On an accelerator they stay on the device until
    `fetch`, so that no node waits for it.

    Args:
        level: Which numbers.
        metas: Makes the TensorMeta records.
        defer: Leave the numbers of tensors on the CPU for `fetch`, too.

    Attributes:
        stats: What is known of each distinct gradient; `note` returns positions in it. It grows
            as long as gradients are noted.
        nonfinite: Positions of those that are known not to be finite.
    """

    def __init__(self, level: Level, metas: TensorMetaCache, *, defer: bool = False) -> None:
        self._all_metas: list[TensorMeta] = []
        self._numbers: list[float | int | None] = []
        self._notes: dict[int, str] = {}
        self.stats = StatsColumn(self._all_metas, self._numbers, self._notes)
        self.nonfinite: set[int] = set()
        self._level: Level = level
        self._metas = metas
        # A tensor keeps its Python object, and so its id, while torch holds it; the reference
        # tells whether it is still the same one, the version whether it was written to since.
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], int, int]] = {}
        self._defer = defer
        self._pending: dict[int, tuple[Numbers, str]] = {}

    def note(self, gradient: torch.Tensor | None) -> int:
        """Measure a gradient, unless that was done before.

        Returns:
            Its position in `stats`, `NO_GRADIENT` for None.
        """
        if gradient is None:
            return NO_GRADIENT
        known = self._known.get(id(gradient))
        if known is not None and known[0]() is gradient and known[1] == version_of(gradient):
            return known[2]
        return self._remember(gradient, self._measure(gradient))

    def note_returned(
        self,
        returned: Sequence[torch.Tensor | None],
        received: Sequence[torch.Tensor | None],
        positions: Sequence[int],
    ) -> list[int]:
        """Measure what a node returned, sharing what it only passed on.

        Args:
            returned: What it returned.
            received: What it received.
            positions: Where the numbers of these are.
        """
        result = []
        for gradient in returned:
            if gradient is None:
                result.append(NO_GRADIENT)
                continue
            known = self._known.get(id(gradient))
            if known is not None and known[0]() is gradient and known[1] == version_of(gradient):
                result.append(known[2])
                continue
            position = self._seen_through_a_view(gradient, received, positions)
            if position is None:
                position = self._measure(gradient)
            result.append(self._remember(gradient, position))
        return result

    def _remember(self, gradient: torch.Tensor, position: int) -> int:
        known = self._known
        if len(known) >= MAX_KNOWN:
            alive = {key: entry for key, entry in known.items() if entry[0]() is not None}
            known.clear()
            if len(alive) < MAX_KNOWN // 2:
                known.update(alive)
        # What does not tell its version, as an inference tensor, is measured each time.
        with contextlib.suppress(RuntimeError):
            known[id(gradient)] = (weakref.ref(gradient), version_of(gradient), position)
        return position

    def _seen_through_a_view(
        self,
        gradient: torch.Tensor,
        received: Sequence[torch.Tensor | None],
        positions: Sequence[int],
    ) -> int | None:
        """Where the numbers are of a received gradient that holds exactly the same elements.

        Both are alive, so the same address is the same memory. Equal sizes and strides, in
        whatever order of dimensions, then make the same elements; so do two dense tensors of the
        same number of elements.
        """
        if not _has_address(gradient):
            return None
        size = gradient.numel()
        if size <= SMALL:
            return None
        try:
            address = gradient.data_ptr()
        except RuntimeError:
            return None  # A batch of gradients, as is_grads_batched makes one, has no address.
        for other, position in zip(received, positions, strict=True):
            if (
                other is not None
                and _has_address(other)
                and other.numel() == size
                and other.dtype is gradient.dtype
                and other.data_ptr() == address
                and other.is_neg() == gradient.is_neg()
                and other.is_conj() == gradient.is_conj()
                and _same_elements(gradient, other)
            ):
                return self._add_alike(position, self._metas.describe(gradient))
        return None

    def _add_alike(self, position: int, meta: TensorMeta) -> int | None:
        """An entry with the numbers of another one, under another shape; None if it has none."""
        if meta == self._all_metas[position]:
            return position
        if position in self._pending:
            return self._add_pending(meta, *self._pending[position])
        first = position * NUMBERS
        numbers = self._numbers[first : first + NUMBERS]
        if numbers[0] is None:
            return None
        return self._add(meta, numbers, self._notes.get(position, ""))

    def _add_pending(self, meta: TensorMeta, numbers: Numbers, note: str) -> int:
        """An entry whose numbers are tensors on a device until `fetch`."""
        self._pending[len(self._all_metas)] = numbers, note
        position = self._add(meta, _UNKNOWN, "the numbers are still on the device")
        if len(self._pending) >= MAX_PENDING:
            self.fetch()
        return position

    def _add(self, meta: TensorMeta, numbers: Sequence[float | int | None], note: str = "") -> int:
        position = len(self._all_metas)
        self._numbers += numbers
        self._all_metas.append(meta)
        if note:
            self._notes[position] = note
        if _is_nonfinite(numbers):
            self.nonfinite.add(position)
        return position

    # -- measuring -----------------------------------------------------------------------------

    def _measure(self, gradient: torch.Tensor) -> int:
        if type(gradient) in _PLAIN and not are_modes_active():
            return self._measure_unobserved(gradient)
        with unobserved():
            return self._measure_unobserved(gradient)

    def _measure_unobserved(self, gradient: torch.Tensor) -> int:
        if gradient.requires_grad:
            gradient = gradient.detach()
        meta = self._metas.describe(gradient)
        try:
            if is_in_function_transform() and is_functorch_wrapper(gradient):
                raise UnreducedError("inside a function transform values cannot be read")
            defer = self._defer or not gradient.is_cpu
            size = gradient.numel()
            if not (size and _is_simple(gradient)):
                numbers, note = reduce_tensor(gradient, self._level)
            elif size <= SMALL and not defer:
                return self._add(meta, reduce_small(_to_list(gradient), self._level))
            else:
                numbers, note = reduce_strided(gradient, self._level), ""
            if defer:
                return self._add_pending(meta, numbers, note)
            return self._add(meta, list(map(_to_number, numbers)), note)
        except UnreducedError as error:
            return self._add(meta, _UNKNOWN, str(error))
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            # Torch lacks a kernel, as for most 8-bit floats, or the tensor has no data.
            return self._add(meta, _UNKNOWN, f"torch cannot reduce it: {_first_line(error)}")

    def fetch(self) -> None:
        """Get the numbers that are still on a device: one transfer for each device and type."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        _wait_for_accelerators()
        scalars = [
            (position, field, value)
            for position, (numbers, _) in pending.items()
            for field, value in enumerate(numbers)
            if isinstance(value, torch.Tensor)
        ]

        def key(item: tuple[int, int, torch.Tensor]) -> tuple[str, str]:
            return str(item[2].device), str(item[2].dtype)

        found: dict[int, list[float | int | None]] = {
            position: [None if isinstance(v, torch.Tensor) else v for v in numbers]
            for position, (numbers, _) in pending.items()
        }
        with torch.no_grad(), unobserved():
            for _, group in groupby(sorted(scalars, key=key), key=key):
                items = list(group)
                values = torch.stack([value.reshape(()) for _, _, value in items]).tolist()
                for (position, field, _), value in zip(items, values, strict=True):
                    found[position][field] = value
        for position, (_, note) in pending.items():
            first = position * NUMBERS
            self._numbers[first : first + NUMBERS] = found[position]
            self._notes.pop(position, None)
            if note:
                self._notes[position] = note
            if _is_nonfinite(found[position]):
                self.nonfinite.add(position)


def _is_nonfinite(numbers: Sequence[float | int | None]) -> bool:
    l2, low, high = numbers[:3]
    if low is None or high is None:
        return l2 is not None and isnan(l2)
    return not (isfinite(low) and isfinite(high))


def _is_simple(gradient: torch.Tensor) -> bool:
    """Whether its elements are real numbers that Python can be given."""
    return (
        gradient.layout is torch.strided
        and type(gradient) in _PLAIN
        and gradient.is_floating_point()
        and not (gradient.is_nested or gradient.is_meta)
    )


def _to_list(gradient: torch.Tensor) -> list[float]:
    dims = gradient.dim()
    if dims == 1:
        values: list[float] = gradient.tolist()  # A third of the time of what follows.
        return values
    return gradient.reshape(-1).tolist() if dims else [gradient.item()]


def _has_address(gradient: torch.Tensor) -> bool:
    """Whether its elements are in memory of its own, at an address that can be asked for."""
    return (
        type(gradient) is torch.Tensor
        and gradient.layout is torch.strided
        and not gradient.is_nested
        and not is_in_function_transform()
    )


def _same_elements(gradient: torch.Tensor, other: torch.Tensor) -> bool:
    if gradient.is_contiguous() and other.is_contiguous():
        return True
    return _sorted_strides(gradient) == _sorted_strides(other)


def _sorted_strides(tensor: torch.Tensor) -> list[tuple[int, int]]:
    # A dimension of one element may have any stride.
    dims = zip(tensor.stride(), tensor.shape, strict=True)
    return sorted((stride, size) for stride, size in dims if size != 1)


def _to_number(value: torch.Tensor | float | None) -> float | int | None:
    return value.item() if isinstance(value, torch.Tensor) else value


def _first_line(error: Exception) -> str:
    line, *_ = str(error).splitlines() or [type(error).__name__]
    return line if len(line) <= 120 else line[:119] + "…"


def _wait_for_accelerators() -> None:
    # The engine ran each node on the stream of its forward function; they all must be done.
    accelerator = getattr(torch, "accelerator", None)
    if accelerator is not None and accelerator.is_available():
        accelerator.synchronize()
    elif "torch.cuda" in sys.modules and torch.cuda.is_available():
        torch.cuda.synchronize()
