"""Ask the rules about a scene."""

from __future__ import annotations

from collections.abc import Iterable

from .records import Diagnosis, Evidence
from .report import Report
from .rule import Rule
from .rules import RULES
from .scene import Scene

__all__ = ["explain_scene"]


def explain_scene(scene: Scene, rules: Iterable[Rule] = RULES) -> Report:
    """A report of what the rules say.

    A rule that fails itself is left out: an explanation must not add another error.
    """
    found: list[Diagnosis] = []
    for rule in rules:
        try:
            diagnosis = rule.diagnose(scene)
        except Exception:
            continue
        if diagnosis is not None:
            found.append(diagnosis)
    order = {"certain": 0, "likely": 1, "possible": 2}
    found.sort(key=lambda diagnosis: order[diagnosis.certainty])
    return Report(
        diagnoses=tuple(found),
        failure=scene.failure,
        facts=() if found else _facts(scene),
        graph=scene.graph,
        scene=scene,
    )


def _facts(scene: Scene) -> tuple[Evidence, ...]:
    """What is known of a failure that no rule recognises."""
    facts: list[Evidence] = []
    if scene.call is not None:
        for output in scene.call.outputs:
            facts.append(
                Evidence(
                    f"{scene.call.call}() started from {output.name}: {output.meta}, "
                    + (f"made by {output.grad_fn}" if output.grad_fn else "without a graph"),
                    output.source,
                    output.node,
                )
            )
    if scene.graph is not None:
        for state in ("modified", "freed"):
            for node in scene.graph.nodes:
                if any(saved.state == state for saved in node.saved):
                    facts.append(
                        Evidence(f"{node.name} has a {state} tensor", node.source, node.id)
                    )
    return tuple(facts[:20])
