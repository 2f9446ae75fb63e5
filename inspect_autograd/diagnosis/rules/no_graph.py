"""The output of backward() or grad() has no graph behind it."""

from __future__ import annotations

from ..failing_call import find_failing_call, is_refusal, named
from ..lost_graph import Cause, find_cause
from ..lost_graph_words import hints_for, tell
from ..numbers_in_words import listed, with_meta
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from .no_graph_operator import diagnose_operator

__all__ = ["NO_GRAPH"]

SLUG = "no-graph"
WHY = (
    "backward() walks the graph of operations from the result back to the tensors that require "
    "grad. PyTorch notes an operation in that graph only if one of its inputs requires grad and "
    "recording is on; what has no graph has nothing to walk."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not is_refusal(scene, "RuntimeError", "NotImplementedError"):
        return None
    if says(scene, r"backward through \S+ but no autograd formula was registered"):
        return diagnose_operator(scene)
    found = says(scene, r"element (\d+) of (?:tensors|variables) does not require grad")
    if found is None:
        return None
    index = int(found[1])
    call, output = find_failing_call(scene), _output(scene, index)
    if output is None:
        return Diagnosis(
            SLUG,
            "What backward() started from has no graph: nothing that requires grad led to it.",
            WHY,
            hints=(_ASK,),
            certainty="possible",
        )
    if output.is_inference:
        return None  # The rule about inference tensors says more.
    name = named(output, call.output_text(index))
    cause = find_cause(scene, output, call)
    return Diagnosis(
        slug=SLUG,
        summary=f"{with_meta(name, output)}{_which(scene, index)} has no graph: "
        f"{tell(cause, output)}.",
        explanation=WHY,
        evidence=tuple(_evidence(scene, name, output, cause)),
        hints=(*_of_several(scene, index, name), *hints_for(cause, name), *_others(cause)),
        certainty=cause.certainty,
        source=cause.source,
    )


_ASK = Hint(
    "See which line cut the graph: record the forward pass, and ask again.",
    "with inspect_autograd.record(model) as recording:\n    train_one_step()",
)


def _output(scene: Scene, index: int) -> TensorFacts | None:
    if scene.call is None or index >= len(scene.call.outputs):
        return None
    return scene.call.outputs[index]


def _which(scene: Scene, index: int) -> str:
    count = 1 if scene.call is None else len(scene.call.outputs)
    return f", output {index} of {count}," if count > 1 else ""


def _evidence(scene: Scene, name: str, output: TensorFacts, cause: Cause) -> list[Evidence]:
    found = []
    if cause.source is not None and cause.text:
        found.append(Evidence(_place(scene, cause), cause.source))
    if cause.lost:
        found.append(Evidence(f"{listed(cause.lost)} lost the path to it, says the recording"))
    found.append(Evidence(_state(name, output)))
    if cause.kind == "frozen":
        found.append(Evidence(f"no parameter of {listed(cause.names)} requires grad"))
    for origin in cause.origins[:3]:
        how = "they were frozen" if cause.kind == "frozen" else f"{origin.name} was made"
        found.append(Evidence(f"{how} by `{origin.text}`", origin.source))
    alive = _alive(scene)
    if alive:
        found.append(Evidence(f"variables that do carry a graph: {listed(alive)}"))
    elif scene.user_frame is not None and scene.user_frame.tensors:
        found.append(Evidence(f"no tensor among the variables of {_where(scene)} requires grad"))
    return found


def _place(scene: Scene, cause: Cause) -> str:
    at = "" if cause.source is None else f" at {cause.source.short}"
    may = "" if cause.certainty == "certain" else "may "
    s = "s" if cause.certainty == "certain" else ""
    into = f", where {_described(scene, cause.operand)} goes in" if cause.operand else ""
    if cause.kind in ("no_grad", "inference_mode"):
        return f"`{cause.text}` is around the line{at}{into}"
    return f"the graph {may}end{s} in `{cause.text}`{at}{into}"


def _state(name: str, output: TensorFacts) -> str:
    inference = ", is_inference() True" if output.is_inference else ""
    return f"{name}: {output.meta}, requires_grad False, grad_fn None{inference}"


def _described(scene: Scene, name: str) -> str:
    for frame in reversed(scene.frames):
        facts = frame.tensors.get(name)
        if facts is not None:
            made = f", made by {facts.grad_fn}" if facts.grad_fn else ", requires grad"
            return f"{name} ({facts.meta}{made})"
    return name


def _alive(scene: Scene) -> list[str]:
    frame = scene.user_frame
    if frame is None:
        return []
    return [with_meta(n, facts) for n, facts in frame.tensors.items() if facts.requires_grad]


def _where(scene: Scene) -> str:
    frame = scene.user_frame
    function = "" if frame is None else frame.source.function
    return "the program" if function in ("", "<module>") else f"{function}()"


def _others(cause: Cause) -> tuple[Hint, ...]:
    return () if cause.certainty == "certain" else (_ASK,)


def _of_several(scene: Scene, index: int, name: str) -> tuple[Hint, ...]:
    if scene.call is None or len(scene.call.outputs) < 2:
        return ()
    return (
        Hint(
            f"If {name} is not to be trained, leave out output {index}; the other outputs that "
            "have a graph are fine.",
            "torch.autograd.backward([t for t in outputs if t.requires_grad])",
        ),
    )


NO_GRAPH = Rule(SLUG, "Backward from a tensor without a graph", _diagnose)
