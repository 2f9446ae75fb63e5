"""What hooks of our own see of a backward pass, to be compared with the events of a trace.

Every number is computed by itself and in double precision, without the code of the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from inspect_autograd import Trace
from inspect_autograd.events.records import StatsLevel, TensorStats

from .plain_hooks import naive_stats

__all__ = ["Seen", "SeenGradient", "assert_events_equal", "note_events", "why_different"]

NUMBERS = ("l2", "min", "max", "mean", "zero_count", "nan_count", "inf_count")
SINGLE = (torch.float16, torch.bfloat16, torch.float32, torch.complex64, torch.complex32)


@dataclass(frozen=True)
class SeenGradient:
    """One gradient: what it is, and its numbers; None where there are none to be had."""

    shape: tuple[int, ...] | None
    dtype: str
    device: str
    layout: str
    numbers: TensorStats | None
    tolerance: float


@dataclass(frozen=True)
class Seen:
    """One execution of a node."""

    node: int
    received: tuple[SeenGradient | None, ...]
    returned: tuple[SeenGradient | None, ...]


@contextmanager
def note_events(live: Sequence[Any]) -> Iterator[list[Seen]]:
    """Note what each of these nodes receives and returns, in the order in which they finish."""
    seen: list[Seen] = []

    def hook_of(id: int) -> Callable[[Any, Any], None]:
        def hook(returned: Any, received: Any) -> None:
            with torch.no_grad():
                seen.append(Seen(id, tuple(map(_see, received)), tuple(map(_see, returned))))

        return hook

    handles = [node.register_hook(hook_of(id)) for id, node in enumerate(live)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _see(gradient: torch.Tensor | None) -> SeenGradient | None:
    if gradient is None:
        return None
    try:
        shape = tuple(gradient.shape)
    except RuntimeError:
        shape = None  # A nested tensor of strided layout.
    return SeenGradient(
        shape,
        str(gradient.dtype).removeprefix("torch."),
        str(gradient.device),
        str(gradient.layout).removeprefix("torch."),
        _numbers_of(gradient.detach()),
        1e-5 if gradient.dtype in SINGLE else 1e-10,
    )


def _numbers_of(gradient: torch.Tensor) -> TensorStats | None:
    if gradient.is_nested or gradient.is_meta:
        return None
    if gradient.layout is torch.sparse_coo:
        return naive_stats(gradient.coalesce().values())
    if gradient.layout is not torch.strided:
        return naive_stats(gradient.values())
    return naive_stats(gradient)


def assert_events_equal(trace: Trace, seen: Sequence[Seen], level: StatsLevel) -> None:
    """The events of a trace are what hooks saw: all of it that the level notes."""
    names = trace.graph.node_table.names
    assert [names[event.node] for event in trace.events] == [names[s.node] for s in seen]
    assert [event.node for event in trace.events] == [s.node for s in seen]
    for event, expected in zip(trace.events, seen, strict=True):
        node = trace.graph.nodes[event.node]
        for what in ("received", "returned"):
            found_all, expected_all = getattr(event, what), getattr(expected, what)
            assert len(found_all) == len(expected_all), f"{node.name} {what}"
            for slot, (found, gradient) in enumerate(zip(found_all, expected_all, strict=True)):
                if level == "meta" and what == "returned" and slot in node.none_slots:
                    continue  # It leads nowhere, so that nothing in the graph tells its shape.
                problem = why_different(found, gradient, level)
                assert not problem, f"{node.name} {what}[{slot}]: {problem}"


def why_different(
    found: TensorStats | None, seen: SeenGradient | None, level: StatsLevel
) -> str | None:
    """What differs between a record and what was seen; None if nothing does."""
    if found is None or seen is None:
        return None if found is None and seen is None else f"{found} and {seen}"
    meta = found.meta
    if (meta.shape, meta.dtype, meta.device) != (seen.shape, seen.dtype, seen.device):
        return f"{meta} and {seen}"
    if meta.layout != (None if level == "meta" else seen.layout):
        return f"layout {meta.layout} and {seen.layout}"
    noted = {"meta": 0, "basic": 3, "full": len(NUMBERS)}[level]
    for index, name in enumerate(NUMBERS):
        number = getattr(found, name)
        is_known = index < noted and seen.numbers is not None
        expected = getattr(seen.numbers, name) if is_known else None
        if not _is_close(number, expected, seen):
            return f"{name} {number} and {expected}"
    return None


def _is_close(found: float | None, expected: float | None, seen: SeenGradient) -> bool:
    if found is None or expected is None:
        return found is expected
    if math.isnan(expected):
        return math.isnan(found)
    if isinstance(expected, int) or math.isinf(expected):
        return found == expected
    # Where values cancel out, a mean is as exact as the largest of them allows.
    size = max(abs(expected), (seen.numbers and seen.numbers.max_abs) or 0.0)
    return abs(found - expected) <= seen.tolerance * size
