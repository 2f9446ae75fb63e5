"""A hook gave back something that cannot take the place of a gradient."""

from __future__ import annotations

import re

from ...graph.creation import SourceLine
from ..dtype_names import dtype_of
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import HookFacts, Scene
from ..statements import read_function
from ..subjects import with_article

__all__ = ["HOOK_RETURN"]

_HOOK = r"hook ['\"]?(?P<hook>[^'\"]+?)['\"]? "
_WHAT_A_HOOK_MAY_RETURN = (
    "What a hook returns takes the place of the gradient, so it must be a tensor of the same shape "
    "and dtype on the same device. A hook that only looks returns nothing (None)."
)
_REGISTER = {
    "register_hook",
    "register_prehook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
}
_CHANGED = {
    "size": ("shape", "Keep the shape: combine it with the gradient instead of reducing it."),
    "type": ("dtype", "Cast it back."),
    "device": ("device", "Bring it back to the gradient's device."),
}


def _diagnose(scene: Scene) -> Diagnosis | None:
    if found := says(
        scene, _HOOK + r"has changed the (?P<what>size|type|device) of value(?P<d>.*)"
    ):
        return _changed(scene, found)
    if found := says(
        scene, _HOOK + r"has returned an incorrect number of values \(got (\d+), but expected (\d+)"
    ):
        return _wrong_number(
            scene, _find_hook(scene, found["hook"]), found["hook"], (found[2], found[3])
        )
    if found := says(
        scene,
        r"Backward (?:pre )?hook returned an invalid number of .*got (\d+), but expected (\d+)",
    ):
        return _wrong_number(scene, _find_hook(scene, ""), "", (found[1], found[2]))
    if found := says(scene, r"^expected (?:Variable|Tensor|tuple), but hook returned '?(\w+)'?"):
        return _no_tensor(scene, found[1])
    if says(scene, r"^can't replace a None gradient with a non-None value"):
        return _for_none(scene)
    return None


def _changed(scene: Scene, found: re.Match[str]) -> Diagnosis:
    hook = _find_hook(scene, found["hook"])
    what, fix = _CHANGED[found["what"].lower()]
    types = re.search(r"was (\S+) got ([^)\s]+)", found["d"])
    kind = f"another {what}"
    if types is not None:
        kind = f"{what} {dtype_of(types[2])} instead of {dtype_of(types[1])}"
    code = {
        "shape": "return grad / grad.norm()",
        "dtype": "return result.to(grad.dtype)",
        "device": "return result.to(grad.device)",
    }[what]
    return Diagnosis(
        slug="hook-return",
        summary=f"{_named(hook, found['hook'])} returned a gradient of {kind}.",
        explanation=_WHAT_A_HOOK_MAY_RETURN,
        evidence=(*_evidence(hook), *_registrations(scene)),
        hints=(Hint(fix, code), _ONLY_LOOK),
        source=_source(scene, hook),
    )


def _no_tensor(scene: Scene, kind: str) -> Diagnosis:
    hook = _find_hook(scene, "")
    is_tuple = "tuple" in scene.message
    if is_tuple:
        fix = Hint("Return a tuple with one gradient for each input.", "return (grad,)")
    else:
        fix = Hint("Return a tensor.", "return grad * 0.5")
    wanted = "a tuple of gradients" if is_tuple else "a tensor"
    return Diagnosis(
        slug="hook-return",
        summary=f"{_named(hook, '')} returned {with_article(kind)} instead of {wanted}.",
        explanation=_WHAT_A_HOOK_MAY_RETURN,
        evidence=(*_evidence(hook), *_registrations(scene)),
        hints=(fix, _ONLY_LOOK),
        certainty="certain" if hook is not None else "likely",
        source=_source(scene, hook),
    )


def _wrong_number(
    scene: Scene, hook: HookFacts | None, name: str, counts: tuple[str, str]
) -> Diagnosis:
    got, expected = int(counts[0]), int(counts[1])
    values = "value" if got == 1 else "values"
    gradients = "gradient is" if expected == 1 else "gradients are"
    keep = ", ".join(f"grad_inputs[{i}]" for i in range(min(expected, 3)))
    keep += ", ..." if expected > 3 else "," if expected == 1 else ""
    return Diagnosis(
        slug="hook-return",
        summary=f"{_named(hook, name)} returned {got} {values}, but {expected} {gradients} to be "
        f"replaced.",
        explanation="What the hook of a node or of a module returns takes the place of all its "
        "gradients, one for each input, so it must be a tuple of the same length. None in a place "
        "is kept as no gradient; a hook that only looks returns nothing.",
        evidence=(*_evidence(hook), *_registrations(scene)),
        hints=(Hint("Return as many as came in.", f"return ({keep})"), _ONLY_LOOK),
        source=_source(scene, hook),
    )


def _for_none(scene: Scene) -> Diagnosis:
    hook = _find_hook(scene, "")
    return Diagnosis(
        slug="hook-return",
        summary=f"{_named(hook, '')} returned a gradient where there was none.",
        explanation="Where no gradient flows, the hook of a node receives None in that place, and "
        "must leave it.",
        evidence=(*_evidence(hook), *_registrations(scene)),
        hints=(
            Hint(
                "Leave None alone.",
                "return tuple(None if g is None else g * 0.5 for g in grad_inputs)",
            ),
        ),
        source=_source(scene, hook),
    )


_ONLY_LOOK = Hint("If the hook is only to look at the gradient, return nothing.", "return None")


def _find_hook(scene: Scene, name: str) -> HookFacts | None:
    """The hook that is meant: by its name, or the only one there is."""
    named = [h for h in scene.hooks if name and h.name.rpartition(".")[2] == name]
    found = named or ([] if name else list(scene.hooks))
    running = [hook for hook in found if hook.is_running]
    candidates = running or found
    return candidates[0] if len(candidates) == 1 else None


def _named(hook: HookFacts | None, name: str) -> str:
    name = name if hook is None else hook.name.rpartition(".")[2]
    on = f" on {hook.on}" if hook is not None and hook.on else ""
    if name in ("", "<unknown>"):
        return f"A hook{on}"
    return f"The hook{on}, a lambda," if name == "<lambda>" else f"The hook {name}{on}"


def _evidence(hook: HookFacts | None) -> tuple[Evidence, ...]:
    if hook is None or hook.source is None:
        return ()
    on = f", registered on {hook.on}" if hook.on else ""
    return (Evidence(f"{hook.name} is defined here{on}", hook.source),)


def _registrations(scene: Scene) -> tuple[Evidence, ...]:
    """Where the failing function registers hooks; PyTorch does not tell those of nodes."""
    frame = scene.user_frame
    text = None if frame is None else read_function(frame)
    if text is None:
        return ()
    return tuple(
        Evidence(f"a hook is registered by {statement.text}", text.source(statement))
        for statement in text.statements
        if statement.called & _REGISTER
    )[:3]


def _source(scene: Scene, hook: HookFacts | None) -> SourceLine | None:
    """Where the hook is defined, else the only place where one is registered."""
    if hook is not None and hook.source is not None:
        return hook.source
    found = _registrations(scene)
    return found[0].source if len(found) == 1 else None


HOOK_RETURN = Rule("hook-return", "A hook returned something unfit", _diagnose)
