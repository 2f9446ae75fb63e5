"""What looks wrong in a training, judged from a few numbers of each step; each kind said once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import hypot, isfinite
from statistics import median

from .records import Diagnosis
from .training_findings import (
    amp_steps_skipped,
    exploding,
    graph_growing,
    loss_graph_kept,
    missing_gradients,
    non_finite_gradients,
    vanishing,
    zero_gradients,
)

__all__ = ["StepNumbers", "TrainingJudge"]

EXPLODING = 1e4
"""Times the median of the steps before. The norms of a healthy training vary by a factor of ten,
and single bad batches by a hundred."""
VANISHING = 1e-4
"""Times the step before, and the median."""
CONFIRMED = 3
"""Steps in a row for which gradients have to stay vanished, or a parameter without any: one batch
may have nothing to learn from."""
ENOUGH = 5
"""Steps to compare with at least."""
REMEMBERED = 20
ZERO_FOR = 10
"""Steps in a row in which a gradient is exactly 0: of layers that start as 0 (LoRA, residual
branches) only the first step has one."""
KEPT = 8
"""Earlier steps whose loss is alive; one or two are, as long as a variable holds the last loss."""
SAMPLES = 6
GROWN = 2.0
STEADY = 2.0
"""How much the nodes added for each step may vary in a graph that is said to grow: sequences of
varying length give graphs of varying size, which grow by chance, but not steadily."""
SKIPPED_IN_A_ROW = 5
"""A GradScaler begins with a scale of 65536 and halves it a few times until gradients are finite;
afterwards it tries the double every 2000 steps."""


@dataclass(frozen=True, slots=True)
class StepNumbers:
    """What was measured in one step of an optimizer.

    Attributes:
        step: Which step, counted from 1.
        norms: Euclidean norm of the gradient of each parameter.
        missing: Parameters that require grad and have no gradient.
        loss: The last loss; None if it is not one number.
        is_scaled: Whether a GradScaler has not unscaled the gradients, so that they may be
            infinite, and the optimizer leaves the step out itself.
    """

    step: int
    norms: Mapping[str, float]
    missing: tuple[str, ...] = ()
    loss: float | None = None
    is_scaled: bool = False


@dataclass(slots=True)
class _History:
    """Of one optimizer."""

    totals: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    checks: int = 0
    vanished: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    zero: dict[str, int] = field(default_factory=dict)


class TrainingJudge:
    """Is told numbers, and says what is wrong with them."""

    def __init__(self) -> None:
        self._said: set[str] = set()
        self._histories: dict[Hashable, _History] = {}
        self._sizes: dict[str, list[tuple[int, int]]] = {}
        self._scale: float | None = None
        self._skipped = 0

    # -- gradients -----------------------------------------------------------------------------

    def judge_step(self, optimizer: Hashable, numbers: StepNumbers) -> list[Diagnosis]:
        """An optimizer is about to step."""
        history = self._histories.setdefault(optimizer, _History())
        bad = [name for name, norm in numbers.norms.items() if not isfinite(norm)]
        if numbers.is_scaled:
            return self._judge_skipped(numbers.step) if bad else self._stepped()
        self._stepped()
        found = [*self._judge_missing(history, numbers)]
        if bad:
            found += self._say("non-finite", lambda: non_finite_gradients(numbers, bad))
            return found
        found += self._judge_zero(history, numbers)
        total = hypot(*numbers.norms.values())
        found += self._judge_total(history, numbers.step, total)
        return found

    def _judge_missing(self, history: _History, numbers: StepNumbers) -> list[Diagnosis]:
        history.checks += 1
        for name in numbers.norms:
            history.missing.pop(name, None)
        for name in numbers.missing:
            if history.checks == 1 or name in history.missing:
                history.missing[name] = history.missing.get(name, 0) + 1
        never = [name for name, count in history.missing.items() if count == CONFIRMED]
        total = len(numbers.norms) + len(numbers.missing)
        if not never or len(never) == total:
            return []  # Nothing has a gradient: that loop does something else first.
        return self._say("missing", lambda: missing_gradients(numbers.step, never, total))

    def _judge_zero(self, history: _History, numbers: StepNumbers) -> list[Diagnosis]:
        history.zero = {
            name: history.zero.get(name, 0) + 1 for name, norm in numbers.norms.items() if norm == 0
        }
        # A constant may cancel out of a loss: the last bias of a critic, one before a norm.
        alive = {_module_of(name) for name, norm in numbers.norms.items() if norm != 0}
        dead = [
            name
            for name, count in history.zero.items()
            if count >= ZERO_FOR and _module_of(name) not in alive
        ]
        if not dead or len(dead) == len(numbers.norms):
            return []
        return self._say("zero", lambda: zero_gradients(numbers.step, dead, ZERO_FOR))

    def _judge_total(self, history: _History, step: int, total: float) -> list[Diagnosis]:
        usual = median(history.totals) if len(history.totals) >= ENOUGH else None
        if usual and total < VANISHING * min(usual, history.totals[-1]):
            # Not remembered, so that the next steps are compared with what was before. A training
            # that converges comes down by and by, from each step to the next.
            history.vanished += 1
            if history.vanished < CONFIRMED:
                return []
            return self._say("vanishing", lambda: vanishing(step, total, usual, CONFIRMED))
        history.vanished = 0
        history.totals.append(total)
        if usual and total > EXPLODING * usual:
            return self._say("exploding", lambda: exploding(step, total, usual))
        return []

    # -- loss scaling --------------------------------------------------------------------------

    def judge_scale(self, step: int, scale: float) -> list[Diagnosis]:
        """The scale of a GradScaler before a backward pass."""
        before, self._scale = self._scale, scale
        return self._judge_skipped(step) if before is not None and scale < before else []

    def _judge_skipped(self, step: int) -> list[Diagnosis]:
        self._skipped += 1
        if self._skipped < SKIPPED_IN_A_ROW:
            return []
        return self._say("skipped", lambda: amp_steps_skipped(step, self._skipped, self._scale))

    def _stepped(self) -> list[Diagnosis]:
        self._skipped = 0
        return []

    # -- graphs --------------------------------------------------------------------------------

    def judge_size(self, place: str, step: int, nodes: int) -> list[Diagnosis]:
        """How many nodes a graph has that a backward pass is about to start from.

        Args:
            place: The line that asked for the pass; graphs of different lines are not compared.
            step: Which pass from there.
            nodes: Their number.
        """
        sizes = self._sizes.setdefault(place, [])
        sizes.append((step, nodes))
        del sizes[:-SAMPLES]
        if len(sizes) < SAMPLES or nodes < GROWN * sizes[0][1]:
            return []
        slopes = [(n - m) / (t - s) for (s, m), (t, n) in pairwise(sizes)]
        if min(slopes) <= 0 or max(slopes) > STEADY * min(slopes):
            return []
        return self._say("growing", lambda: graph_growing(place, tuple(sizes)))

    def judge_kept(self, step: int, alive: Iterable[int]) -> list[Diagnosis]:
        """The earlier steps whose loss still has its graph."""
        steps = sorted(set(alive))
        if len(steps) < KEPT:
            return []
        return self._say("kept", lambda: loss_graph_kept(step, steps))

    def _say(self, kind: str, make: Callable[[], Diagnosis]) -> list[Diagnosis]:
        if kind in self._said:
            return []
        self._said.add(kind)
        return [make()]


def _module_of(name: str) -> str:
    return name.rpartition(".")[0]
