"""Ready-made edits for `edit_gradients`: functions that make a gradient from a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..errors import ArgumentError, ArgumentTypeError

__all__ = ["Edit", "add_noise", "clamp", "clip_norm", "name_of_edit", "scale", "zero"]


class Edit:
    """A function from gradient to gradient that knows what to call itself.

    Attributes:
        name: What a trace calls it, such as `scale(0.5)`.
    """

    __slots__ = ("_function", "name")

    def __init__(self, name: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.name = name
        self._function = function

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        """The edited gradient; the given one stays as it is."""
        return self._function(gradient)

    def __repr__(self) -> str:
        return self.name


def zero() -> Edit:
    """Replace the gradient by zeros, also where it is NaN: nothing flows on from here."""
    return Edit("zero()", torch.zeros_like)


def scale(factor: float) -> Edit:
    """Multiply the gradient by a number.

    Args:
        factor: Any number; NaN and infinity are allowed, to see how far they spread.
    """
    _check_number("factor", factor)
    return Edit(f"scale({factor})", lambda gradient: gradient * factor)


def clip_norm(max_norm: float) -> Edit:
    """Scale the gradient down to a norm; one that is smaller stays as it is.

    Each gradient is clipped by itself. As `torch.nn.utils.clip_grad_norm_` does, 1e-6 is added to
    the norm that it is divided by.

    Args:
        max_norm: Largest l2 norm, more than 0.
    """
    _check_number("max_norm", max_norm)
    if not max_norm > 0:
        raise ArgumentError(
            f"max_norm is {max_norm}; expected a number above 0",
            remedy="Use zero() to let nothing through.",
        )

    def clip(gradient: torch.Tensor) -> torch.Tensor:
        norm: torch.Tensor = torch.linalg.vector_norm(gradient)
        factor: torch.Tensor = max_norm / (norm + 1e-6)
        return gradient * factor.clamp(max=1.0)

    return Edit(f"clip_norm({max_norm})", clip)


def clamp(low: float | None = None, high: float | None = None) -> Edit:
    """Limit every element of the gradient.

    Args:
        low: Smallest element, None for no limit.
        high: Largest element, None for no limit.
    """
    for name, value in (("low", low), ("high", high)):
        if value is not None:
            _check_number(name, value)
    if low is None and high is None:
        raise ArgumentError(
            "low and high are both None; expected a limit", remedy="Write clamp(-1.0, 1.0)."
        )
    if low is not None and high is not None and low > high:
        raise ArgumentError(
            f"low is {low} and high is {high}; expected low to be no more than high",
            remedy=f"Write clamp({high}, {low}).",
        )
    return Edit(f"clamp({low}, {high})", lambda gradient: gradient.clamp(low, high))


def add_noise(std: float, seed: int = 0) -> Edit:
    """Add normal noise to the gradient; the program's own random numbers stay the same.

    One edit gives new noise to each gradient. A new edit with the same seed gives the same noise
    again, if the nodes run in the same order on the same device.

    Args:
        std: Standard deviation of the noise, 0 or more.
        seed: Where the noise starts.
    """
    _check_number("std", std)
    if not std >= 0:
        raise ArgumentError(
            f"std is {std}; expected a number of 0 or more", remedy="Write add_noise(0.1)."
        )
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ArgumentTypeError(
            f"seed is {seed!r} of type {type(seed).__name__}; expected an int",
            remedy="Write add_noise(0.1, seed=0).",
        )
    generators: dict[torch.device, torch.Generator] = {}

    def add(gradient: torch.Tensor) -> torch.Tensor:
        generator = generators.get(gradient.device)
        if generator is None:
            generator = torch.Generator(gradient.device).manual_seed(seed)
            generators[gradient.device] = generator
        noise = torch.randn(
            gradient.shape, generator=generator, dtype=gradient.dtype, device=gradient.device
        )
        return gradient + std * noise

    return Edit(f"add_noise({std}, seed={seed})", add)


def name_of_edit(edit: Callable[..., Any]) -> str:
    """What to call an edit: `scale(0.5)`, `my_edit`, or `<lambda> at train.py:12`."""
    if isinstance(edit, Edit):
        return edit.name
    name: str = getattr(edit, "__name__", "") or type(edit).__name__
    code = getattr(edit, "__code__", None)
    if name != "<lambda>" or code is None:
        return name
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"<lambda> at {file}:{code.co_firstlineno}"


def _check_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ArgumentTypeError(
            f"{name} is {value!r} of type {type(value).__name__}; expected a number",
            remedy=f"Write {name}=0.5, for example.",
        )
