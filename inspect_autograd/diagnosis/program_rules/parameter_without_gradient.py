"""After a backward pass some parameters have a gradient and others have none."""

from __future__ import annotations

from ..program_facts import ProgramFacts
from ..program_rule import ProgramRule, count_of, group_names, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["PARAMETER_WITHOUT_GRADIENT"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    if facts.has_loss:
        return None  # Its graph tells more.
    judged = [p for p in facts.trainable() if p.is_held or not facts.has_optimizer]
    without = [p for p in judged if p.grad is None]
    if not without or len(without) == len(judged):
        return None  # No backward pass has run, or all was cleared.
    groups = group_names(without, judged)
    have = "has" if len(without) == 1 else "have"
    return Diagnosis(
        slug="parameter-without-gradient",
        summary=f"{len(without)} of {count_of(len(judged), 'trainable parameter')} {have} no "
        f"gradient, while the others have one: {list_names(groups)}.",
        explanation="The backward pass that filled the others did not get there: the loss did not "
        "depend on these, the path was cut, or their gradients alone were cleared.",
        evidence=to_evidence([f"{group}: .grad is None" for group in groups]),
        hints=(Hint("Give the loss, whose graph tells more.", "ia.why_no_grad(loss, model)"),),
        certainty="likely",
    )


PARAMETER_WITHOUT_GRADIENT = ProgramRule(
    "parameter-without-gradient", "Parameters that got no gradient while others did", _diagnose
)
