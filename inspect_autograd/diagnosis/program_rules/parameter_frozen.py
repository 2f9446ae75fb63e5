"""A few frozen parameters among trainable ones of the same kind."""

from __future__ import annotations

import re
from collections import Counter

from ..model_code import code_of
from ..program_facts import ParameterFacts, ProgramFacts
from ..program_rule import SHOWN, ProgramRule, count_of, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["PARAMETER_FROZEN"]

FEW = 0.25
"""Share of frozen parameters from which on they look intended: a frozen base with adapters, or a
model whose last layers are fine-tuned."""
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)|^\d+(?=\.)")


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    frozen = [p for p in facts.parameters if _is_frozen(p)]
    trainable = list(facts.trainable())
    if not frozen or len(frozen) > FEW * (len(frozen) + len(trainable)):
        return None
    found = [
        (p, reason)
        for p in frozen
        if p.is_training and (p.is_held or not facts.has_optimizer)
        if (reason := _why_odd(p, frozen, trainable))
    ]
    if not found:
        return None
    names = [parameter.name for parameter, _ in found]
    one = len(found) == 1
    held = ", though the optimizer holds " + ("it" if one else "them") if facts.optimizers else ""
    return Diagnosis(
        slug="parameter-frozen",
        summary=f"{count_of(len(found), 'parameter')} {'is' if one else 'are'} frozen among "
        f"{len(trainable)} trainable ones{held}: {list_names(names)}.",
        explanation="A parameter with requires_grad=False gets no gradient and never changes. "
        "Whole models or whole blocks are frozen on purpose; single tensors inside of blocks that "
        "are trained mostly are not: they may be left over from an experiment, or a loop over "
        "names may have matched more than it should.",
        evidence=to_evidence([f"{p.name}: {reason}" for p, reason in found]),
        hints=(
            Hint(
                f"Let {'it' if one else 'them'} be trained.",
                "\n".join(f"{code_of(p)}.requires_grad_(True)" for p, _ in found[:SHOWN]),
            ),
            Hint(
                "Where it is meant to be so, leave it out of the optimizer.",
                "params = [p for p in model.parameters() if p.requires_grad]",
            ),
        ),
        certainty="likely" if facts.has_optimizer else "possible",
    )


def _is_frozen(parameter: ParameterFacts) -> bool:
    return parameter.is_parameter and parameter.is_leaf and not parameter.requires_grad


def _why_odd(
    parameter: ParameterFacts, frozen: list[ParameterFacts], trainable: list[ParameterFacts]
) -> str:
    """Why it looks as if nobody had meant to freeze it; empty if it does not."""
    block = _block_of(parameter.name)
    if block and not any(_is_inside(p.name, block) for p in trainable):
        return ""  # A whole block is frozen, as the first ones are for fine-tuning.
    role = _NUMBER.sub("*", parameter.name)
    if role != parameter.name:
        peers = Counter(_NUMBER.sub("*", p.name) for p in trainable)[role]
        others = Counter(_NUMBER.sub("*", p.name) for p in frozen)[role]
        if peers >= 2 and peers > others:
            return f"{peers} parameters of this role ({role}) are trainable"
    if parameter.module and parameter.module_type.startswith("torch.nn."):
        beside = [p.name for p in trainable if p.module == parameter.module]
        if beside:
            return f"{beside[0]}, of the same layer, is trainable"
    return ""


def _block_of(name: str) -> str:
    """Path of the innermost numbered block: `layers.3` of `layers.3.linear1.weight`."""
    parts = name.split(".")[:-1]
    for index in range(len(parts) - 1, -1, -1):
        # `0` of a Sequential of layers is a layer, not a block of layers.
        if parts[index].isdigit() and index < len(parts) - 1:
            return ".".join(parts[: index + 1])
    return ""


def _is_inside(name: str, path: str) -> bool:
    return name.startswith(path + ".")


PARAMETER_FROZEN = ProgramRule(
    "parameter-frozen", "Single frozen parameters among trainable ones", _diagnose
)
