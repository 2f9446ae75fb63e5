"""Ask rules one after the other, and say which of them failed themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from .records import Diagnosis, Evidence

__all__ = ["ask_rules", "most_certain_first"]

# What a rule looks at: a Scene, or ProgramFacts.
Facts = TypeVar("Facts")
Facts_contra = TypeVar("Facts_contra", contravariant=True)

_ORDER = {"certain": 0, "likely": 1, "possible": 2}


class AnyRule(Protocol[Facts_contra]):
    """A Rule or a ProgramRule."""

    @property
    def slug(self) -> str: ...

    @property
    def diagnose(self) -> Callable[[Facts_contra], Diagnosis | None]: ...


def ask_rules(
    rules: Iterable[AnyRule[Facts]], facts: Facts
) -> tuple[list[Diagnosis], list[Evidence]]:
    """What the rules say, in their order, and a sentence about each that failed itself.

    An explanation must not add another error, so a broken rule takes nothing down with it; but its
    silence must not pass for "nothing is wrong" either.

    Args:
        rules: Asked in their order.
        facts: What they look at.
    """
    found: list[Diagnosis] = []
    broken: list[Evidence] = []
    for rule in rules:
        try:
            diagnosis = rule.diagnose(facts)
        except Exception as error:
            what = f"{type(error).__name__}: {_message_of(error)}"
            broken.append(
                Evidence(
                    f"the rule {rule.slug} failed itself ({what}), which is a fault of "
                    "inspect_autograd"
                )
            )
            continue
        if diagnosis is not None:
            found.append(diagnosis)
    return found, broken


def most_certain_first(found: Iterable[Diagnosis]) -> list[Diagnosis]:
    """In the order of certainty; among equals the one that was asked first."""
    return sorted(found, key=lambda diagnosis: _ORDER[diagnosis.certainty])


def _message_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return "its message cannot be read"
