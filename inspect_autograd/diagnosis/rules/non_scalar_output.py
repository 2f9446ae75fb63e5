"""A gradient was to be implied for an output that is more (or less) than one number."""

from __future__ import annotations

from ..failing_call import find_failing_call, is_refusal, named
from ..numbers_in_words import count_of, listed, with_meta
from ..output_kinds import Leaf, OutputKind, find_leaves, find_output_kind, reduced_dims
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..weightings import values_in_numbers
from .non_scalar_hints import find_hints
from .non_scalar_transform import diagnose_transform

__all__ = ["NON_SCALAR_OUTPUT"]

SLUG = "non-scalar-output"


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not is_refusal(scene, "RuntimeError"):
        return None
    if says(scene, r"to return a scalar tensor, got tensor with"):
        return diagnose_transform(scene)
    if not says(scene, r"grad can be implicitly created only for scalar outputs"):
        return None
    call, output = find_failing_call(scene), scene.output
    if output is None:
        return Diagnosis(
            SLUG,
            "The output holds more than one number, so PyTorch needs to be told where to start.",
            _WHY_SHORT,
            hints=(Hint("Reduce it to one number first.", "loss.mean().backward()"),),
            certainty="likely",
        )
    name = named(output, call.output_text(None if scene.call is None else scene.call.failing))
    kind, leaves = find_output_kind(scene, output), find_leaves(scene)
    return Diagnosis(
        slug=SLUG,
        summary=_summary(scene, name, output),
        explanation=_explanation(name, output, leaves),
        evidence=tuple(_evidence(scene, name, output, kind, leaves)),
        hints=tuple(find_hints(scene, call, name, kind)),
        source=output.source,
    )


_WHY_SHORT = (
    "A gradient says how one number changes when others do. For several numbers there is one "
    "gradient each, and PyTorch does not guess how to weigh them."
)


def _summary(scene: Scene, name: str, output: TensorFacts) -> str:
    which = ""
    if scene.call is not None and len(scene.call.outputs) > 1 and scene.call.failing is not None:
        which = f", output {scene.call.failing} of {len(scene.call.outputs)},"
    function = "backward()" if scene.call is None or scene.call.call == "backward" else "grad()"
    holds = count_of(output.meta.numel, "number")
    return (
        f"{with_meta(name, output)}{which} holds {holds}, but {function} without a gradient "
        "can start from exactly one number only."
    )


def _explanation(name: str, output: TensorFacts, leaves: list[Leaf]) -> str:
    m = output.meta.numel
    if m == 0:
        return (
            f"{name} is empty: there is no number whose gradient could be asked for. This is the "
            "same refusal as for several numbers."
        )
    n = sum(leaf.meta.numel or 0 for leaf in leaves)
    size = ""
    if m and n:
        whose = f"of {leaves[0].name}" if len(leaves) == 1 and leaves[0].name else "behind it"
        size = (
            f" Together they are the Jacobian J, {m} × {n}: a row for each number of {name}, a "
            f"column for each number {whose}."
        )
    return (
        f"A gradient says how one number changes when others do, and {name} has "
        f"{count_of(m, 'number')}, so there are as many gradients.{size}\n\n"
        "One backward pass computes one weighted sum of the rows, vᵀJ. From a single number the "
        "weight is 1; for several, PyTorch does not guess v. The shape does not matter: f32[1] "
        "and f32[1, 1] may be started from too."
    )


def _evidence(
    scene: Scene, name: str, output: TensorFacts, kind: OutputKind, leaves: list[Leaf]
) -> list[Evidence]:
    found = []
    special = _telling(kind, output, scene)
    if special:
        found.append(Evidence(special, None if kind.node is None else kind.node.source,
                              None if kind.node is None else kind.node.id))  # fmt: skip
    if output.grad_fn is not None:
        at = "" if output.source is None else f" at {output.source.short}"
        found.append(
            Evidence(
                f"{name} was made by {output.grad_fn}{at}, which is the node that would have "
                f"received the gradient, {output.meta}",
                output.source,
                output.node,
            )
        )
    if output.meta.dtype.startswith("complex"):
        found.append(Evidence(f"{name} is complex: its sum alone would be refused again"))
    values = values_in_numbers(scene)
    if values:
        found.append(Evidence(f"its values are {values}"))
    if leaves:
        names = [f"{leaf.name or 'a leaf'} ({leaf.meta})" for leaf in leaves]
        found.append(Evidence(f"its graph leads to {listed(names)}"))
    if scene.call is not None and len(scene.call.outputs) > 1:
        shapes = ", ".join(str(facts.meta) for facts in scene.call.outputs)
        found.append(Evidence(f"the outputs are {shapes}"))
    return found


def _telling(kind: OutputKind, output: TensorFacts, scene: Scene) -> str:
    node = "" if kind.node is None else kind.node.name
    if kind.kind == "unreduced":
        return f'{node} was computed with reduction="none": one loss per sample, none over all'
    if kind.kind == "gathered":
        return f"{node} put together one number from each device of a DataParallel"
    if kind.kind == "joined":
        return f"{node} put {output.meta.numel} single numbers side by side"
    if kind.kind == "dim" and kind.node is not None:
        dims = ", ".join(map(str, reduced_dims(kind.node)))
        return f"{node} reduced dimension {dims} only, and left {output.meta}"
    if kind.kind == "prediction":
        return f"{node} makes the result of a layer: this looks like a prediction, not a loss"
    if kind.kind == "per sample" and output.meta.shape:
        return f"{output.meta.shape[0]} is also the first dimension of {_batch(scene, output)}"
    return ""


def _batch(scene: Scene, output: TensorFacts) -> str:
    frame, shape = scene.user_frame, output.meta.shape
    if frame is None or not shape:
        return "the inputs"
    same = [
        with_meta(name, facts)
        for name, facts in frame.tensors.items()
        if facts.meta.shape and len(facts.meta.shape) > 1 and facts.meta.shape[0] == shape[0]
    ]
    return f"{listed(same)}: one value per sample of a batch"


NON_SCALAR_OUTPUT = Rule(SLUG, "Backward from an output that is no single number", _diagnose)
