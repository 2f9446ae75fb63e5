"""`--steps`: which steps of a long run are kept."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from .result import UsageError

__all__ = ["DEFAULT_STEPS", "StepChoice", "parse_steps"]

DEFAULT_STEPS = ":3,-1:"
NONFINITE = "nonfinite"
EXAMPLES = (
    "Steps are written like slices in Python, from 0, with commas between several: 0:10 the first "
    "ten, ::100 every hundredth, 500 a single one, -3: the last three, : all of them; the word "
    "nonfinite stands for the first step whose gradients are not finite."
)


@dataclass(frozen=True, slots=True)
class StepChoice:
    """The steps that are wanted.

    Attributes:
        ranges: First step, the one after the last (None without an end), and the stride.
        last: How many of the last steps.
        nonfinite: Whether to keep the first step with a gradient that is not finite.
    """

    ranges: tuple[tuple[int, int | None, int], ...]
    last: int = 0
    nonfinite: bool = False

    def names(self, index: int) -> bool:
        """Whether a step is wanted by its number."""
        return any(
            first <= index and (end is None or index < end) and not (index - first) % stride
            for first, end, stride in self.ranges
        )


def parse_steps(text: str) -> StepChoice:
    """What `--steps` says.

    Raises:
        UsageError: It cannot be understood.
    """
    ranges: list[tuple[int, int | None, int]] = []
    last, nonfinite = 0, False
    for part in text.split(","):
        word = part.strip()
        if word == NONFINITE:
            nonfinite = True
            continue
        bounds: deque[int | None] = deque(_numbers(word, text))
        if bounds[0] is not None and bounds[0] < 0:
            # Counted from the end, only "the last N" can be known to be bounded in memory.
            if len(bounds) > 2 or (len(bounds) == 2 and bounds[1] is not None):
                raise _mistake(text, word)
            last = max(last, -bounds[0])
            continue
        if any(bound is not None and bound < 0 for bound in bounds):
            raise _mistake(text, word)
        if len(bounds) == 1:
            first = bounds[0] or 0
            ranges.append((first, first + 1, 1))
            continue
        stride = bounds[2] if len(bounds) == 3 and bounds[2] is not None else 1
        if stride < 1:
            raise _mistake(text, word)
        ranges.append((bounds[0] or 0, bounds[1], stride))
    return StepChoice(tuple(ranges), last, nonfinite)


def _numbers(word: str, text: str) -> list[int | None]:
    pieces = [piece.strip() for piece in word.split(":")]
    if not word or len(pieces) > 3 or word == "-":
        raise _mistake(text, word)
    try:
        numbers = [int(piece) if piece else None for piece in pieces]
    except ValueError:
        raise _mistake(text, word) from None
    if len(numbers) == 1 and numbers[0] is not None and numbers[0] < -1:
        raise _mistake(text, word)
    return numbers


def _mistake(text: str, word: str) -> UsageError:
    what = f"{word!r} in --steps {text}" if word != text else f"--steps {text!r}"
    return UsageError(f"{what} names no steps", remedy=EXAMPLES)
