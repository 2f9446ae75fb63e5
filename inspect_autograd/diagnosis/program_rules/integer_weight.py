"""A weight of whole numbers, which cannot be trained."""

from __future__ import annotations

from ..model_code import code_of, member
from ..program_facts import ParameterFacts, ProgramFacts
from ..program_rule import ProgramRule, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["INTEGER_WEIGHT"]

_WEIGHTS = {"weight", "weights", "bias", "kernel", "scale", "gamma", "beta", "embedding"}
# The narrow types are left out: quantized layers keep their weights in them on purpose.
_WHOLE = {"int16", "int32", "int64", "bool"}


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    found = [p for p in (*facts.parameters, *facts.buffers) if _is_odd(p)]
    if not found:
        return None
    names = [p.name for p in found]
    return Diagnosis(
        slug="integer-weight",
        summary=f"{list_names(names)} {'holds' if len(names) == 1 else 'hold'} whole numbers, "
        "which cannot have a gradient.",
        explanation="Only floating point and complex tensors can require grad. torch.tensor([1, 2])"
        " and torch.arange(3) give int64; 1.0 instead of 1, or dtype=torch.float32, gives numbers "
        "that can be trained.",
        evidence=to_evidence([f"{p.name}: {p.meta}" for p in found]),
        hints=(Hint("Make it a floating point Parameter.", _code(found[0])),),
        certainty="possible",
    )


def _code(parameter: ParameterFacts) -> str:
    owner = member(parameter.module) if parameter.module else "model"
    name = parameter.name.rpartition(".")[2]
    if not parameter.module_type:
        owner, name = "", code_of(parameter)
    whole = f"{owner}.{name}" if owner else name
    return f"{whole} = nn.Parameter({whole}.float())"


def _is_odd(parameter: ParameterFacts) -> bool:
    return parameter.meta.dtype in _WHOLE and parameter.name.rpartition(".")[2].lower() in _WEIGHTS


INTEGER_WEIGHT = ProgramRule("integer-weight", "A weight of whole numbers", _diagnose)
