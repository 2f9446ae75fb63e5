"""A view was to be written in place, and autograd cannot rewrite the graph behind it."""

from __future__ import annotations

import ast
import re

from ..failing_call import as_code
from ..failing_write import FailingWrite, find_failing_write
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..statements import read_function
from ..writes_in_text import dotted

__all__ = ["VIEW_MODIFIED_IN_PLACE"]

SLUG = "view-modified-in-place"
_MANY = r"function that returns multiple views|one of the outputs of a function that returns mult"
_MODE = r"view was created in (no_grad|inference)( mode)?"
_CUSTOM = r"view was created inside a custom function"
_DETACH = r"can'?t detach views in[- ]?place"
_OUTPUT = r"output (\d+) of (\w+?)(?:Backward\d*)? is a view"
_WHY = (
    "A view has no memory of its own: writing to it changes the tensor that it was taken from, and "
    "PyTorch must then rewrite the graph of that tensor."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    found = find_failing_write(scene)
    if says(scene, _DETACH):
        return _detach(scene, found)
    mode = says(scene, _MODE)
    if mode is not None:
        return _made_without_graph(scene, found, mode[1].lower())
    output = says(scene, _OUTPUT)
    if output is None:
        return None
    if says(scene, _CUSTOM):
        return _custom(scene, found, output)
    return _many(scene, found, output) if says(scene, _MANY) else None


def _many(scene: Scene, found: FailingWrite, output: re.Match[str]) -> Diagnosis:
    function = _operation(output)
    index, target = output[1], _target(found, scene)
    base = _base(scene, found.name) or "base"
    is_elsewhere = says(scene, "its base or another view of its base has been modified") is not None
    if is_elsewhere:
        found = _earlier_write(scene, base) or found
        summary = (
            f"Output {index} of {function}() can no longer be used: it is a view of a tensor that "
            "was written in place since, itself or through another of its views."
        )
    else:
        summary = (
            f"`{_text(found)}` would write to {target}, output {index} of {function}(), which "
            "returns several views of one tensor."
        )
    more = (
        f"{function}() made all its outputs with one node of the graph. That node cannot be "
        "rewritten for one of them alone, so PyTorch forbids writing to them."
    )
    hints = [
        Hint("Compute a new tensor instead of writing.", _new(found)),
        Hint(
            "Or take the part by indexing: that makes a node of its own, which may be written.",
            found.text.replace(target, f"{base}[{index}]")
            if function == "unbind" and found.text
            else f"part = {base}[start:end]",
        ),
        Hint("Or write to a copy.", f"part = {as_code(target)}.clone()"),
    ]
    return _diagnosis(found, summary, more, _made_by(scene, found), hints)


def _made_without_graph(scene: Scene, found: FailingWrite, mode: str) -> Diagnosis:
    block = "torch.no_grad()" if mode == "no_grad" else "torch.inference_mode()"
    target = _target(found, scene)
    summary = (
        f"{target} is a view that was made inside {block}, and `{_text(found)}` would write to it "
        "outside, where autograd records."
    )
    more = (
        "No graph was recorded for making the view, but the write would have to be recorded for "
        "the tensor behind it. PyTorch cannot tell which of the two is meant."
    )
    hints = [
        Hint(
            "If gradients are to flow through the write, make the view outside of the block too.",
        ),
        Hint("If not, write inside the block.", f"with {block}:\n    {found.text or '...'}"),
        Hint("Or write to a copy.", f"{found.name} = {found.name}.clone()"),
    ]
    return _diagnosis(found, summary, more, _made_by(scene, found), hints)


def _custom(scene: Scene, found: FailingWrite, output: re.Match[str]) -> Diagnosis:
    name = output[2]
    function = next((f for f in scene.functions if f.name.split(".")[-1] == name), None)
    target = _target(found, scene)
    summary = (
        f"`{_text(found)}` would write to {target}, which the custom Function {name} returned as a "
        "view of its input."
    )
    more = (
        f"Rewriting the graph would leave out the backward of {name}, and give wrong gradients. "
        "(An input that is returned as it is counts as a view of itself.)"
    )
    line = None if function is None else function.forward
    evidence = [Evidence(f"forward of {name} is defined here", line)] if line is not None else []
    hints = [
        Hint("Write to a copy of its output.", _cloned(found)),
        Hint("Or compute a new tensor instead of writing.", _new(found)),
        Hint(f"Or let forward of {name} return a copy.", "return result.clone()"),
    ]
    return _diagnosis(found, summary, more, [*evidence, *_made_by(scene, found)], hints)


def _detach(scene: Scene, found: FailingWrite) -> Diagnosis:
    target = _target(found, scene)
    name = found.name
    text = found.text.replace("detach_()", "detach()") or f"{name}.detach()"
    summary = f"`{_text(found)}` would cut {target} off its graph, but it is a view."
    hints = [
        Hint(
            "Take a detached tensor instead; it shares the memory, and nothing is copied.",
            text if "=" in text else f"{name if target == name else 'part'} = {text}",
        ),
        Hint(
            "If this came from zero_grad() under DistributedDataParallel with "
            "gradient_as_bucket_view=True, drop the gradients instead.",
            "optimizer.zero_grad(set_to_none=True)",
        ),
    ]
    more = "detach_() would leave the other views and the tensor behind them with the old graph."
    return _diagnosis(found, summary, more, _made_by(scene, found), hints)


def _diagnosis(
    found: FailingWrite, summary: str, more: str, evidence: list[Evidence], hints: list[Hint]
) -> Diagnosis:
    why = f"{_WHY}\n\n{more}"
    return Diagnosis(SLUG, summary, why, tuple(evidence), tuple(hints), "certain", found.source)


def _operation(output: re.Match[str]) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", output[2]).lower()


def _base(scene: Scene, name: str) -> str:
    """The variable that a view, or a tuple of views, was taken from, as the text tells."""
    frame = scene.user_frame
    function = None if frame is None else read_function(frame)
    for statement in reversed(() if function is None else function.statements):
        for loop in statement.loops:
            if not isinstance(loop, ast.While) and dotted(loop.target) == name:
                return dotted(loop.iter)
        if name in statement.assigned:
            return next(
                iter(sorted(n for n in statement.read if "." not in n and n != "torch")), ""
            )
    return ""


def _earlier_write(scene: Scene, base: str) -> FailingWrite | None:
    """The write to the tensor that the views were taken from."""
    frame = scene.user_frame
    function = None if frame is None else read_function(frame)
    failing = None if function is None or frame is None else function.at(frame)
    if function is None or failing is None:
        return None
    for statement in reversed(function.before(failing)):
        for write in statement.writes:
            if write.root == base:
                source = function.source(statement)
                return FailingWrite(source, statement.text, write, None)
    return None


def _text(found: FailingWrite) -> str:
    return found.text or "the failing line"


def _target(found: FailingWrite, scene: Scene) -> str:
    if found.write is not None and found.write.target:
        return found.write.target
    return scene.involved[0].name if scene.involved else "the view"


def _new(found: FailingWrite) -> str:
    write = found.write
    if write is None:
        return ""
    if write.how.endswith("_()") and write.target != write.root:
        return f"part = {write.target}.{write.how.removesuffix('_()')}({write.value})"
    return write.out_of_place


def _cloned(found: FailingWrite) -> str:
    return f"{found.name} = {found.name}.clone()\n{found.text}".strip()


def _made_by(scene: Scene, found: FailingWrite) -> list[Evidence]:
    tensors: list[TensorFacts] = [t for t in (found.tensor, *scene.involved) if t is not None]
    for tensor in tensors:
        if tensor.is_view or tensor.grad_fn:
            by = f", made by {tensor.grad_fn}" if tensor.grad_fn else ", without a grad_fn"
            what = "is a view" if tensor.is_view else "is a tensor"
            return [Evidence(f"{tensor.name} ({tensor.meta}) {what}{by}", tensor.source)]
    return []


VIEW_MODIFIED_IN_PLACE = Rule(SLUG, "A view written in place", _diagnose)
