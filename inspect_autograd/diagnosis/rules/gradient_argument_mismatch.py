"""The gradient that was given to backward() or grad() does not fit the output, or is none."""

from __future__ import annotations

import re

from ...graph.creation import SourceLine
from ..failing_call import FailingCall, as_code, call_of, find_failing_call, is_refusal, named
from ..numbers_in_words import with_meta
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..subjects import with_article
from .gradient_argument_receiver import diagnose_receiver

__all__ = ["GRADIENT_ARGUMENT_MISMATCH"]

SLUG = "gradient-argument-mismatch"
WHY = (
    "The gradient argument v holds one weight for each number of the output, and backward() "
    "computes vᵀJ, the weighted sum of the rows of the Jacobian. So v must have exactly the shape "
    "of the output; it is not broadcast."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if is_refusal(scene, "AttributeError"):
        return diagnose_receiver(scene)
    if not is_refusal(scene, "RuntimeError", "TypeError"):
        return None
    if says(scene, r"is_grads_batched=True., we interpret"):
        return _batched(scene)
    if says(scene, r"mismatch in shape: grad_output\[", r"mismatch in shape: grad_outputs?\["):
        return _shape(scene)
    if _is_in(scene, "_make_grads") and says(scene, r"boolean value of tensor .* is ambiguous"):
        return _shape(scene)  # Composing its own message fails, for the second of several outputs.
    if says(scene, r"mismatch in dtype: grad_output\["):
        return _dtype(scene)
    found = says(scene, r"gradients can be either tensors or None, but got (\w+)")
    if found is None and _is_in(scene, "_tensor_or_tensors_to_tuple"):
        found = says(scene, r"'(\w+)' object is not iterable")
    if found is not None:
        return _no_tensor(scene, found[1])
    found = says(scene, r"got (\d+) tensors and (\d+) gradients")
    return None if found is None else _count(scene, int(found[1]), int(found[2]))


def _is_in(scene: Scene, function: str) -> bool:
    """Whether this function of PyTorch raised it."""
    last = scene.frames[-1] if scene.frames else None
    return last is not None and last.owner == "torch" and last.source.function == function


class _Facts:
    """The output and the gradient that do not fit, with their names."""

    def __init__(self, scene: Scene) -> None:
        self.call: FailingCall = find_failing_call(scene)
        indices = re.search(r"grad_outputs?\[(\d+)\]", scene.message)
        index = int(indices[1]) if indices else (scene.call.failing if scene.call else None)
        outputs = scene.call.outputs if scene.call is not None else ()
        gradients = scene.call.gradients if scene.call is not None else ()
        if index is None:
            pairs = zip(outputs, gradients, strict=False)
            differ = (i for i, (o, g) in enumerate(pairs) if g and g.meta.shape != o.meta.shape)
            index = next(differ, 0)
        self.output: TensorFacts | None = outputs[index] if index < len(outputs) else None
        self.gradient = gradients[index] if index < len(gradients) else None
        self.name = named(self.output, self.call.output_text(index))
        self.given = named(self.gradient, self.call.gradient_text(index))
        if self.given == "the tensor":
            self.given = "the gradient"
        self.code, self.given_code = as_code(self.name), as_code(self.given)
        self.call_name = "backward" if scene.call is None else scene.call.call

    def shown(self) -> tuple[str, str]:
        """The gradient and the output with their shapes."""
        given, name = self.given, self.name
        return (
            given if self.gradient is None else with_meta(given, self.gradient),
            name if self.output is None else with_meta(name, self.output),
        )

    def evidence(self) -> tuple[Evidence, ...]:
        """Who made the output."""
        if self.output is None or self.output.grad_fn is None:
            return ()
        text = f"{self.output.grad_fn} made {self.name}; it takes a gradient {self.output.meta}"
        return (Evidence(text, self.output.source, self.output.node),)

    def pasted(self, gradient: str) -> str:
        """The call with another gradient."""
        if self.call_name == "grad":
            inputs = self.call.input_text(0) or "x"
            return f"torch.autograd.grad({self.code}, {inputs}, {gradient})"
        return call_of(self.name, f".backward({gradient})")


def _shape(scene: Scene) -> Diagnosis:
    facts = _Facts(scene)
    given, output = facts.shown()
    hints = [
        Hint("Give one weight for each number.", facts.pasted(f"torch.ones_like({facts.code})")),
        *_same_numbers(facts),
        Hint("Or start from one number.", _from_sum(facts)),
    ]
    if _numel(facts.gradient) == _numel(facts.output):
        hints.insert(0, hints.pop(1))
    return Diagnosis(
        SLUG,
        f"The gradient {given} does not have the shape of the output {output}.",
        WHY,
        facts.evidence(),
        tuple(hints),
        source=_line(scene),
    )


def _same_numbers(facts: _Facts) -> list[Hint]:
    """A reshape, where the number of elements fits; an expansion, where it can be broadcast."""
    if facts.gradient is None or facts.output is None:
        return []
    if facts.gradient.meta.numel == facts.output.meta.numel:
        reshaped = call_of(facts.given, f".reshape_as({facts.code})")
        return [Hint("It has as many numbers, so reshape it.", facts.pasted(reshaped))]
    if _broadcasts(facts.gradient.meta.shape, facts.output.meta.shape):
        expanded = call_of(facts.given, f".expand_as({facts.code})")
        return [Hint("Broadcast it yourself, if that is what was meant.", facts.pasted(expanded))]
    return []


def _broadcasts(small: tuple[int | str, ...] | None, large: tuple[int | str, ...] | None) -> bool:
    if small is None or large is None or len(small) > len(large):
        return False
    return all(a in (1, b) for a, b in zip(reversed(small), reversed(large), strict=False))


def _numel(facts: TensorFacts | None) -> int | None:
    return None if facts is None else facts.meta.numel


def _from_sum(facts: _Facts) -> str:
    summed = call_of(facts.name, ".sum()")
    if facts.call_name == "grad":
        return f"torch.autograd.grad({summed}, {facts.call.input_text(0) or 'x'})"
    return f"{summed}.backward()"


def _dtype(scene: Scene) -> Diagnosis:
    facts = _Facts(scene)
    given, output = facts.shown()
    is_complex = facts.gradient is not None and facts.gradient.meta.dtype.startswith("complex")
    real_or = "real" if is_complex else "complex"
    other = "complex" if is_complex else "real"
    dtype = "float32" if facts.output is None else facts.output.meta.dtype
    hints = [
        Hint(
            f"Make the gradient {real_or}: ones of the output's own dtype.",
            facts.pasted(f"torch.ones_like({facts.code})"),
        ),
        Hint("Or convert it.", facts.pasted(call_of(facts.given, f".to(torch.{dtype})")))
        if not is_complex
        else Hint("Or take its real part.", facts.pasted(call_of(facts.given, ".real"))),
    ]
    return Diagnosis(
        SLUG,
        f"The gradient {given} is {other}, but the output {output} is {real_or}.",
        "Other dtypes are converted (a float64 gradient for a float32 output is fine), but between "
        "real and complex numbers there is no conversion that could be meant for sure.",
        facts.evidence(),
        tuple(hints),
        source=_line(scene),
    )


def _batched(scene: Scene) -> Diagnosis:
    facts = _Facts(scene)
    given, output = facts.shown()
    shape = None if facts.output is None else facts.output.meta.shape
    wanted = "[k, …]" if shape is None else f"[{', '.join(['k', *map(str, shape)])}]"
    hints = [
        Hint(
            "Without is_grads_batched this gradient is taken as it is.",
            facts.pasted(facts.given_code),
        )
    ]
    m = _numel(facts.output)
    if shape is not None and len(shape) == 1 and m is not None:
        hints.append(
            Hint(
                f"For the whole Jacobian, give the {m} unit vectors as a batch.",
                facts.pasted(f"torch.eye({m}), is_grads_batched=True"),
            )
        )
    if _numel(facts.gradient) == m:
        batch = call_of(facts.given, f".reshape_as({facts.code}).unsqueeze(0)")
        hints.append(
            Hint("Or make it a batch of one.", facts.pasted(f"{batch}, is_grads_batched=True"))
        )
    return Diagnosis(
        SLUG,
        f"With is_grads_batched=True the gradient must have the shape {wanted}, but {given} has "
        f"not: its first dimension is taken for the batch. The output is {output}.",
        "is_grads_batched computes k products vᵀJ at once, one for each v along the first "
        "dimension of the gradient. What is left of its shape must be that of the output.",
        facts.evidence(),
        tuple(hints),
        source=_line(scene),
    )


def _no_tensor(scene: Scene, kind: str) -> Diagnosis:
    facts = _Facts(scene)
    value = facts.call.gradient_text(0) or "it"
    like = f"torch.full_like({facts.code}, {value})" if kind in ("int", "float") else (
        f"torch.tensor({value})"
    )  # fmt: skip
    output = facts.shown()[1]
    return Diagnosis(
        SLUG,
        f"The gradient argument is {with_article(kind)}, but it must be a tensor of the shape "
        f"of {output}, or None.",
        WHY,
        facts.evidence(),
        (
            Hint("Make it a tensor.", facts.pasted(like)),
            Hint("For a single number leave it out; it is 1 then.", facts.pasted("")),
        )
        if facts.call_name == "backward"
        else (Hint("Make it a tensor.", facts.pasted(like)),),
        source=_line(scene),
    )


def _count(scene: Scene, outputs: int, gradients: int) -> Diagnosis:
    return Diagnosis(
        SLUG,
        f"{outputs} outputs were given, but {gradients} gradient{'s' * (gradients != 1)}.",
        "There must be one gradient for each output, in the same order. None stands for a weight "
        "of 1, for an output that is a single number.",
        hints=(
            Hint(
                "Give one for each.",
                "torch.autograd.backward(outputs, [torch.ones_like(t) for t in outputs])",
            ),
            Hint("Or add the outputs first.", "sum(t.sum() for t in outputs).backward()"),
        ),
        source=_line(scene),
    )


def _line(scene: Scene) -> SourceLine | None:
    return scene.line


GRADIENT_ARGUMENT_MISMATCH = Rule(
    SLUG, "A gradient argument that does not fit the output", _diagnose
)
