"""A tensor that was made in inference mode was used for something that autograd must know of."""

from __future__ import annotations

from ..failing_call import find_failing_call
from ..failing_write import find_failing_write
from ..lost_graph import find_cause
from ..origins import find_origin
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts

__all__ = ["INFERENCE_TENSOR"]

SLUG = "inference-tensor"
_WRITE = r"in[- ]?place update to inference tensor"
_SET = r"setting requires_grad=true on inference tensor"
_SAVE = r"inference tensors? cannot be saved for backward"
_OTHER = r"inference tensors? (?:do|does) not track version|for inference tensor"
_NO_GRAPH = r"does not require grad and does not have a grad_fn"
_WHY = (
    "Inside torch.inference_mode() tensors are made without what autograd needs to know of them: "
    "no graph is recorded, and writes to them are not counted. That is faster, but such a tensor "
    "can never take part in a graph, inside the block or after it."
)
_NO_GRAD = Hint(
    "If the results are used for training later, use no_grad instead: its tensors are ordinary "
    "ones.",
    "with torch.no_grad():\n    ...",
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if says(scene, _NO_GRAPH):
        output = scene.output
        return _differentiated(scene, output) if output and output.is_inference else None
    message = says(scene, _WRITE, _SET, _SAVE, _OTHER)
    if message is None:
        return None
    found = find_failing_write(scene)
    tensor = _inference_tensor(scene, found.tensor)
    name = tensor.names[0] if tensor is not None and tensor.names else "x"
    what = f"{name} ({tensor.meta})" if tensor is not None else "A tensor"
    copy = Hint(
        "Make an ordinary copy of it, outside of the block.",
        f"{name} = {name}.clone()",
    )
    text = message[0].lower()
    if "saved" in text:
        reason = "a node would have to keep it for the backward pass"
    elif "setting" in text:
        reason = "it was to require grad"
    else:
        reason = f"`{found.text}` would write it in place outside of the block"
    origin = find_origin(scene, tensor)
    made = () if origin is None else (Evidence(f"it came from `{origin.text}`", origin.source),)
    return Diagnosis(
        SLUG,
        f"{what} was made in inference mode, and {reason}.",
        _WHY,
        (*_evidence(tensor), *made),
        (copy, _NO_GRAD),
        "certain",
        found.source if origin is None else origin.source,
    )


def _differentiated(scene: Scene, output: TensorFacts) -> Diagnosis:
    made = find_cause(scene, output, find_failing_call(scene))
    return Diagnosis(
        SLUG,
        f"{output.name} ({output.meta}) was computed in inference mode, so it has no graph to "
        "differentiate.",
        _WHY,
        _evidence(output),
        (
            Hint(f"Compute {output.name} outside of torch.inference_mode()."),
            Hint(
                "Where a function is decorated with @torch.inference_mode(), or a caller has "
                "entered it, turn it off for the part that trains.",
                "with torch.inference_mode(False):\n    ...",
            ),
        ),
        "certain",
        made.source or scene.line,
    )


def _inference_tensor(scene: Scene, written: TensorFacts | None) -> TensorFacts | None:
    candidates = [*scene.involved, *([written] if written is not None else [])]
    if scene.user_frame is not None:
        candidates += scene.user_frame.tensors.values()
    return next((tensor for tensor in candidates if tensor.is_inference), None)


def _evidence(tensor: TensorFacts | None) -> tuple[Evidence, ...]:
    if tensor is None:
        return ()
    return (Evidence(f"{tensor.name}.is_inference() is True", tensor.source),)


INFERENCE_TENSOR = Rule(SLUG, "A tensor made in inference mode", _diagnose)
