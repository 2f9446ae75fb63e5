"""Tensors and modules that the model uses but does not know of."""

from __future__ import annotations

from ..program_facts import AttributeFacts, ProgramFacts
from ..program_rule import ProgramRule, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["PARAMETER_UNREGISTERED"]

MOST_HINTS = 3


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    found = [a for a in facts.attributes if a.kind != "computed" and not a.is_held]
    if not found:
        return None
    names = [attribute.name for attribute in found]
    one = len(names) == 1
    return Diagnosis(
        slug="parameter-unregistered",
        summary=f"{list_names(names)} {'is' if one else 'are'} not registered in the model, so "
        f"model.parameters() does not give {'it' if one else 'them'} to the optimizer.",
        explanation="A module knows the Parameters and modules that are its own attributes. Those "
        "in a plain list, tuple or dict, and plain tensors, it does not: they are not trained, "
        "not moved by .to(), and not saved in state_dict().",
        evidence=to_evidence([_line(attribute) for attribute in found]),
        hints=tuple(dict.fromkeys(map(_hint, found)))[:MOST_HINTS],
        certainty="certain" if any(a.is_certain for a in found) else "likely",
    )


def _hint(attribute: AttributeFacts) -> Hint:
    name, _, key = attribute.name.rpartition(".")[2].partition("[")
    kind = "Dict" if key.startswith(("'", '"')) else "List"
    if attribute.kind == "module in a container":
        return Hint(
            f"Keep the modules in a Module{kind}.", f"self.{name} = nn.Module{kind}(self.{name})"
        )
    if attribute.kind == "in a container":
        return Hint(
            f"Keep the Parameters in a Parameter{kind}.",
            f"self.{name} = nn.Parameter{kind}(self.{name})",
        )
    return Hint("Make the tensor a Parameter.", f"self.{name} = nn.Parameter(self.{name})")


def _line(attribute: AttributeFacts) -> str:
    if attribute.kind == "module in a container":
        count = attribute.parameter_count
        return (
            f"{attribute.name} is a {attribute.what} with {count} "
            f"parameter{'' if count == 1 else 's'} in a plain container"
        )
    if attribute.kind == "in a container":
        return f"{attribute.name} ({attribute.meta}) is a Parameter in a plain container"
    return f"{attribute.name} ({attribute.meta}) requires grad, but is a plain tensor"


PARAMETER_UNREGISTERED = ProgramRule(
    "parameter-unregistered", "Parameters and modules that the model does not know of", _diagnose
)
