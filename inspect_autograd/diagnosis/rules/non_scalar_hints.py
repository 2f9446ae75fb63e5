"""What to do about an output that is no single number, the likeliest first."""

from __future__ import annotations

from ..failing_call import FailingCall, as_code, call_of, named
from ..output_kinds import OutputKind
from ..records import Hint
from ..scene import CallFacts, Scene
from ..weightings import gradient_in_numbers

__all__ = ["find_hints"]

JACOBIAN = "torch.func.jacrev(f)(x)"


def find_hints(scene: Scene, call: FailingCall, name: str, kind: OutputKind) -> list[Hint]:
    """Ways to start from one number, or to say which gradient is meant.

    Args:
        scene: One with an output that was refused.
        call: The text of the call.
        name: What the user calls the output.
        kind: What it seems to be.
    """
    output = scene.output
    if output is None or scene.call is None:
        return []
    if kind.kind == "empty":
        return [_of_empty(name)]
    if len(scene.call.outputs) > 1:
        return _of_several(scene.call, call, name)
    if scene.call.call == "grad":
        return _of_grad(scene.call, call, name, output.meta.numel)
    if output.meta.dtype.startswith("complex"):
        return _of_complex(name, str(output.meta))
    return [*_of_kind(kind, name), *_of_weights(scene, name, kind)]


def _of_weights(scene: Scene, name: str, kind: OutputKind) -> list[Hint]:
    """Average, sum, weights of one's own, and the whole Jacobian."""
    output = scene.output
    m = None if output is None else output.meta.numel
    mean = Hint(
        f"Minimise the average of the {m} numbers: each weighs 1/{m}"
        + _gives(scene, ".mean().backward()"),
        f"{call_of(name, '.mean()')}.backward()",
    )
    total = Hint(
        f"Minimise their sum: each weighs 1, which is {m} times the gradient of the average, and "
        f"the same as gradient=torch.ones_like({call_of(name, '')})"
        + _gives(scene, ".sum().backward()"),
        f"{call_of(name, '.sum()')}.backward()",
    )
    weights = Hint(
        f"Choose the weights yourself: v is a tensor {output and output.meta}, and the result is "
        "vᵀJ.",
        call_of(name, ".backward(gradient=v)"),
    )
    jacobian = Hint(
        "Get the whole Jacobian, if that is what you want; f is the function that computes "
        f"{name} from x.",
        JACOBIAN,
    )
    if kind.kind == "joined":
        added = f"Add the {m} numbers; to make some count for more, multiply them by weights first"
        total = Hint(added + _gives(scene, ".sum().backward()"), total.code)
        return [total, mean, weights, jacobian]
    return [mean, total, weights, jacobian]


def _gives(scene: Scene, method: str) -> str:
    gradient = gradient_in_numbers(scene, method)
    return f"; here {gradient}." if gradient else "."


def _of_kind(kind: OutputKind, name: str) -> list[Hint]:
    if kind.kind == "unreduced":
        return [Hint('Leave out reduction="none"; the loss then is the average by itself.')]
    if kind.kind == "prediction":
        return [
            Hint(
                "Compare it with a target, and start from the loss.",
                f"loss = criterion({name}, target)\nloss.backward()",
            )
        ]
    if kind.kind == "dim":
        return [Hint("Leave out dim=, so that everything is reduced.")]
    return []


def _of_empty(name: str) -> Hint:
    return Hint(
        f"Find out why {name} is empty (a mask or slice that selects nothing, an empty batch), and "
        "skip the step then; its mean would be NaN.",
        f"if {call_of(name, '.numel()')}:\n    {call_of(name, '.mean()')}.backward()",
    )


def _of_complex(name: str, meta: str) -> list[Hint]:
    return [
        Hint(
            "Minimise the average of the absolute values, which is real.",
            f"{call_of(name, '.abs().mean()')}.backward()",
        ),
        Hint(
            "Or the sum of their squares.", f"{call_of(name, '.abs().square().sum()')}.backward()"
        ),
        Hint(
            f"Or choose the weights yourself: v is a tensor {meta}.",
            call_of(name, ".backward(gradient=v)"),
        ),
    ]


def _of_several(facts: CallFacts, call: FailingCall, name: str) -> list[Hint]:
    outputs = enumerate(facts.outputs)
    names = [as_code(named(output, call.output_text(i))) for i, output in outputs]
    one = [output.meta.numel == 1 for output in facts.outputs]
    sums = [n if is_one else call_of(n, ".sum()") for n, is_one in zip(names, one, strict=True)]
    ones = [
        "None" if is_one else f"torch.ones_like({n})" for n, is_one in zip(names, one, strict=True)
    ]
    return [
        Hint(
            "Reduce each output to one number and add them.",
            f"({' + '.join(sums)}).backward()",
        ),
        Hint(
            f"Or give a gradient for each output; None will do for those of one number, not for "
            f"{name}.",
            f"torch.autograd.backward([{', '.join(names)}], [{', '.join(ones)}])",
        ),
    ]


def _of_grad(facts: CallFacts, call: FailingCall, name: str, m: int | None) -> list[Hint]:
    of = call.input_text(0) if len(call.inputs) == 1 else ""
    of = of or "x"
    graph, code = ", create_graph=True" if facts.create_graph else "", as_code(name)
    return [
        Hint(
            f"Add the {m} gradients. Where each number of {name} depends on its own number of {of} "
            "alone, as in an elementwise function, this is the derivative at each point.",
            f"torch.autograd.grad({code}, {of}, grad_outputs=torch.ones_like({code}){graph})",
        ),
        Hint(
            "The same in other words.",
            f"torch.autograd.grad({call_of(name, '.sum()')}, {of}{graph})",
        ),
        Hint(
            f"Get all {m} gradients, one for each number: the Jacobian.",
            f"[torch.autograd.grad(one, {of}, retain_graph=True)[0] "
            f"for one in {call_of(name, '.flatten()')}]",
        ),
    ]
