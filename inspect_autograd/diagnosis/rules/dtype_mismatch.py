"""An operation got tensors of different dtypes."""

from __future__ import annotations

from ..dtype_names import dtype_of
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..subjects import code_of, described, sentence

__all__ = ["DTYPE_MISMATCH"]

_TYPE = r"'?([\w:.<>]+?(?: int)?)'?"
_OF = r"(?:\w+ of type )?"
_PATTERNS = (
    rf"to have the same dtype, but got: {_TYPE} != {_TYPE}$",
    rf"must have the same dtype, but got {_TYPE}(?:,| and) {_TYPE}(?:,|$)",
    rf"same dtype, but got query\.dtype: {_TYPE} key\.dtype: {_TYPE} ",
    rf"have (?:the )?same dtype, but found {_OF}{_TYPE} and {_OF}{_TYPE}(?: instead|$)",
    rf"^input type \({_TYPE}\) and (?:weight|bias) type \({_TYPE}\) should be the same",
    rf"^RNN input dtype \({_TYPE}\) does not match weight dtype \({_TYPE}\)",
    (
        rf"^input and \w+ tensors are not the same dtype, input tensor at \S+ dtype {_TYPE} and .*"
        rf"dtype {_TYPE}"
    ),
    rf"\(\): self \({_TYPE}\) and source \({_TYPE}\) must have the same scalar type",
    rf"source and destination dtypes match, got {_TYPE} for the destination and {_TYPE} for",
    rf"^expected (?:object of )?scalar type {_TYPE} but (?:found|got scalar type) {_TYPE}",
    rf"^found dtype {_TYPE} but expected {_TYPE}$",
)
_WITHOUT_NAMES = (
    r"^mixed dtype \(CPU\): all inputs must share same datatype",
    r"expected self\.dtype to be equal to src\.dtype",
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    found = says(scene, rf"^expected target dtype to be {_TYPE}(?: or Byte)?, but got {_TYPE}$")
    if found is not None:
        return _target(scene, dtype_of(found[1]), dtype_of(found[2]))
    found = says(scene, *_PATTERNS)
    if found is None:
        return _report(scene, "", "") if says(scene, *_WITHOUT_NAMES) else None
    first, second = dtype_of(found[1]), dtype_of(found[2])
    # One text serves for two devices too: `torch.FloatTensor` and `torch.cuda.FloatTensor`.
    return None if first == second else _report(scene, first, second)


def _report(scene: Scene, first: str, second: str) -> Diagnosis:
    frame = scene.user_frame
    ours = [f for f in scene.involved if f.meta.dtype in (first, second)]
    if not first:
        ours = list(scene.involved)
    dtypes = list(dict.fromkeys(f.meta.dtype for f in ours))
    if len(dtypes) > 1:
        shown = " and ".join(described(_first(ours, dtype)) for dtype in dtypes[:2])
        summary = f"{shown} have different dtypes, and {_operation(scene)} does not convert them."
    else:
        what = f" ({first} and {second})" if first else ""
        summary = f"{_operation(scene)} got tensors of different dtypes{what}."
        summary = sentence(summary)
    evidence = [Evidence(f"{described(f)} is of dtype {f.meta.dtype}") for f in ours]
    if frame is not None:
        evidence.append(Evidence(f"in {code_of(frame)}", frame.source))
    return Diagnosis(
        slug="dtype-mismatch",
        summary=summary,
        explanation="Sums and products of elements are computed in the larger of two dtypes, but "
        "matrix products, convolutions and most losses need one dtype. Often float64 comes from "
        "NumPy, and int64 from labels or from a list of whole numbers.",
        evidence=tuple(evidence),
        hints=_hints(ours, first, second, scene.operation),
        certainty="certain",
        source=scene.line,
    )


def _target(scene: Scene, needed: str, got: str) -> Diagnosis:
    """A loss of classes got a target that is not made of class numbers."""
    frame = scene.user_frame
    targets = [f for f in scene.involved if f.meta.dtype == got and not f.requires_grad]
    target = targets[-1] if targets else None
    name = target.names[0] if target is not None and target.names else "target"
    evidence = () if frame is None else (Evidence(f"in {code_of(frame)}", frame.source),)
    return Diagnosis(
        slug="dtype-mismatch",
        summary=f"{described(target, 'The target')} is of dtype {got}, and the loss needs class "
        f"numbers of dtype {needed}.",
        explanation="Losses such as cross_entropy count classes: the target is a whole number for "
        "each sample, the index of its class. A target of the shape of the input would be taken "
        "for probabilities.",
        evidence=evidence,
        hints=(
            Hint("If it holds class numbers:", f"{name} = {name}.long()"),
            Hint(
                "If it holds values, use a loss for values.",
                f"torch.nn.functional.mse_loss(prediction, {name})",
            ),
        ),
        source=scene.line,
    )


def _operation(scene: Scene) -> str:
    call = {
        "__matmul__": "a matrix product",
        "__rmatmul__": "a matrix product",
        "backward": "a function in the graph",
        "": "an operation",
        "__call__": "a module",
    }
    return call.get(scene.operation, f"{scene.operation}()")


def _first(facts: list[TensorFacts], dtype: str) -> TensorFacts:
    return next(f for f in facts if f.meta.dtype == dtype)


def _hints(ours: list[TensorFacts], first: str, second: str, operation: str) -> tuple[Hint, ...]:
    if {first, second} & {"int64", "int32", "uint8"} and "float32" in (first, second):
        whole = next(
            (f for f in ours if f.names and f.meta.dtype.startswith(("int", "uint"))), None
        )
        name = "target" if whole is None else whole.name
        return (
            Hint("A target of values must be floating-point.", f"{name} = {name}.float()"),
            Hint("A target of class numbers must be int64.", "target = target.long()"),
        )
    hints = _convert(ours, first, second, operation)
    if {"float16", "bfloat16"} & {first, second}:
        device = ours[0].meta.device.partition(":")[0] if ours else "cuda"
        hints.append(
            Hint(
                "Or let autocast choose the dtypes: model and inputs stay in float32.",
                f'with torch.autocast("{device}", dtype=torch.bfloat16):\n    ...',
            )
        )
    if all(dtype.startswith(("float", "bfloat")) for dtype in (first, second)):
        hints.append(
            Hint("Or bring the whole model to the dtype of its input.", "model = model.to(x.dtype)")
        )
    return tuple(hints)


def _convert(ours: list[TensorFacts], first: str, second: str, operation: str) -> list[Hint]:
    """Convert what is not float32: the other one is what the parameters are made of."""
    named = [f for f in ours if f.names and not f.is_parameter]
    odd = next((f for f in named if f.meta.dtype != "float32"), None)
    other = next(
        (f for f in ours if f.names and (odd is None or f.meta.dtype != odd.meta.dtype)), None
    )
    of_call = "matmul" not in operation
    if odd is None and other is not None and of_call and not other.is_parameter:
        # The other side is what a module is made of.
        odd, other = other, None
    if odd is None and other is not None and other.meta.dtype == "float32":
        hint = Hint(
            f"Convert the other one to the dtype of {other.name}.",
            f"other = other.to({other.name}.dtype)",
        )
        return [hint, *_at_the_source("other", first, second)]
    name = "x" if odd is None else odd.name
    if other is not None and other is not odd:
        goal = f"{other.name}.dtype"
    else:
        dtypes = [d for d in (first, second) if d and (odd is None or d != odd.meta.dtype)]
        goal = f"torch.{'float32' if 'float32' in dtypes or not dtypes else dtypes[0]}"
    return [
        Hint("Convert one of them.", f"{name} = {name}.to({goal})"),
        *_at_the_source(name, first, second),
    ]


def _at_the_source(name: str, first: str, second: str) -> list[Hint]:
    if "float64" not in (first, second):
        return []
    return [
        Hint(
            "Or convert where it comes in: NumPy computes in float64.",
            f"{name} = torch.from_numpy(array).float()",
        )
    ]


DTYPE_MISMATCH = Rule("dtype-mismatch", "Tensors of different dtypes", _diagnose)
