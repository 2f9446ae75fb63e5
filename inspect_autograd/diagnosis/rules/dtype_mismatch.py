"""An operation got tensors of different dtypes."""

from __future__ import annotations

from ..dtype_names import dtype_of
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..subjects import code_of, described

__all__ = ["DTYPE_MISMATCH"]

_TYPE = r"'?([\w:.<>]+?(?: int)?)'?"
_PATTERNS = (
    rf"to have the same dtype, but got: {_TYPE} != {_TYPE}$",
    rf"must have the same dtype, but got {_TYPE}(?:,| and) {_TYPE}(?:,|$)",
    rf"same dtype, but got query\.dtype: {_TYPE} key\.dtype: {_TYPE} ",
    (
        rf"have (?:the )?same dtype, but found (?:\w+ of type )?{_TYPE} and (?:\w+ of type )?{_TYPE}"
        r"(?: instead|$)"
    ),
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
    rf"^expected target dtype to be {_TYPE}(?: or Byte)?, but got {_TYPE}$",
)
_WITHOUT_NAMES = (
    r"^mixed dtype \(CPU\): all inputs must share same datatype",
    r"expected self\.dtype to be equal to src\.dtype",
)


def _diagnose(scene: Scene) -> Diagnosis | None:
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
        summary = summary[0].upper() + summary[1:]
    evidence = [Evidence(f"{described(f)} is of dtype {f.meta.dtype}") for f in ours]
    if frame is not None:
        evidence.append(Evidence(f"in {code_of(frame)}", frame.source))
    return Diagnosis(
        slug="dtype-mismatch",
        summary=summary,
        explanation="Sums and products of elements are computed in the larger of two dtypes, but "
        "matrix products, convolutions and most losses need one dtype. Often float64 comes from "
        "NumPy or from a list of Python numbers, and int64 from labels.",
        evidence=tuple(evidence),
        hints=_hints(ours, first, second),
        certainty="certain",
        source=None if frame is None else frame.source,
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


def _hints(ours: list[TensorFacts], first: str, second: str) -> tuple[Hint, ...]:
    hints = []
    if {first, second} & {"int64", "int32", "uint8"} and "float32" in (first, second):
        hints.append(
            Hint(
                "A target of class numbers must be int64, a target of values floating-point.",
                "target = target.long()   # classes\ntarget = target.float()  # values",
            )
        )
    else:
        odd = _odd_one(ours)
        name = "x" if odd is None or not odd.names else odd.name
        goal = _goal(first, second, ours, odd)
        hints.append(Hint("Convert one of them.", f"{name} = {name}.to(torch.{goal})"))
        if "float64" in (first, second):
            hints.append(
                Hint(
                    "Or convert where it comes in: NumPy computes in float64.",
                    f"{name} = torch.from_numpy(array).float()",
                )
            )
        if {"float16", "bfloat16"} & {first, second}:
            hints.append(
                Hint(
                    "Or let autocast choose the dtypes: model and inputs stay in float32.",
                    'with torch.autocast("cuda", dtype=torch.bfloat16):\n    ...',
                )
            )
    hints.append(
        Hint("Or bring the whole model to the dtype of its input.", "model = model.to(x.dtype)")
    )
    return tuple(hints)


def _odd_one(ours: list[TensorFacts]) -> TensorFacts | None:
    """The tensor to convert: one that is no parameter, of the dtype that is less common."""
    free = [f for f in ours if not f.is_parameter and f.names]
    free.sort(key=lambda f: (f.meta.dtype == "float32", f.requires_grad))
    return free[0] if free else None


def _goal(first: str, second: str, ours: list[TensorFacts], odd: TensorFacts | None) -> str:
    if odd is not None:
        others = [f.meta.dtype for f in ours if f.meta.dtype != odd.meta.dtype]
        others += [dtype for dtype in (first, second) if dtype != odd.meta.dtype]
        return next(iter(filter(None, others)), "float32")
    return "float32" if "float32" in (first, second) else second or "float32"


DTYPE_MISMATCH = Rule("dtype-mismatch", "Tensors of different dtypes", _diagnose)
