"""Why a tensor carries no graph: the causes that evidence can tell apart."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Literal

from ..events.effects import Cut
from ..graph.creation import SourceLine
from .failing_call import FailingCall
from .failing_text import operands
from .origins import Origin, find_freeze, find_origin
from .records import Certainty
from .scene import Scene, TensorFacts
from .source_cuts import SourceCut, find_source_cut, names_behind, trained_models
from .writes_in_text import called_name

__all__ = ["Cause", "CauseKind", "find_cause"]

CauseKind = Literal[
    "detach", "data", "no_grad", "inference_mode", "integer", "Python value", "copy",
    "checkpoint", "custom Function", "call", "model", "frozen", "plain data", "spoiled", "unknown",
]  # fmt: skip

_REAL = ("float", "bfloat", "complex")
_FACTORIES = (
    "ones", "zeros", "full", "tensor", "rand", "randn", "arange", "linspace", "eye", "empty",
    "ones_like", "zeros_like", "full_like", "rand_like", "randn_like",
)  # fmt: skip
_OF_RECORDING: dict[str, CauseKind] = {
    "detach": "detach", "data": "data", "no_grad": "no_grad", "inference_mode": "inference_mode",
    "not differentiable": "integer", "Python value": "Python value", "copy": "copy",
    "checkpoint": "checkpoint", "custom Function": "custom Function",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a tensor carries no graph.

    Attributes:
        kind: How it lost it, or why it never had one.
        certainty: How sure that is.
        text: The expression that did it, as it was written, or the function; empty if unknown.
        source: The line that did it; None if unknown.
        operand: The variable with a graph that went in; empty if unknown.
        lost: Names of the parameters that a recording saw lose their path to the loss.
        names: For `frozen` and `model`, the models or parameters; for `plain data`, the tensors.
        origins: For `frozen` and `plain data`, the statements that these came from, as far as they
            are known. Where there is but one, its line is `source`.
    """

    kind: CauseKind
    certainty: Certainty
    text: str = ""
    source: SourceLine | None = None
    operand: str = ""
    lost: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()


def find_cause(scene: Scene, output: TensorFacts, call: FailingCall) -> Cause:
    """The most certain cause that the evidence of a scene gives."""
    recorded = _from_recording(scene)
    if recorded is not None:
        return recorded
    cut = _from_text(scene, call)
    if cut is not None and cut.is_proved:
        return _of_cut(cut, "certain")
    if output.why_no_graph is not None and output.why_no_graph.startswith("torch refuses"):
        return Cause("spoiled", "certain")
    if output.is_inference:
        return (
            _of_cut(cut, "certain", "inference_mode") if cut else Cause("inference_mode", "certain")
        )
    if not output.meta.dtype.startswith(_REAL):
        is_it = cut is not None and cut.kind == "integer"
        return _of_cut(cut, "certain") if is_it and cut else Cause("integer", "certain")
    if _warned_of_checkpoint(scene):
        return _of_cut(cut, "certain") if cut and cut.kind == "checkpoint" else Cause(
            "checkpoint", "certain"
        )  # fmt: skip
    if cut is not None:
        return _of_cut(cut, "likely")
    new = _new_data(scene, output, call)
    if new is not None:
        return Cause("plain data", "certain", source=new)
    return _without_cut(scene, output, call)


def _without_cut(scene: Scene, output: TensorFacts, call: FailingCall) -> Cause:
    """The cause where no cut is to be seen."""
    trained = _trained(scene, call)
    if trained:
        if any("set_grad_enabled(False)" in frame.body for frame in scene.frames):
            return Cause("no_grad", "likely", "torch.set_grad_enabled(False)", names=trained)
        return Cause("model", "likely", names=trained)
    frozen = _frozen(scene)
    if frozen:
        freeze = find_freeze(scene)
        return _of_origins("frozen", frozen, () if freeze is None else (freeze,))
    plain = _plain(scene, output)
    if plain is None:
        plain = _plain_behind(scene, output, call)
    if plain is not None:
        return _of_origins("plain data", plain, _first_data(scene, call, plain))
    return Cause("unknown", "possible")


def _of_origins(kind: CauseKind, names: tuple[str, ...], origins: tuple[Origin, ...]) -> Cause:
    source = origins[0].source if len(origins) == 1 else None
    return Cause(kind, "likely", source=source, names=names, origins=origins)


def _of_cut(cut: SourceCut, certainty: Certainty, kind: CauseKind | None = None) -> Cause:
    return Cause(kind or cut.kind, certainty, cut.text, cut.source, cut.operand)


def _from_recording(scene: Scene) -> Cause | None:
    """The cut that a recording saw: the last of those that cost something."""
    if scene.recording is None:
        return None
    cuts = [cut for cut in scene.recording.cuts if cut.parameters and cut.reaches_loss is not False]
    if not cuts:
        return None
    cut = min(cuts, key=_rank)
    kind = _OF_RECORDING.get(cut.reason, "call")
    return Cause(kind, "certain" if len(cuts) == 1 or cut.lost else "likely", cut.function,
                 cut.source, lost=cut.lost or cut.parameters)  # fmt: skip


def _rank(cut: Cut) -> tuple[bool, bool, int]:
    line = 0 if cut.source is None else cut.source.line
    return not cut.lost, cut.reaches_loss is not True, -line


def _from_text(scene: Scene, call: FailingCall) -> SourceCut | None:
    value = _output_of(scene, call)
    if call.text is None or value is None:
        return None
    return find_source_cut(call.text, value)


def _warned_of_checkpoint(scene: Scene) -> bool:
    return any("None of the inputs have requires_grad=True" in text for _, text in scene.warnings)


def _frozen(scene: Scene) -> tuple[str, ...]:
    """Models and parameters among the variables, none of which requires grad."""
    found: dict[str, bool] = {}
    for frame in scene.frames:
        for name, facts in frame.tensors.items():
            if facts.is_parameter:
                found[name] = facts.requires_grad
        for name, words in frame.others.items():
            match = re.search(r"parameters?, (\w+) of which require", words)
            if match is not None:
                found[name] = match[1] != "none"
    return () if any(found.values()) else tuple(found)


def _new_data(scene: Scene, output: TensorFacts, call: FailingCall) -> SourceLine | None:
    """The line where the output is made by a call that makes new data: `torch.ones(3)`."""
    value = _output_of(scene, call)
    if value is None or call.text is None:
        return None
    if isinstance(value, ast.Name):
        origin = find_origin(scene, output)
        is_new = origin is not None and _makes_data(origin.value)
        return origin.source if origin is not None and is_new else None
    return call.text.source(value) if _makes_data(value) else None


def _makes_data(value: ast.expr | None) -> bool:
    return isinstance(value, ast.Call) and called_name(value) in _FACTORIES


def _output_of(scene: Scene, call: FailingCall) -> ast.expr | None:
    """How the output without a graph is written in the failing call."""
    index = None if scene.call is None else scene.call.failing
    if index is None or index >= len(call.outputs):
        return None
    return call.outputs[index]


def _first_data(scene: Scene, call: FailingCall, plain: tuple[str, ...]) -> tuple[Origin, ...]:
    """What the output was computed from and that was not computed from another such tensor."""
    value, frame = _output_of(scene, call), scene.user_frame
    if call.text is None or value is None or frame is None:
        return ()
    behind = names_behind(call.text, value)
    found = [find_origin(scene, frame.tensors[name]) for name in plain if name in behind]
    return tuple(
        dict.fromkeys(
            origin
            for origin in found
            if origin is not None
            and origin.value is not None
            and not ({*plain} - {origin.name}) & {*operands(origin.value)}
        )
    )


def _trained(scene: Scene, call: FailingCall) -> tuple[str, ...]:
    """Models that the output was computed with, and that have parameters which require grad."""
    value = _output_of(scene, call)
    if call.text is None or value is None:
        return ()
    names = names_behind(call.text, value)
    return tuple(sorted(trained_models(call.text.frame) & names))


def _plain(scene: Scene, output: TensorFacts) -> tuple[str, ...] | None:
    """The real tensors of the failing function, if none of them requires grad; else None."""
    frame = scene.user_frame
    if frame is None or any(facts.requires_grad for facts in frame.tensors.values()):
        return None
    return tuple(
        name
        for name, facts in frame.tensors.items()
        if name not in output.names and facts.meta.dtype.startswith(_REAL)
    )


def _plain_behind(scene: Scene, output: TensorFacts, call: FailingCall) -> tuple[str, ...] | None:
    """The real tensors that the output was computed from, where a recording saw no graph end.

    Other variables may require grad; this output was made of new data alone.
    """
    value, frame = _output_of(scene, call), scene.user_frame
    if scene.recording is None or call.text is None or value is None or frame is None:
        return None
    behind = names_behind(call.text, value)
    facts = {name: facts for name, facts in frame.tensors.items() if name in behind}
    if any(one.requires_grad for one in facts.values()):
        return None
    names = tuple(
        name
        for name, one in facts.items()
        if name not in output.names and one.meta.dtype.startswith(_REAL)
    )
    origins = _first_data(scene, call, names)
    return names if origins and all(_makes_data(one.value) for one in origins) else None
