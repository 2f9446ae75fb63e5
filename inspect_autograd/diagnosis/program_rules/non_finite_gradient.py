"""There is NaN or Inf in the gradients."""

from __future__ import annotations

from ..program_facts import ProgramFacts
from ..program_rule import ProgramRule, count_of, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["NON_FINITE_GRADIENT"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    bad = [(p.name, p.grad.problem) for p in facts.parameters if p.grad and p.grad.problem]
    if not bad:
        return None
    total = sum(p.grad is not None for p in facts.parameters)
    names = [name for name, _ in bad]
    have = "holds" if len(bad) == 1 else "hold"
    return Diagnosis(
        slug="non-finite-gradient",
        summary=f"{len(bad)} of {count_of(total, 'gradient')} {have} NaN or Inf: "
        f"{list_names(names)}.",
        explanation="The next optimizer.step() would write it into the parameters, and from there "
        "it spreads everywhere. It comes from an operator whose derivative has no finite value "
        "(sqrt or a norm at 0, log of 0, 0/0 behind a mask), or from an overflow.",
        evidence=to_evidence([f"{name}.grad holds {problem}" for name, problem in bad]),
        hints=(
            Hint(
                "Trace the next backward pass, to find the operator that made it.",
                'with ia.trace(loss, params=model, stats="basic") as trace:\n'
                "    loss.backward()\nprint(trace.first_nonfinite())",
            ),
            Hint("Clear the gradients before you go on.", "optimizer.zero_grad()"),
        ),
    )


NON_FINITE_GRADIENT = ProgramRule("non-finite-gradient", "NaN or Inf in gradients", _diagnose)
