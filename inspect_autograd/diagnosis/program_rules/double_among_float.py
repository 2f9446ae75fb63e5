"""A few float64 parameters in a model of a narrower type."""

from __future__ import annotations

from collections import Counter

from ..model_code import code_of
from ..program_facts import ProgramFacts
from ..program_rule import SHOWN, ProgramRule, count_of, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["DOUBLE_AMONG_FLOAT"]

_NARROWER = {"float32", "float16", "bfloat16"}


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    double = [p for p in facts.parameters if p.meta.dtype == "float64"]
    narrower = Counter(p.meta.dtype for p in facts.parameters if p.meta.dtype in _NARROWER)
    others = narrower.total()
    if not double or len(double) >= others:
        return None
    most = narrower.most_common(1)[0][0]
    names, shown = [p.name for p in double], double[:SHOWN]
    return Diagnosis(
        slug="double-among-float",
        summary=f"{count_of(len(names), 'parameter')} {'is' if len(names) == 1 else 'are'} "
        f"float64 among {others} narrower ones: {list_names(names)}.",
        explanation="torch.from_numpy and torch.tensor of NumPy values give float64. Matrix "
        "products refuse mixed types; sums and products widen all that follows to float64, which "
        "takes twice the memory, and on a GPU up to 64 times as long.",
        evidence=to_evidence([f"{p.name}: {p.meta}" for p in double]),
        hints=(
            Hint(
                "Make it the type of the others.",
                "\n".join(f"{code_of(p)}.data = {code_of(p)}.data.to(torch.{most})" for p in shown),
            ),
        ),
        certainty="likely",
    )


DOUBLE_AMONG_FLOAT = ProgramRule(
    "double-among-float", "float64 parameters among narrower ones", _diagnose
)
