"""How the benchmarks measure."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

__all__ = ["compare"]


def compare(
    baseline: Callable[[Any], object],
    candidates: dict[str, Callable[[Any], object]],
    prepare: Callable[[], Any],
    rounds: int = 15,
) -> tuple[float, dict[str, tuple[float, float, float]]]:
    """Measure functions in turn, each on an input of its own, round after round.

    The machine's speed drifts; within a round it drifts least, so the ratio is taken per round.
    The time is the CPU time of this thread.

    Returns:
        The median seconds of the baseline, and per candidate the lowest, median and highest
        ratio to it.
    """
    ratios: dict[str, list[float]] = {name: [] for name in candidates}
    base_seconds = []
    for round_ in range(rounds + 1):
        base = _time(baseline, prepare)
        for name, candidate in candidates.items():
            seconds = _time(candidate, prepare)
            if round_:  # The first round warms up.
                ratios[name].append(seconds / base)
        base_seconds.append(base)
    return median(base_seconds), {
        name: (min(values), median(values), max(values)) for name, values in ratios.items()
    }


def _time(function: Callable[[Any], object], prepare: Callable[[], Any]) -> float:
    value = prepare()
    gc.collect()
    start = time.thread_time()
    result = function(value)
    seconds = time.thread_time() - start
    del result, value
    return seconds
