"""Ask the rules about a scene."""

from __future__ import annotations

from collections.abc import Iterable

from .records import Diagnosis, Evidence
from .report import Report
from .rule import Rule
from .rules import RULES
from .scene import Scene
from .unknown_failure import find_facts

__all__ = ["explain_scene"]

_ORDER = {"certain": 0, "likely": 1, "possible": 2}


def explain_scene(scene: Scene, rules: Iterable[Rule] = RULES) -> Report:
    """A report of what the rules say.

    A rule that fails itself is left out, which the facts of the report say: an explanation must
    not add another error.
    """
    found: list[Diagnosis] = []
    broken: list[Evidence] = []
    for rule in rules:
        try:
            diagnosis = rule.diagnose(scene)
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
    ordered = sorted(found, key=lambda diagnosis: _ORDER[diagnosis.certainty])
    if ordered and ordered[0].certainty == "certain":
        return (ordered[0],)
    kept: list[Diagnosis] = []
    for diagnosis in ordered:
        if not any(_is_same_cause(diagnosis, other) for other in kept):
            kept.append(diagnosis)
    return tuple(kept)


def _is_same_cause(one: Diagnosis, other: Diagnosis) -> bool:
    return one.slug == other.slug or (one.source is not None and one.source == other.source)


def _message_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return "its message cannot be read"
