"""Something that does not fit was assigned to `.grad` or `.data`."""

from __future__ import annotations

import re
from dataclasses import replace

from ..dtype_names import dtype_of
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene
from ..subjects import code_of, described, tensor_named, with_article

__all__ = ["GRAD_ASSIGNMENT"]

_WHY_GRAD = (
    "The gradient has one number for each element of the tensor, so PyTorch takes only a tensor of "
    "the same shape, dtype and device as .grad."
)
_WHY_DATA = (
    "Assigning to .data puts other memory behind a tensor that autograd already knows. What does "
    "not fit the tensor's gradient is refused."
)
_QUOTED = r"['\"]?(.+?)['\"]?"


def _diagnose(scene: Scene) -> Diagnosis | None:
    return _shape(scene) or _dtype(scene) or _device(scene) or _other_grad(scene) or _data(scene)


def _shape(scene: Scene) -> Diagnosis | None:
    found = says(
        scene,
        r"assign a gradient of size '?(\[.*?\])'? to a tensor of size '?(\[.*?\])'?",
        r"^assigned grad has data of a different size",
    )
    if found is None:
        return None
    target, value = _target(scene, "grad")
    if found.lastindex is None:
        summary = f"{target}.grad was given a tensor of another shape than {target} has."
    else:
        summary = f"{target} has shape {found[2]}, but its .grad was given shape {found[1]}."
    same = found.lastindex is not None and _numel(found[1]) == _numel(found[2])
    fix = Hint("Give it the same shape.", f"{target}.grad = {value}.reshape({target}.shape)")
    other = Hint(
        "A gradient for a part of the tensor is put into zeros.",
        f"{target}.grad = torch.zeros_like({target})\n{target}.grad[: len({value})] = {value}",
    )
    return _report(scene, summary, _WHY_GRAD, (fix,) if same else (other,))


def _dtype(scene: Scene) -> Diagnosis | None:
    found = says(
        scene,
        rf"assign a gradient with dtype {_QUOTED} to a tensor with (?:grad_)?dtype {_QUOTED}[. ]",
        r"assign a gradient to a tensor that has data of a different type",
        r"^assigned grad has data of a different type",
    )
    if found is None:
        return None
    target, value = _target(scene, "grad")
    if found.lastindex is None:
        summary = f"{target}.grad was given a tensor of another dtype than {target} has."
    else:
        summary = (
            f"{target} takes gradients of dtype {dtype_of(found[2])}, but its .grad was given "
            f"{dtype_of(found[1])}."
        )
    fix = Hint("Cast it.", f"{target}.grad = {value}.to({target}.dtype)")
    return _report(scene, summary, _WHY_GRAD, (fix,))


def _device(scene: Scene) -> Diagnosis | None:
    place = r"(?:with device type|located on device with index)"
    found = says(
        scene,
        rf"assign a gradient {place} {_QUOTED} to a tensor {place} {_QUOTED}\.",
        r"^assigned grad has data located on a different device",
    )
    if found is None:
        return None
    target, value = _target(scene, "grad")
    where = "" if found.lastindex is None else f" ({found[2]} and {found[1]})"
    summary = f"{target} and the tensor that its .grad was given are on different devices{where}."
    fix = Hint("Bring it there.", f"{target}.grad = {value}.to({target}.device)")
    return _report(scene, summary, _WHY_GRAD, (fix,))


def _other_grad(scene: Scene) -> Diagnosis | None:
    target, value = _target(scene, "grad")
    if says(scene, r"^can't assign (?:Variable|Tensor) as its own grad"):
        return _report(
            scene,
            f"{target} was assigned as its own gradient.",
            "The gradient is a tensor beside the tensor. If both were the same memory, zeroing the "
            "gradient would zero the tensor.",
            (Hint("Assign a copy.", f"{target}.grad = {target}.detach().clone()"),),
        )
    found = says(scene, r"^assigned grad expected to be a Tensor or None but got (?:.*type )?(\S+)")
    if found is None:
        return None
    return _report(
        scene,
        f"{target}.grad was given {with_article(found[1])}, and takes only a tensor or None.",
        _WHY_GRAD,
        (
            Hint("Make it a tensor.", f"{target}.grad = torch.full_like({target}, {value})"),
            Hint("To clear the gradient, assign None.", f"{target}.grad = None"),
        ),
    )


def _data(scene: Scene) -> Diagnosis | None:
    target, value = _target(scene, "data")
    if says(scene, r"data set to a tensor that requires gradients must be floating point"):
        meta = tensor_named(scene, target)
        summary = (
            f"{described(meta, target)} requires a gradient, so its .data cannot be whole numbers "
            "or truth values."
        )
        fix = Hint("Convert it.", f"{target}.data = {value}.to({target}.dtype)")
    elif says(scene, r"set_data\(tensor\).*incompatible tensor type"):
        summary = f"{target}.data was given a tensor of another kind (device or layout)."
        fix = Hint("Bring it to the same device.", f"{target}.data = {value}.to({target}.device)")
    elif found := says(scene, r"^Variable data has to be a tensor, but got (\S+)"):
        summary = f"{target}.data was given {with_article(found[1])}, and takes only a tensor."
        fix = Hint("Make it a tensor.", f"{target}.data = torch.full_like({target}, {value})")
    else:
        return None
    copy = Hint(
        "To change the values only, copy them into the tensor.",
        f"with torch.no_grad():\n    {target}.copy_({value})",
    )
    return _report(scene, summary, _WHY_DATA, (copy, fix))


def _target(scene: Scene, attribute: str) -> tuple[str, str]:
    """What the line assigns to, and what it assigns, as the user wrote it."""
    code = code_of(scene.user_frame)
    found = re.findall(rf"([\w.\[\]'\"]+)\.{attribute}\s*=(?!=)\s*([^;#]+)", code)
    if not found:
        return "the tensor", "value"
    target, value = found[-1]
    value = value.strip()
    return target, value if re.fullmatch(r"[\w.]+(\(.*\))?", value) else f"({value})"


def _numel(shape: str) -> int:
    count = 1
    for size in re.findall(r"\d+", shape):
        count *= int(size)
    return count


def _report(scene: Scene, summary: str, why: str, hints: tuple[Hint, ...]) -> Diagnosis:
    frame = scene.user_frame
    # Where the line cannot be read, the tensor has no name.
    hints = tuple(replace(hint, code=hint.code.replace("the tensor", "x")) for hint in hints)
    evidence = () if frame is None else (Evidence(f"assigned by {code_of(frame)}", frame.source),)
    return Diagnosis(
        slug="grad-assignment",
        summary=summary[0].upper() + summary[1:] if summary.startswith("the ") else summary,
        explanation=why,
        evidence=evidence,
        hints=hints,
        source=scene.line,
    )


GRAD_ASSIGNMENT = Rule("grad-assignment", "A gradient that does not fit its tensor", _diagnose)
