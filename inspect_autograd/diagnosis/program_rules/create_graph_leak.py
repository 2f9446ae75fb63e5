"""Gradients that carry a graph, and so keep the whole backward pass alive."""

from __future__ import annotations

from ..program_facts import ProgramFacts
from ..program_rule import ProgramRule, count_of, list_names, to_evidence
from ..records import Diagnosis, Hint

__all__ = ["CREATE_GRAPH_LEAK"]


def _diagnose(facts: ProgramFacts) -> Diagnosis | None:
    # In the graph of a computed tensor's gradient there is no ring: it goes with the tensor.
    found = [p for p in facts.parameters if p.is_leaf and p.has_graph_of_grad]
    if not found:
        return None
    total = sum(p.grad is not None for p in facts.parameters)
    names = [p.name for p in found]
    return Diagnosis(
        slug="create-graph-leak",
        summary=f"{len(found)} of {count_of(total, 'gradient')} "
        f"{'carries' if len(found) == 1 else 'carry'} a graph, which leads back to the parameters: "
        f"{list_names(names)}.",
        explanation="backward(create_graph=True) puts a gradient into .grad that is itself the "
        "result of a graph, and that graph holds the parameters: they hold each other. Part of "
        "that ring lies in C++, where Python's garbage collector cannot break it, so the memory of "
        "the pass is never given back. PyTorch warns of it once, and not again.",
        evidence=to_evidence([f"{name}.grad has a grad_fn" for name in names]),
        hints=(
            Hint(
                "Drop the gradients as soon as they have been used.",
                "for parameter in model.parameters():\n    parameter.grad = None",
            ),
            Hint(
                "Take them as values instead; nothing is put into .grad then.",
                "grads = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)",
            ),
            Hint("If no gradient of a gradient is needed, leave create_graph out."),
        ),
        certainty="likely",
    )


CREATE_GRAPH_LEAK = ProgramRule(
    "create-graph-leak", "Gradients that keep their graph alive", _diagnose
)
