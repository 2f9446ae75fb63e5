"""What was meant as a parameter is the result of a computation."""

from __future__ import annotations

from ..model_code import code_of, member
from ..program_facts import ProgramFacts
from ..program_rule import ProgramRule, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["PARAMETER_NOT_A_LEAF"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    given = [p for p in facts.parameters if not p.is_leaf]
    computed = [a for a in facts.attributes if a.kind == "computed"]
    if not given and not computed:
        return None
    names = [p.name for p in given] + [a.name for a in computed]
    one = len(names) == 1
    lines = [f"{p.name} ({p.meta}) was made by {p.grad_fn}" for p in given]
    lines += [
        f"{a.name} ({a.meta}) was made by {a.grad_fn} from a tensor that the model does not hold"
        for a in computed
    ]
    name = code_of(given[0]) if given else member(_attribute(computed[0].name))
    owned = f"self.{_attribute(names[0]).rpartition('.')[2]}"
    code = (
        f"{name} = {name}.detach().requires_grad_()"
        if given and not given[0].module_type
        else f"{owned} = nn.Parameter({owned}.detach())"
    )
    return Diagnosis(
        slug="parameter-not-a-leaf",
        summary=f"{list_names(names)} {'is no leaf' if one else 'are no leaves'} but the result "
        f"of a computation, so {'it is' if one else 'they are'} not trained.",
        explanation="A gradient is accumulated in leaves only: tensors that nothing was computed "
        "for. `nn.Parameter(t) * 2`, `torch.randn(3, requires_grad=True).to(device)` and "
        "`weight / weight.norm()` give other tensors; the leaf is what went in. Optimizers refuse "
        "such a tensor, `model.parameters()` does not list it, and its .grad stays None.",
        evidence=to_evidence(lines),
        hints=(
            Hint("Make a leaf of the result, where it is computed.", code),
            Hint("Or keep what it is computed from as the parameter, and compute in forward()."),
            Hint(
                "To keep the gradient of a computed tensor on purpose, ask before backward().",
                f"{name}.retain_grad()",
            ),
        ),
        certainty="certain" if given or any(a.is_certain for a in computed) else "likely",
    )


def _attribute(name: str) -> str:
    """The attribute that holds it: `scales` of `scales[0]`."""
    return name.partition("[")[0]


PARAMETER_NOT_A_LEAF = ProgramRule("parameter-not-a-leaf", "A parameter that is no leaf", _diagnose)
