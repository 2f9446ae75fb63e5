"""There is NaN or Inf in the parameters."""

from __future__ import annotations

from ..program_facts import ProgramFacts
from ..program_rule import ProgramRule, count_of, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["NON_FINITE_PARAMETER"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    bad = [
        (p.name, p.values.problem)
        for p in facts.parameters
        if p.requires_grad and p.values and p.values.problem
    ]
    if not bad:
        return None
    names = [name for name, _ in bad]
    have = "holds" if len(bad) == 1 else "hold"
    return Diagnosis(
        slug="non-finite-parameter",
        summary=f"{count_of(len(bad), 'parameter')} {have} NaN or Inf: {list_names(names)}.",
        explanation="All that is computed from it is NaN or Inf too, and so are the gradients. It "
        "came with a checkpoint, was never initialized (torch.empty), or an optimizer wrote it "
        "after a gradient that was not finite.",
        evidence=to_evidence([f"{name} holds {problem}" for name, problem in bad]),
        hints=(
            Hint("Go back to a checkpoint from before it happened."),
            Hint(
                "Watch the training to see when it happens.",
                "with ia.watch(model, optimizer):\n    ...",
            ),
        ),
    )


NON_FINITE_PARAMETER = ProgramRule("non-finite-parameter", "NaN or Inf in parameters", _diagnose)
