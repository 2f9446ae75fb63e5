"""Parameters that were left behind on another kind of device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..model_code import member
from ..program_facts import ParameterFacts, ProgramFacts
from ..program_rule import ProgramRule, count_of, group_names, list_names, to_evidence
from ..records import Certainty, Diagnosis, Hint

__all__ = ["PARAMETER_DEVICE"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    tensors = (*facts.parameters, *facts.buffers)
    counts = Counter(map(_device_type, tensors))
    if len(counts) < 2:
        return None  # A model that is on the meta device as a whole is meant to be.
    most, _ = counts.most_common(1)[0]
    odd = "meta" if "meta" in counts else "cpu"
    left = [p for p in tensors if _device_type(p) == odd]
    if odd == most or not left:
        return None
    certainty: Certainty = "certain" if odd == "meta" else "likely"
    groups = group_names(left, tensors)
    return Diagnosis(
        slug="parameter-device",
        summary=f"{count_of(len(left), 'tensor')} of the model "
        f"{'is' if len(left) == 1 else 'are'} on {odd}, while most are on {most}: "
        f"{list_names(groups)}.",
        explanation="An operator takes tensors of one device, so the forward pass would raise. A "
        "tensor on the meta device has no values at all: it was never materialized, or a "
        "checkpoint did not hold it."
        if odd == "meta"
        else "An operator takes tensors of one device, so the forward pass would raise, or has to "
        "copy every time. Parts that were added after model.to(device) stay where they were made.",
        evidence=to_evidence([f"{group} on {odd}" for group in groups]),
        hints=(
            Hint("Move the model once it is complete.", f'model.to("{most}")')
            if odd == "cpu"
            else Hint(
                "Give its values to it: those of the checkpoint, in the place of what has none.",
                "model.load_state_dict(state, assign=True)",
            ),
            *(() if odd == "cpu" else _empty(left, most)),
        ),
        certainty=certainty,
    )


def _empty(left: list[ParameterFacts], device: str) -> Iterator[Hint]:
    """How to start from fresh values; only for modules that lose none, as `to_empty` keeps none."""
    module = left[0].module
    if module and left[0].module_type:
        yield Hint(
            "Or give memory to that module alone, and then values to all of it: to_empty() keeps "
            "no value of what it is called on.",
            f'{member(module)}.to_empty(device="{device}")',
        )


def _device_type(parameter: ParameterFacts) -> str:
    return parameter.meta.device.partition(":")[0]


PARAMETER_DEVICE = ProgramRule(
    "parameter-device", "Parameters on another kind of device", _diagnose
)
