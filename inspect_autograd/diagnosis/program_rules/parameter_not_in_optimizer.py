"""Trainable parameters that no optimizer holds."""

from __future__ import annotations

from ..model_code import ADD_WHAT_IS_MISSING, freeze, optimizer_of_all
from ..program_facts import ProgramFacts
from ..program_rule import ProgramRule, count_of, group_names, list_names, to_evidence
from ..records import Diagnosis, Hint
from .optimizer_stale import is_stale

__all__ = ["PARAMETER_NOT_IN_OPTIMIZER"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    if not facts.has_optimizer or is_stale(facts):
        return None
    # What this loss does not reach either is for another loss and its optimizer, as in a GAN.
    judged = facts.graph is not None and not facts.hides_leaves
    missing = [
        p
        for p in facts.trainable()
        if not p.is_held and (p.node is not None or not p.is_plain or not judged)
    ]
    if not missing:
        return None
    groups = group_names(missing, facts.trainable())
    total = sum(1 for _ in facts.trainable())
    kinds = " and ".join(dict.fromkeys(facts.optimizers))
    return Diagnosis(
        slug="parameter-not-in-optimizer",
        summary=f"{len(missing)} of {count_of(total, 'trainable parameter')} "
        f"{'is' if len(missing) == 1 else 'are'} not held by the optimizer ({kinds}), which will "
        f"never change {'it' if len(missing) == 1 else 'them'}: {list_names(groups)}.",
        explanation="An optimizer changes the tensors that it was given when it was made, and no "
        "others. What was added to the model afterwards, or left out of the list, gets gradients "
        "that nobody uses; they grow from step to step, since optimizer.zero_grad() does not "
        "clear them either.",
        evidence=to_evidence([f"the optimizer does not hold {group}" for group in groups]),
        hints=(
            Hint(
                "Make the optimizer after the model is complete, with the settings of now.",
                optimizer_of_all(facts.optimizers),
            ),
            Hint("Or give it what it lacks.", ADD_WHAT_IS_MISSING),
            Hint("Give several optimizers together.", "ia.diagnose(loss, model, [first, second])"),
            Hint("Freeze what is not to be trained.", freeze(missing)),
        ),
        certainty="likely",
    )


PARAMETER_NOT_IN_OPTIMIZER = ProgramRule(
    "parameter-not-in-optimizer", "Parameters that the optimizer does not hold", _diagnose
)
