"""Trainable parameters that the loss does not depend on."""

from __future__ import annotations

from ..model_code import freeze
from ..program_facts import ParameterFacts, ProgramFacts
from ..program_rule import ProgramRule, count_of, group_names, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["PARAMETER_UNREACHED", "find_unreached"]

_SEVERAL_PROCESSES = "DistributedDataParallel"


def find_unreached(facts: ProgramFacts) -> list[ParameterFacts]:
    """The parameters that should have a path to the loss and have none.

    Where an optimizer was given, only what it holds is judged: the rest is for another optimizer
    and its loss, as in a GAN. Nothing is judged where the graph does not tell.
    """
    if facts.graph is None or facts.hides_leaves:
        return []
    return [
        parameter
        for parameter in facts.trainable()
        if parameter.node is None
        and parameter.is_plain
        and (parameter.is_held or not facts.has_optimizer)
    ]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    unreached = find_unreached(facts)
    if not unreached:
        return None
    groups = group_names(unreached, facts.trainable())
    total = sum(1 for _ in facts.trainable())
    held = " that the optimizer holds" if facts.has_optimizer else ""
    verb = "has" if len(unreached) == 1 else "have"
    return Diagnosis(
        slug="parameter-unreached",
        summary=f"{len(unreached)} of {count_of(total, 'trainable parameter')}{held} {verb} no "
        f"path to the loss: {list_names(groups)}.",
        explanation="A backward pass gives a gradient to what the loss was computed from. These "
        "were not part of that: their module was not called, what it returned did not go into "
        "this loss, or the path was cut on the way (detach, no_grad, argmax, .item()). Their "
        ".grad stays None, and an optimizer passes over them without a word." + _across(facts),
        evidence=to_evidence([f"no gradient flows to {group}" for group in groups]),
        hints=(
            Hint("Ask why, parameter by parameter.", "ia.why_no_grad(loss, model)"),
            Hint(
                "Record the step to find the line that cut the path.",
                "with ia.record(model) as recording:\n    loss = ...\n    loss.backward()\n"
                "print(ia.why_no_grad(loss, model, recording=recording))",
            ),
            Hint("Freeze what is not to be trained.", freeze(unreached)),
        ),
    )


def _across(facts: ProgramFacts) -> str:
    if facts.wrapper != _SEVERAL_PROCESSES:
        return ""
    return (
        "\n\nDistributedDataParallel waits for the gradient of every parameter: with some missing "
        "the next forward pass raises, unless it was made with find_unused_parameters=True."
    )


PARAMETER_UNREACHED = ProgramRule(
    "parameter-unreached", "Parameters without a path to the loss", _diagnose
)
