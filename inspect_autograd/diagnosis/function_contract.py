"""What a custom Function lacks, or declares in the wrong way."""

from __future__ import annotations

import re

from .custom_functions import returns_of
from .records import Diagnosis, Evidence, Hint
from .scene import FunctionFacts, Scene
from .subjects import with_article

__all__ = [
    "no_backward",
    "no_setup_context",
    "no_vmap",
    "saved_no_tensor",
    "wrong_signature",
]

SLUG = "custom-function"


def no_backward(scene: Scene, _: re.Match[str]) -> Diagnosis:
    """There is neither a backward nor a vjp."""
    candidates = [f for f in scene.functions if f.backward is None]
    function = next((f for f in candidates if f.nodes), next(iter(candidates), None))
    name = "A custom Function" if function is None else function.name
    inputs = () if function is None else function.inputs
    gradients = ", ".join(f"grad_{name}" for name in inputs) or "grad_input"
    return Diagnosis(
        slug=SLUG,
        summary=f"{name} has no backward, so no gradient can pass through it.",
        explanation="PyTorch does not look into the forward of a custom Function: what runs there "
        "is not recorded. Its derivative is whatever its backward says.",
        evidence=_forward(function),
        hints=(
            Hint(
                "Write a backward: one gradient comes in for each output, one goes out for each "
                "argument.",
                f"@staticmethod\ndef backward(ctx, grad_output):\n    return {gradients}",
            ),
            Hint(
                "If forward only calls PyTorch's own operations, a plain function is enough: "
                "PyTorch differentiates it by itself."
            ),
        ),
        certainty="certain" if len(candidates) == 1 else "likely",
        source=None if function is None else function.forward,
    )


def no_setup_context(scene: Scene, _: re.Match[str]) -> Diagnosis:
    """Used under a transform of torch.func, with a forward that takes ctx."""
    candidates = [f for f in scene.functions if not f.has_setup_context]
    function = next(reversed(candidates), None)
    name = "A custom Function" if function is None else function.name
    under = f"torch.func.{_transform(scene)}" if _transform(scene) else "torch.func"
    inputs = ("x",) if function is None or not function.inputs else function.inputs
    unpack = f"{', '.join(inputs)}{',' if len(inputs) == 1 else ''} = inputs"
    return Diagnosis(
        slug=SLUG,
        summary=f"{name} was called under {under}, but it has no setup_context: "
        "its forward takes ctx itself.",
        explanation="The transforms of torch.func run forward on wrapped tensors and decide "
        "themselves what is kept for backward. They can do so only if forward computes, and "
        "setup_context saves.",
        evidence=_forward(function),
        hints=(
            Hint(
                "Take ctx out of forward, and move what it did with ctx into setup_context.",
                f"@staticmethod\ndef forward({', '.join(inputs)}):\n    ...\n\n"
                "@staticmethod\ndef setup_context(ctx, inputs, output):\n"
                f"    {unpack}\n    ctx.save_for_backward(...)",
            ),
            Hint(
                "Under torch.vmap it needs a rule for batches too; this one is derived from "
                "forward and backward, if both use PyTorch's operations only.",
                "generate_vmap_rule = True  # in the class",
            ),
        ),
        source=None if function is None else function.forward,
    )


def wrong_signature(scene: Scene, match: re.Match[str]) -> Diagnosis | None:
    """Backward takes another number of gradients than forward has outputs."""
    function = next((f for f in scene.functions if f.name == match["class"]), None)
    if function is None or function.backward is None:
        return None
    outputs = 0
    if scene.graph is not None and function.nodes:
        outputs = len(scene.graph.nodes[function.nodes[0]].receives)
    names = ["grad_output"] if outputs < 2 else [f"grad_{i}" for i in range(1, outputs + 1)]
    many = f"{outputs} outputs" if outputs != 1 else "one output"
    summary = f"{function.name}.backward does not take one gradient for each output of forward" + (
        f", which has {many}." if outputs else "."
    )
    return Diagnosis(
        slug=SLUG,
        summary=summary,
        explanation="backward is called with ctx and one gradient for each output that forward "
        "returned; a gradient that nobody asked for is a tensor of zeros.",
        evidence=(
            Evidence(scene.message, function.backward),
            *(
                Evidence(f"{function.name}.backward: {line.text}", line.source)
                for line in returns_of(function)
            ),
        ),
        hints=(Hint("Let it take all of them.", f"def backward(ctx, {', '.join(names)}):"),),
        source=function.backward,
    )


def no_vmap(scene: Scene, match: re.Match[str]) -> Diagnosis:
    """Used under vmap, without a rule for batches."""
    name = match["class"]
    function = next((f for f in scene.functions if f.name.endswith(name)), None)
    return Diagnosis(
        slug=SLUG,
        summary=f"{name} was called under torch.vmap, and does not say how it works on a batch.",
        explanation="torch.vmap runs a function once for a whole batch. How the forward and the "
        "backward of a custom Function do that must be said; it can be derived if both are made "
        "of PyTorch's operations only.",
        evidence=_forward(function),
        hints=(
            Hint("Let it be derived.", "generate_vmap_rule = True  # in the class"),
            Hint(
                "Or write it.",
                "@staticmethod\ndef vmap(info, in_dims, *inputs):\n    return output, out_dims",
            ),
        ),
        source=None if function is None else function.forward,
    )


def saved_no_tensor(scene: Scene, _: re.Match[str]) -> Diagnosis:
    """Something else than a tensor was given to save_for_backward.

    PyTorch looks at what was given only when forward is over, so the traceback ends at `apply`.
    """
    function = next(reversed(scene.functions), None)
    who = "The forward of a custom Function" if function is None else f"{function.name}.forward"
    if function is not None and function.has_setup_context:
        who = f"{function.name}.setup_context"
    found = re.search(r"argument (\d+) is of type (\S+)", scene.message)
    what = "something else"
    if found is not None:
        what = f"{with_article(found[2])} as argument number {int(found[1]) + 1}"
    return Diagnosis(
        slug=SLUG,
        summary=f"{who} gave ctx.save_for_backward() {what}, and it takes only tensors.",
        explanation="It watches the tensors that it keeps: whether they are written in place, and "
        "when they can be freed. Anything else is kept as an attribute of ctx.",
        evidence=_forward(function),
        hints=(Hint("Keep it as an attribute, and read it there in backward.", "ctx.k = k"),),
        source=None if function is None else function.forward,
    )


def _forward(function: FunctionFacts | None) -> tuple[Evidence, ...]:
    if function is None or function.forward is None:
        return ()
    ctx = () if function.has_setup_context else ("ctx",)
    arguments = ", ".join((*ctx, *function.inputs))
    return (Evidence(f"{function.name}.forward({arguments}) is defined here", function.forward),)


def _transform(scene: Scene) -> str:
    """`grad` or `vmap`, whichever the traceback leads through innermost."""
    if scene.transforms:
        return scene.transforms[-1].rpartition(".")[2]
    for frame in reversed(scene.frames):
        name = frame.source.function.partition(".")[0]
        if frame.owner == "torch" and name in ("grad", "vmap", "vjp", "jvp", "jacrev", "hessian"):
            return name
    return ""
