"""A call of the forward pass that can be repeated on other values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..private_torch import is_functorch_wrapper

__all__ = [
    "Argument",
    "CannotCheckError",
    "ForwardCall",
    "RandomState",
    "check_tensor",
    "copy_tensor",
    "flatten",
    "take_apart",
]


class CannotCheckError(Exception):
    """A node cannot be checked; the message says why. It never leaves this package."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An input of a call that its node has a gradient for.

    Attributes:
        tensor: Index in `ForwardCall.tensors`.
        position: Which argument of the forward function.
        name: Its name there.
        slot: Index in the node's `next_functions`.
        returned: Index in what the node returns when it is called from Python.
    """

    tensor: int
    position: int
    name: str
    slot: int
    returned: int


@dataclass(slots=True)
class ForwardCall:
    """A call of an operator, or of the forward function of a custom Function.

    Attributes:
        repeat: Calls the forward function with these tensors in place of `tensors`, which it may
            modify.
        tensors: Copies of all tensors that it was given.
        arguments: Those that the node has a gradient for.
        outputs: Copies of what it returned; None if that is not known.
        differentiable: Which of the outputs carry gradients; None if that is not known.
        random_state: What random numbers it began with; None if it drew none.
        is_custom: Whether it is a custom Function.
        argument_names: Names of all its arguments, those that are no tensors included.
        tensor_positions: Which of its arguments are tensors.
        source: Where all this comes from, in words.
        is_autocast: Whether it ran under autocast, and so in a coarser dtype than its own.
        assumption: What was taken for granted about its arguments; empty if nothing.
    """

    repeat: Callable[[Sequence[torch.Tensor]], Any]
    tensors: list[torch.Tensor]
    arguments: tuple[Argument, ...]
    outputs: list[Any] | None
    differentiable: list[bool] | None
    random_state: RandomState | None
    is_custom: bool
    argument_names: list[str]
    tensor_positions: frozenset[int]
    source: str
    is_autocast: bool = False
    assumption: str = ""


class RandomState:
    """The state of the random number generators of the CPU and of one accelerator."""

    __slots__ = ("_cpu", "_cuda", "_device")

    def __init__(self, device: torch.device | None = None) -> None:
        self._device = device if device is not None and device.type == "cuda" else None
        self._cpu = torch.get_rng_state()
        self._cuda = None if self._device is None else torch.cuda.get_rng_state(self._device)

    def restore(self) -> None:
        """Go on with the random numbers of the moment when this was made."""
        torch.set_rng_state(self._cpu)
        if self._cuda is not None and self._device is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)

    def is_now(self) -> bool:
        """Whether no random number was drawn since."""
        now = RandomState(self._device)
        same = torch.equal(self._cpu, now._cpu)
        if self._cuda is not None and now._cuda is not None:
            same = same and torch.equal(self._cuda, now._cuda)
        return same


def check_tensor(tensor: torch.Tensor, max_elements: int) -> None:
    """Refuse what finite differences cannot be taken of.

    Raises:
        CannotCheckError: Says what it is.
    """
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise CannotCheckError(f"it works on a {type(tensor).__name__}, a subclass of Tensor")
    if is_functorch_wrapper(tensor):
        raise CannotCheckError("it was called inside a function transform")
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.is_quantized:
        layout = "nested" if tensor.is_nested else str(tensor.layout).removeprefix("torch.")
        raise CannotCheckError(f"it works on a {layout} tensor")
    if tensor.device.type == "meta":
        raise CannotCheckError("it works on a tensor of device meta, which has no values")
    if tensor.numel() > max_elements:
        raise CannotCheckError(
            f"it works on a tensor of {tensor.numel()} elements, which is more than "
            f"max_elements={max_elements}"
        )


def copy_tensor(tensor: torch.Tensor, max_elements: int) -> torch.Tensor:
    """A copy that stays as it is, whatever becomes of the tensor."""
    check_tensor(tensor, max_elements)
    return tensor.detach().clone()


Place = tuple[int | str, int | None]
"""Where a tensor stands in a call: position or keyword, and index if that is a list."""


def take_apart(
    args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[torch.Tensor], list[Place], Callable[[Sequence[torch.Tensor]], Any]]:
    """The tensors of a call, also those in its lists.

    Returns:
        The tensors, where they stand, and a function that makes `(args, kwargs)` with others.
    """
    tensors: list[torch.Tensor] = []
    places: list[Place] = []
    given: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    for key, value in given:
        if isinstance(value, torch.Tensor):
            tensors.append(value)
            places.append((key, None))
        elif isinstance(value, list | tuple):
            for index, member in enumerate(value):
                if isinstance(member, torch.Tensor):
                    tensors.append(member)
                    places.append((key, index))
    # The template must hold no tensor, or it would keep the originals alive.
    plain_args = [_without_tensors(value) for value in args]
    plain_kwargs = {key: _without_tensors(value) for key, value in kwargs.items()}

    def put_together(others: Sequence[torch.Tensor]) -> Any:
        filled: dict[int | str, Any] = dict(enumerate(plain_args))
        filled.update(plain_kwargs)
        for (key, index), tensor in zip(places, others, strict=True):
            if index is None:
                filled[key] = tensor
            else:
                members = list(filled[key])
                members[index] = tensor
                filled[key] = type(filled[key])(members)
        return [filled[i] for i in range(len(plain_args))], {k: filled[k] for k in plain_kwargs}

    return tensors, places, put_together


def _without_tensors(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return None
    if type(value) in (list, tuple):
        return type(value)([_without_one(member) for member in value])
    return value


def _without_one(value: Any) -> Any:
    return None if isinstance(value, torch.Tensor) else value


def flatten(outputs: Any, *, is_custom: bool) -> list[Any]:
    """What a forward function returned, as a list.

    The lists that an operator returns are flattened; to a custom Function a list is one output
    that is no tensor.
    """
    if not isinstance(outputs, tuple if is_custom else (list, tuple)):
        return [outputs]
    flat: list[Any] = []
    for output in outputs:
        if isinstance(output, list | tuple) and not is_custom:
            flat.extend(output)
        else:
            flat.append(output)
    return flat
