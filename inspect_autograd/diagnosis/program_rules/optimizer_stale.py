"""The optimizer holds tensors that were the model's once."""

from __future__ import annotations

from ..model_code import ADD_WHAT_IS_MISSING, optimizer_of_all
from ..program_facts import ForeignFacts, ParameterFacts, ProgramFacts
from ..program_rule import ProgramRule, count_of, group_names, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["OPTIMIZER_STALE", "is_stale"]


def is_stale(facts: ProgramFacts) -> bool:
    """Whether the optimizer holds others in place of parameters of the model."""
    return bool(_left_behind(facts) and _missing(facts))


def _left_behind(facts: ProgramFacts) -> list[ForeignFacts]:
    # What the loss was computed from belongs to another part of the program, which was not given.
    return [foreign for foreign in facts.foreign if not foreign.is_reached]


def _missing(facts: ProgramFacts) -> list[ParameterFacts]:
    return [parameter for parameter in facts.trainable() if not parameter.is_held]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    foreign, missing = _left_behind(facts), _missing(facts)
    if not facts.has_model or not foreign or not missing:
        return None
    shapes = {parameter.meta.shape for parameter in missing}
    alike = sum(other.meta.shape in shapes for other in foreign)
    groups = group_names(missing, facts.trainable())
    replaced = "" if alike < len(foreign) else ", which have the same shapes"
    return Diagnosis(
        slug="optimizer-stale",
        summary=f"The optimizer holds {count_of(len(foreign), 'tensor')} that the model does not "
        f"have (any more), and does not hold {list_names(groups)}{replaced}.",
        explanation="An optimizer keeps the very tensors that it was given. Where the model, or a "
        "part of it, was made anew afterwards (another head, a copy, a conversion that replaces "
        "parameters), the optimizer goes on with the old ones, which no loss depends on: it does "
        "nothing, and says nothing.",
        evidence=to_evidence(
            [
                *(f"the optimizer does not hold {group}" for group in groups),
                *(
                    f"tensor {other.position} of the optimizer, {other.meta}, is not the model's"
                    for other in foreign
                ),
            ]
        ),
        hints=(
            Hint(
                "Make the optimizer after the last change of the model, with the settings of now.",
                optimizer_of_all(facts.optimizers),
            ),
            Hint("Or add what is new to the optimizer.", ADD_WHAT_IS_MISSING),
        ),
        certainty="certain" if not any(p.is_held for p in facts.parameters) and alike else "likely",
    )


OPTIMIZER_STALE = ProgramRule(
    "optimizer-stale", "The optimizer holds tensors that are not the model's any more", _diagnose
)
