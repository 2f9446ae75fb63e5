"""Parameters that are trained in float16."""

from __future__ import annotations

from ..program_facts import ProgramFacts
from ..program_rule import ProgramRule, count_of, group_names, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["PARAMETER_FLOAT16"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    narrow = [
        p for p in facts.trainable() if p.meta.dtype == "float16" and p.is_training and p.is_plain
    ]
    if not narrow:
        return None
    device = narrow[0].meta.device.partition(":")[0]
    groups = group_names(narrow, facts.parameters)
    return Diagnosis(
        slug="parameter-float16",
        summary=f"{count_of(len(narrow), 'trainable parameter')} "
        f"{'is' if len(narrow) == 1 else 'are'} float16: {list_names(groups)}.",
        explanation="float16 ends at 65504 and loses digits below 6e-5, so gradients overflow to "
        "Inf or vanish, and an update of less than a thousandth of a value is rounded away. "
        "GradScaler cannot help: it refuses to unscale float16 gradients. Mixed precision keeps "
        "the parameters in float32 and lets autocast choose float16 where it is safe.\n\n"
        "Source: https://docs.pytorch.org/docs/stable/amp.html",
        evidence=to_evidence([f"float16: {group}" for group in groups]),
        hints=(
            Hint(
                "Keep float32 parameters, and compute under autocast with a GradScaler.",
                "scaler = torch.amp.GradScaler()\nmodel.float()\n"
                f'with torch.autocast("{device}", dtype=torch.float16):\n    loss = ...\n'
                "scaler.scale(loss).backward()\nscaler.step(optimizer)\nscaler.update()",
            ),
            Hint("Use bfloat16, which has the range of float32.", "model.bfloat16()"),
        ),
        certainty="likely",
    )


PARAMETER_FLOAT16 = ProgramRule("parameter-float16", "Parameters trained in float16", _diagnose)
