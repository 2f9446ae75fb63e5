"""The diagnoses of a training that is watched."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan
from typing import TYPE_CHECKING

from .program_rule import count_of, list_names, to_evidence
from .records import Diagnosis, Evidence, Hint

if TYPE_CHECKING:
    from .training_judge import StepNumbers

__all__ = [
    "amp_steps_skipped",
    "exploding",
    "graph_growing",
    "loss_graph_kept",
    "missing_gradients",
    "non_finite_gradients",
    "vanishing",
    "zero_gradients",
]

_TRACE = Hint(
    "Trace one backward pass to see where.",
    'with ia.trace(loss, params=model, stats="basic") as trace:\n    loss.backward()\n'
    "print(trace.gradient_flow())",
)


def non_finite_gradients(numbers: StepNumbers, names: Sequence[str]) -> Diagnosis:
    """NaN or Inf in gradients that an optimizer is about to use."""
    loss = numbers.loss
    origin = "The loss is not known."
    if loss is not None and isfinite(loss):
        origin = f"The loss was finite ({loss:.4g}), so the backward pass made it."
    elif loss is not None:
        origin = f"The loss was {loss:g} already, so the forward pass made it."
    nan = sum(isnan(numbers.norms[name]) for name in names)
    what = "NaN" if nan == len(names) else "Inf" if not nan else "NaN and Inf"
    return Diagnosis(
        slug="non-finite-gradient",
        summary=f"In step {numbers.step} {len(names)} of {count_of(len(numbers.norms), 'gradient')}"
        f" {'was' if len(names) == 1 else 'were'} not finite ({what}): {list_names(names)}.",
        explanation=f"{origin} The optimizer has written it into the parameters by now, unless the "
        "step was left out; from there it spreads everywhere.",
        evidence=to_evidence([f"|{name}.grad| = {numbers.norms[name]:g}" for name in names]),
        hints=(
            Hint(
                "Trace the backward pass to find the operator that made it.",
                'with ia.trace(loss, params=model, stats="basic") as trace:\n'
                "    loss.backward()\nprint(trace.first_nonfinite())",
            ),
            Hint(
                "Leave such steps out.",
                "norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n"
                "if norm.isfinite():\n    optimizer.step()",
            ),
        ),
    )


def missing_gradients(step: int, names: Sequence[str], total: int) -> Diagnosis:
    """Parameters that never got a gradient."""
    return Diagnosis(
        slug="parameter-without-gradient",
        summary=f"{len(names)} of {count_of(total, 'parameter')} that the optimizer holds got no "
        f"gradient in the first {step} steps: {list_names(names)}.",
        explanation="An optimizer passes over parameters whose .grad is None without a word, so "
        "they stay as they were made. No loss so far depended on them, or the path was cut.",
        evidence=to_evidence([f"{name}.grad is None" for name in names]),
        hints=(Hint("Ask why.", "ia.why_no_grad(loss, model, recording=recording)"),),
    )


def zero_gradients(step: int, names: Sequence[str], steps: int) -> Diagnosis:
    """Parameters whose gradient is always exactly 0."""
    return Diagnosis(
        slug="zero-gradient",
        summary=f"{count_of(len(names), 'gradient')} {'was' if len(names) == 1 else 'were'} exactly"
        f" 0 in each of the last {steps} steps: {list_names(names)}.",
        explanation="They are behind units that are never active (ReLUs that died), behind a mask "
        "or a factor of 0, or they underflowed in a narrow type.",
        evidence=to_evidence([f"|{name}.grad| = 0 in step {step}" for name in names]),
        hints=(_TRACE,),
        certainty="likely",
    )


def exploding(step: int, total: float, usual: float) -> Diagnosis:
    """All gradients together are far larger than before."""
    return Diagnosis(
        slug="exploding-gradients",
        summary=f"In step {step} the norm of all gradients was {total:.2g}, {total / usual:.1g} "
        f"times as much as usual ({usual:.2g}).",
        explanation="A single step of this size can throw the parameters far off. It comes from a "
        "learning rate that is too high, from long products (recurrent networks, deep networks "
        "without normalization), or from one bad batch.",
        evidence=(Evidence(f"the median over the steps before is {usual:.4g}"),),
        hints=(
            Hint(
                "Limit the norm before each step.",
                "torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)",
            ),
            Hint("Lower the learning rate, or warm it up."),
            _TRACE,
        ),
        certainty="likely",
    )


def vanishing(step: int, total: float, usual: float, steps: int) -> Diagnosis:
    """All gradients together suddenly are next to nothing."""
    return Diagnosis(
        slug="vanishing-gradients",
        summary=f"Since step {step - steps + 1} the norm of all gradients is {total:.2g}, where it "
        f"was {usual:.2g} before.",
        explanation="The training has all but stopped. Gradients fall like this when units saturate"
        " or die (a step that was too large), when a loss is clipped or masked to a constant, or "
        "when the problem is solved exactly.",
        evidence=(Evidence(f"the median over the steps before is {usual:.4g}"),),
        hints=(_TRACE, Hint("Compare the loss with that of the steps before.")),
        certainty="likely",
    )


def amp_steps_skipped(step: int, count: int, scale: float | None) -> Diagnosis:
    """A GradScaler leaves out one step after the other."""
    now = "" if scale is None else f"; its scale is down to {scale:g}"
    return Diagnosis(
        slug="amp-steps-skipped",
        summary=f"The GradScaler has left out {count} optimizer steps in a row before step {step}, "
        f"because gradients were not finite{now}.",
        explanation="It halves its scale each time, and one to four times at the beginning are "
        "normal. More than that means that gradients are not finite at any scale: the network "
        "itself makes NaN or Inf, and nothing is learned.",
        evidence=(Evidence(f"{count} steps were left out since the last one that was done"),),
        hints=(
            Hint(
                "Look for the operator that makes NaN or Inf.",
                'with ia.trace(loss, params=model, stats="basic") as trace:\n'
                "    loss.backward()\nprint(trace.first_nonfinite())",
            ),
            Hint(
                "Use bfloat16, which needs no scaling.",
                'torch.autocast("cuda", dtype=torch.bfloat16)',
            ),
        ),
    )


def graph_growing(place: str, sizes: Sequence[tuple[int, int]]) -> Diagnosis:
    """The graph behind the loss has more nodes from pass to pass."""
    (first, small), (last, large) = sizes[0], sizes[-1]
    return Diagnosis(
        slug="graph-growing",
        summary=f"The graph behind backward() at {place} grows from pass to pass: {small} nodes in "
        f"pass {first}, {large} in pass {last}.",
        explanation="Each pass goes back through earlier steps too, so that it takes longer and "
        "longer, and memory runs out. Something carries its graph from step to step: a hidden "
        "state, a running average, a replay buffer, a loss that is summed up.",
        evidence=to_evidence([f"pass {number}: {nodes} nodes" for number, nodes in sizes]),
        hints=(
            Hint("Detach what goes on to the next step.", "hidden = hidden.detach()"),
            Hint("Sum up numbers, not tensors with a graph.", "total += loss.item()"),
        ),
        certainty="likely",
    )


def loss_graph_kept(step: int, alive: Sequence[int]) -> Diagnosis:
    """The graphs of earlier losses are never freed."""
    return Diagnosis(
        slug="loss-graph-kept",
        summary=f"In step {step} the graphs of {len(alive)} earlier losses are still alive (of "
        f"steps {alive[0]} to {alive[-1]}).",
        explanation="Whoever keeps a loss keeps all nodes behind it, and what they saved where no "
        "backward pass has freed it: memory grows with every step. Mostly losses are collected for "
        "a plot, or summed up, as tensors.",
        evidence=(Evidence(f"steps {', '.join(map(str, alive[:12]))}"),),
        hints=(
            Hint("Keep the number alone.", "losses.append(loss.item())"),
            Hint("See who holds the graphs.", "print(ia.graph_holders())"),
        ),
        certainty="likely",
    )
