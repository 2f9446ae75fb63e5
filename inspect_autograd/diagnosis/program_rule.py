"""What a rule about a program is in which nothing has failed, and helpers that rules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .program_facts import ParameterFacts, ProgramFacts
from .records import Diagnosis, Evidence

__all__ = ["SHOWN", "ProgramRule", "count_of", "group_names", "list_names", "to_evidence"]

SHOWN = 4
"""Names in one sentence; evidence lists more of them."""
MOST_EVIDENCE = 12


@dataclass(frozen=True, slots=True)
class ProgramRule:
    """One thing that can be wrong.

    Attributes:
        slug: Permanent name, in kebab case; its page is `docs/rules/<slug>.md`.
        title: A few words, as the heading of its page.
        diagnose: Looks at the facts; None where nothing is wrong.
    """

    slug: str
    title: str
    diagnose: Callable[[ProgramFacts], Diagnosis | None]


def count_of(count: int, noun: str) -> str:
    """`1 parameter`, `3 parameters`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def list_names(names: Sequence[str], shown: int = SHOWN) -> str:
    """`a, b and c`; of many the first ones, and how many more there are."""
    if len(names) > shown:
        return f"{', '.join(names[:shown])} and {len(names) - shown} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


def group_names(
    chosen: Iterable[ParameterFacts], everything: Iterable[ParameterFacts]
) -> list[str]:
    """Names of the parameters, where whole modules are named instead of all their parameters.

    `decoder (12 parameters)` stands for the outermost module all of whose parameters are chosen.
    """
    totals: dict[str, int] = {}
    for parameter in everything:
        for path in _modules_around(parameter.name):
            totals[path] = totals.get(path, 0) + 1
    counts: dict[str, int] = {}
    names = [parameter.name for parameter in chosen]
    for name in names:
        for path in _modules_around(name):
            counts[path] = counts.get(path, 0) + 1
    found: dict[str, None] = {}
    for name in names:
        whole = next(
            (path for path in _modules_around(name) if 1 < counts[path] == totals.get(path)), None
        )
        found[name if whole is None else f"{whole} ({counts[whole]} parameters)"] = None
    return list(found)


def _modules_around(name: str) -> list[str]:
    """Paths of the modules that a parameter is in, outermost first, without the model itself."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def to_evidence(lines: Sequence[str]) -> tuple[Evidence, ...]:
    """One piece of evidence for each line; of many the first ones, and how many more there are."""
    shown = lines[:MOST_EVIDENCE]
    more = [f"and {len(lines) - len(shown)} more like these"] if len(lines) > len(shown) else []
    return tuple(Evidence(line) for line in [*shown, *more])
