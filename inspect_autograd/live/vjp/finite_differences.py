"""The derivatives of a forward function, from the function alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from .forward_call import CannotCheckError, ForwardCall, flatten

__all__ = ["Differences", "Repeated", "repeat_forward"]

_WIDER = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex32: torch.complex128,
    torch.complex64: torch.complex128,
}
_PRECISE = (torch.float64, torch.complex128)
_USABLE = (*_PRECISE, torch.float32, torch.complex64)

_SAME_RESULT = {
    torch.float64: 1e-7,
    torch.complex128: 1e-7,
    torch.float32: 1e-3,
    torch.complex64: 1e-3,
}
"""How far, relative to its largest element, the result of a repeated call may be off, by the
dtype of the recorded one. What is coarser is allowed 5 %."""


class Repeated:
    """A forward function as a function from tensors to one vector of all its outputs.

    Attributes:
        inputs: Where it is looked at; one tensor per tensor of the call.
        value: Its value there, float64 or complex128.
        outputs: What it returned there, as a list.
        dtype: The coarsest dtype of its outputs, and of the inputs that are varied.
    """

    def __init__(
        self, call: ForwardCall, inputs: list[torch.Tensor], receives: Sequence[int | None]
    ) -> None:
        self._call = call
        self._receives = [index for index in receives if index is not None]
        self.inputs = inputs
        self.outputs = self._run()
        dtypes = [self.outputs[index].dtype for index in self._receives]
        dtypes += [inputs[argument.tensor].dtype for argument in call.arguments]
        self.dtype = max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)
        self.value = self._join(self.outputs)

    def __call__(self) -> torch.Tensor:
        """Its value at `inputs`, which may have been changed a little."""
        return self._join(self._run())

    def _run(self) -> list[Any]:
        if self._call.random_state is not None:
            self._call.random_state.restore()
        copies = [tensor.clone() for tensor in self.inputs]
        return flatten(self._call.repeat(copies), is_custom=self._call.is_custom)

    def _join(self, outputs: list[Any]) -> torch.Tensor:
        parts = [_widen(outputs[index]).reshape(-1) for index in self._receives]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def repeat_forward(call: ForwardCall, receives: Sequence[int | None]) -> Repeated:
    """Repeat a call in double precision, or in its own if it cannot.

    Args:
        call: The call.
        receives: For each gradient that the node receives, which output it belongs to.

    Raises:
        CannotCheckError: It fails, is too coarse, or gives another result than it did.
    """
    reason = ""
    for inputs in ([_widen(tensor) for tensor in call.tensors], call.tensors):
        try:
            repeated = Repeated(call, inputs, receives)
        except Exception as error:
            # Whatever the user's forward function raises.
            reason = f"repeating its forward function raised {type(error).__name__}: {error}"
            continue
        if repeated.dtype not in _USABLE:
            dtype = str(repeated.dtype).removeprefix("torch.")
            reason = f"it computes in {dtype}, which is too coarse for finite differences"
        elif not _is_same_result(call, repeated, receives):
            reason = (
                "repeating its forward function gave another result: it is random, or depends on "
                "more than its inputs"
            )
        else:
            return repeated
    raise CannotCheckError(reason)


def _is_same_result(call: ForwardCall, repeated: Repeated, receives: Sequence[int | None]) -> bool:
    if call.outputs is None:
        return True
    for index in receives:
        if index is None:
            continue
        before, now = call.outputs[index], repeated.outputs[index]
        if before.shape != now.shape:
            return False
        before, now = _widen(before), _widen(now)
        finite = before[before.isfinite()].abs()
        largest = finite.max().item() if finite.numel() else 0.0
        coarse = call.is_autocast or call.outputs[index].dtype not in _SAME_RESULT
        rtol = 0.05 if coarse else _SAME_RESULT[call.outputs[index].dtype]
        if not torch.allclose(before, now, rtol=rtol, atol=rtol * largest, equal_nan=True):
            return False
    return True


def _widen(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(_WIDER.get(tensor.dtype, tensor.dtype))


@dataclass(frozen=True, slots=True)
class Slope:
    """The derivative of all outputs by one element of an input, times each vector.

    Attributes:
        expected: One number per vector.
        scale: Sum of the sizes of the terms that the first of them was added up from.
        bend: How far the slopes to the left and to the right differ, in the same sense.
        noise: What rounding may add to `expected` and to `bend`.
    """

    expected: list[complex]
    scale: float
    bend: float
    noise: float


class Differences:
    """Central differences of a repeated forward function.

    Args:
        repeated: The function.
        vectors: What the outputs are weighed with: one row per vector.
        eps: Step, relative to the size of the input's elements; None for one that suits the
            dtype.

    Attributes:
        received_size: Largest element of the first vector.
    """

    def __init__(self, repeated: Repeated, vectors: torch.Tensor, eps: float | None) -> None:
        self._repeated = repeated
        self._vectors = vectors.conj()
        self._sizes = vectors[0].abs()
        self.received_size = self._sizes.max().item() if self._sizes.numel() else 0.0
        self._machine_eps = torch.finfo(repeated.dtype).eps
        self._eps = eps if eps is not None else self._machine_eps ** (1 / 3) / 5
        self._finer = 10.0 if repeated.dtype in _PRECISE else 3.0
        finite = repeated.value.isfinite()
        size = torch.where(finite, repeated.value, 0).abs()
        self._rounding = 20 * self._machine_eps * (self._sizes @ size).item()
        self._typical: dict[int, float] = {}

    def slopes(self, tensor: int) -> Iterator[Slope]:
        """One slope per element of an input, in the order of `flatten`.

        Of a complex input, `expected` is the gradient as PyTorch defines it: the derivative by
        the real part plus i times that by the imaginary part.
        """
        for index in product(*map(range, self._repeated.inputs[tensor].shape)):
            yield self._slope(tensor, index, 1.0)

    def refine(self, tensor: int, index: tuple[int, ...], rtol: float) -> Slope | None:
        """Look at one element more closely.

        Returns:
            A slope that stays the same as the step shrinks, and from both sides; None if there is
            none, as at a kink or a jump.
        """
        step = 1.0
        coarse = self._slope(tensor, index, step)
        for _ in range(3):
            step /= self._finer
            fine = self._slope(tensor, index, step)
            tolerance = rtol * max(coarse.scale, fine.scale) + fine.noise
            change = max(abs(a - b) for a, b in zip(coarse.expected, fine.expected, strict=True))
            if change <= tolerance and fine.bend <= tolerance + fine.noise:
                return fine
            coarse = fine
        return None

    def _slope(self, tensor: int, index: tuple[int, ...], fraction: float) -> Slope:
        values = self._repeated.inputs[tensor]
        value = values[index].item()
        step = self._eps * fraction * max(abs(value), self._typical_size(tensor))
        slope = self._directional(values, index, value, step)
        if not values.is_complex():
            return slope
        imaginary = self._directional(values, index, value, step * 1j)
        pairs = zip(slope.expected, imaginary.expected, strict=True)
        return Slope(
            [a + 1j * b for a, b in pairs],
            slope.scale + imaginary.scale,
            slope.bend + imaginary.bend,
            slope.noise + imaginary.noise,
        )

    def _directional(
        self, values: torch.Tensor, index: tuple[int, ...], value: Any, step: complex
    ) -> Slope:
        try:
            values[index] = value + step
            after = self._repeated()
            values[index] = value - step
            before = self._repeated()
        finally:
            values[index] = value
        middle = self._repeated.value
        size = abs(step)
        # Equal infinities, as of a mask, are no change.
        difference = torch.where(after == before, 0, after - before) / (2 * size)
        bend = torch.where((after == middle) & (before == middle), 0, after + before - 2 * middle)
        return Slope(
            expected=(self._vectors @ difference.to(self._vectors.dtype)).real.tolist(),
            scale=(self._sizes @ difference.abs()).item(),
            bend=(self._sizes @ bend.abs()).item() / size,
            noise=self._rounding / size,
        )

    def _typical_size(self, tensor: int) -> float:
        size = self._typical.get(tensor)
        if size is None:
            values = self._repeated.inputs[tensor]
            finite = values[values.isfinite()].abs()
            size = finite.square().mean().sqrt().item() if finite.numel() else 0.0
            # Steps that are too small would be lost where the input is added to something large.
            size = self._typical[tensor] = max(size, 1e-3) if size else 1.0
        return size
