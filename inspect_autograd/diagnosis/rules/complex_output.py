"""A gradient was to be implied for a complex output."""

from __future__ import annotations

from ..failing_call import as_code, call_of, find_failing_call, is_refusal, named
from ..numbers_in_words import with_meta
from ..output_kinds import find_leaves
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene

__all__ = ["COMPLEX_OUTPUT"]

SLUG = "complex-output"


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not is_refusal(scene, "RuntimeError"):
        return None
    found = says(
        scene, r"implicitly created only for real scalar outputs(?: but got torch\.(\w+))?"
    )
    if found is None:
        return None
    output, call = scene.output, find_failing_call(scene)
    index = None if scene.call is None else scene.call.failing
    name = named(output, call.output_text(index))
    what = name if output is None else with_meta(name, output)
    is_grad = scene.call is not None and scene.call.call == "grad"
    inputs, code = call.input_text(0) or "x", as_code(name)

    def start(method: str) -> str:
        part = call_of(name, method)
        return f"torch.autograd.grad({part}, {inputs})" if is_grad else f"{part}.backward()"

    return Diagnosis(
        SLUG,
        f"{what} is a complex number, but {'grad' if is_grad else 'backward'}() without a gradient "
        "can start from a real number only.",
        "Training makes a number smaller, and of two complex numbers none is the smaller one. So a "
        "loss must be real, even where everything before it is complex: gradients flow through "
        "complex operations without trouble.",
        tuple(_evidence(scene, name)),
        (
            Hint("Minimise its absolute value.", start(".abs()")),
            Hint("Or the square of it, which is smooth at 0.", start(".abs().square()")),
            Hint("Or its real part, if the imaginary part is known to be 0.", start(".real")),
            Hint(
                "Or say what the gradient is to be: 1 here gives that of the real part.",
                f"torch.autograd.grad({code}, {inputs}, torch.ones_like({code}))"
                if is_grad
                else call_of(name, f".backward(torch.ones_like({code}))"),
            ),
        ),
        source=None if output is None else output.source,
    )


def _evidence(scene: Scene, name: str) -> list[Evidence]:
    output, found = scene.output, []
    if output is not None and output.grad_fn is not None:
        at = "" if output.source is None else f" at {output.source.short}"
        found.append(
            Evidence(f"{name} was made by {output.grad_fn}{at}", output.source, output.node)
        )
    leaves = find_leaves(scene)
    kinds = [leaf for leaf in leaves if leaf.meta.dtype.startswith("complex")]
    if kinds:
        names = ", ".join(f"{leaf.name or 'a leaf'} ({leaf.meta})" for leaf in kinds[:3])
        found.append(Evidence(f"complex from the start: {names}"))
    elif leaves:
        found.append(Evidence("its leaves are real: an operation on the way made it complex"))
    return found


COMPLEX_OUTPUT = Rule(SLUG, "Backward from a complex number", _diagnose)
