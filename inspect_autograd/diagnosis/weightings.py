"""What each choice of weights would give, in numbers that were worked out on the real tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .scene import Scene

__all__ = ["gradient_in_numbers", "values_in_numbers"]

SHOWN = 6


def values_in_numbers(scene: Scene) -> str:
    """The first values of the output: `[0, 1, 4]`; empty if they were not looked at."""
    values = scene.numbers.get("values")
    shape = scene.numbers.get("jacobian_shape")
    if not isinstance(values, Sequence) or not isinstance(shape, Sequence) or not values:
        return ""
    return _listed(values, shape[0] > len(values))


def gradient_in_numbers(scene: Scene, method: str) -> str:
    """The gradient that one choice gives: `x.grad = [0, 2, 4]`; empty if it was not worked out.

    Args:
        scene: Its numbers.
        method: How its code ends: `.sum().backward()`.
    """
    ways, leaf = scene.numbers.get("weightings"), scene.numbers.get("leaf")
    sizes = dict(_pairs(scene.numbers.get("leaf_elements")))
    if not isinstance(ways, Sequence) or not isinstance(leaf, str) or not leaf:
        return ""
    for way in ways:
        if isinstance(way, Mapping) and str(way.get("code", "")).endswith(method):
            gradient = way.get("grad")
            if isinstance(gradient, Sequence):
                return f"{leaf}.grad = {_listed(gradient, sizes.get(leaf, 0) > len(gradient))}"
    return ""


def _pairs(value: object) -> list[tuple[str, int]]:
    return [pair for pair in value if len(pair) == 2] if isinstance(value, tuple) else []


def _listed(values: Sequence[object], is_cut: bool) -> str:
    shown = [f"{v:.4g}" if isinstance(v, int | float) else str(v) for v in values[:SHOWN]]
    more = [", …"] if is_cut or len(values) > SHOWN else []
    return f"[{', '.join(shown)}{''.join(more)}]"
