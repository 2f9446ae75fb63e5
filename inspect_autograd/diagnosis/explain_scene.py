"""Ask the rules about a scene."""

from __future__ import annotations

from collections.abc import Iterable

from .ask_rules import ask_rules, most_certain_first
from .records import Diagnosis
from .report import Report
from .rule import Rule
from .rules import RULES
from .scene import Scene
from .unknown_failure import find_facts

__all__ = ["explain_scene"]


def explain_scene(scene: Scene, rules: Iterable[Rule] = RULES) -> Report:
    """A report of what the rules say.

    A rule that fails itself is left out, which the facts of the report say: an explanation must
    not add another error.
    """
    found, broken = ask_rules(rules, scene)
    diagnoses = _choose(found)
    return Report(
        diagnoses=diagnoses,
        failure=scene.failure,
        facts=(*(() if diagnoses else find_facts(scene)), *broken),
        graph=scene.graph,
        scene=scene,
    )


def _choose(found: list[Diagnosis]) -> tuple[Diagnosis, ...]:
    """The most certain first; among equals the rule that was asked first.

    One exception has one cause. What is certain leaves no other, so it stands alone: a second
    certain rule can only tell the same in other words. And of two that blame the same line, or
    come from the same rule, the first stays.
    """
    ordered = most_certain_first(found)
    if ordered and ordered[0].certainty == "certain":
        return (ordered[0],)
    kept: list[Diagnosis] = []
    for diagnosis in ordered:
        if not any(_is_same_cause(diagnosis, other) for other in kept):
            kept.append(diagnosis)
    return tuple(kept)


def _is_same_cause(one: Diagnosis, other: Diagnosis) -> bool:
    return one.slug == other.slug or (one.source is not None and one.source == other.source)
