"""Where to stop: names, functions of the gradients, the first NaN or Inf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ArgumentError, ArgumentTypeError
from ..edits import name_of_edit
from .pause import Pause

__all__ = ["Conditions", "Predicate", "check_conditions"]

_REMEDY = 'Write break_on("Softmax*"), break_on(lambda pause: pause.norm > 1e3) or both.'


@dataclass(frozen=True, slots=True)
class Predicate:
    """A function of the user's.

    Attributes:
        name: What to call it.
        test: The function.
    """

    name: str
    test: Callable[[Pause], Any]

    def is_met(self, pause: Pause) -> bool:
        """Whether to stop; what the function raises is the user's own."""
        try:
            return bool(self.test(pause))
        except Exception as error:
            error.add_note(
                f"raised by the condition {self.name} of break_on, "
                f"{pause.when} node #{pause.node.id} {pause.node.label}"
            )
            raise


@dataclass(frozen=True, slots=True)
class Conditions:
    """Where to stop.

    Attributes:
        globs: For names of nodes and parameters, and paths of modules.
        predicates: Functions of a Pause.
        nonfinite: Whether to stop at the first NaN or Inf of each pass.
    """

    globs: tuple[str, ...]
    predicates: tuple[Predicate, ...]
    nonfinite: bool

    @property
    def need_values(self) -> bool:
        """Whether gradients have to be looked at."""
        return self.nonfinite or bool(self.predicates)

    def __str__(self) -> str:
        texts = [*map(repr, self.globs), *(predicate.name for predicate in self.predicates)]
        return ", ".join([*texts, *["the first NaN or Inf"] * self.nonfinite])


def check_conditions(conditions: Sequence[Any], nonfinite: Any) -> Conditions:
    """Sort out what `break_on` was given.

    Raises:
        ArgumentError: There is no condition, or an empty one.
        ArgumentTypeError: One is neither a glob nor a function.
    """
    if not isinstance(nonfinite, bool):
        raise ArgumentTypeError(
            f"nonfinite is {type(nonfinite).__name__}; expected True or False",
            remedy="Write break_on(nonfinite=True) to stop at the first NaN or Inf.",
        )
    if not conditions and not nonfinite:
        raise ArgumentError(
            "conditions is empty; expected a glob, a function, or nonfinite=True",
            remedy=_REMEDY + ' break_on("*") stops at every node.',
        )
    globs, predicates = [], []
    for position, condition in enumerate(conditions):
        if isinstance(condition, str):
            if not condition:
                raise ArgumentError(
                    f"conditions[{position}] is an empty string; expected a glob", remedy=_REMEDY
                )
            globs.append(condition)
        elif callable(condition) and not isinstance(condition, type | torch.nn.Module):
            predicates.append(Predicate(name_of_edit(condition), condition))
        else:
            is_output = isinstance(condition, torch.Tensor)
            raise ArgumentTypeError(
                f"conditions[{position}] is of type {type(condition).__name__}; expected a glob "
                "or a function of a Pause",
                remedy=_REMEDY + " What the pass starts from is outputs=loss." * is_output,
            )
    return Conditions(tuple(globs), tuple(predicates), nonfinite)
