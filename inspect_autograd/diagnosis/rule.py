"""What a rule is, and helpers that rules share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .records import Diagnosis
from .scene import Scene

__all__ = ["Rule", "is_users_own", "says"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause of failure.

    Attributes:
        slug: Permanent name, in kebab case.
        title: A few words, as the heading of its page.
        diagnose: Looks at a scene; None where the rule does not apply. It reads the facts, and the
            text of the message only to find out which refusal of PyTorch it is; causes that give
            the same text are told apart by the facts.
    """

    slug: str
    title: str
    diagnose: Callable[[Scene], Diagnosis | None]


def says(scene: Scene, *patterns: str) -> re.Match[str] | None:
    """The first match of one of these patterns in the message.

    Loosely: case, quotes and white space do not matter, since the wording changes between
    versions of torch. What the user's program raised itself says nothing, whatever its text.

    Args:
        scene: Its failure.
        patterns: Regular expressions, matched case-insensitively anywhere in the message, whose
            runs of white space are single spaces.
    """
    if is_users_own(scene):
        return None
    text = " ".join(scene.message.split())
    for pattern in patterns:
        found = re.search(pattern, text, re.IGNORECASE)
        if found is not None:
            return found
    return None


def is_users_own(scene: Scene) -> bool:
    """Whether the exception comes from a `raise` or an `assert` of the user's program."""
    if not scene.frames or scene.frames[-1].owner != "user":
        return False
    last = scene.frames[-1]
    return last.code.startswith(("raise ", "assert ")) or last.expression.startswith("raise ")
