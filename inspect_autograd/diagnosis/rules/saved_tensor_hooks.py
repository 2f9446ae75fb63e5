"""Hooks that pack and unpack saved tensors broke a rule, or are not allowed here."""

from __future__ import annotations

from itertools import islice

from ...graph.creation import SourceLine
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, is_users_own, says
from ..scene import FrameFacts, Scene

__all__ = ["SAVED_TENSOR_HOOKS"]

SLUG = "saved-tensor-hooks"
_RESULT = r"saved tensor unpack_hook expected to be a tensor but got result of type (\S+)"
_WRITES = r"saved tensor pack hook is modifying its input in[- ]?place"
_DISABLED = r"don'?t yet support saved tensor hooks|saved tensor hooks are disabled"
_LATE = (
    r"calling register_hooks on a saved tensor (with value (?:none|that)|whose|that|which)",
    r"saved tensor .*already has hooks|hooks? (?:has|have) already been (?:set|registered)",
)
_WHY = (
    "Saved tensor hooks stand between a node and what it keeps: the pack hook may turn a tensor "
    "into anything (a file name, a copy on the CPU), and the unpack hook must turn that back into "
    "the same tensor when the backward pass needs it."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    result = says(scene, _RESULT)
    if result is not None:
        return _wrong_result(scene, result[1].strip("."))
    if says(scene, _WRITES):
        return _written(scene)
    if says(scene, _DISABLED) or _is_refused_on_entering(scene):
        return _disabled(scene)
    return _register(scene) if says(scene, *_LATE) else None


def _wrong_result(scene: Scene, kind: str) -> Diagnosis:
    packed = []
    if scene.graph is not None:
        saved = scene.graph.node_table.saved
        ids = (id for id, found in saved.items() if any(s.state == "packed" for s in found))
        packed = [scene.graph.nodes[id] for id in islice(ids, 3)]
    evidence = [
        Evidence(f"{node.name} keeps a tensor that a hook packed", node.source, node.id)
        for node in packed
    ]
    hook = next((hook for hook in scene.hooks if hook.source is not None), None)
    if hook is not None:
        evidence.insert(0, Evidence(f"the unpack hook is {hook.name}", hook.source))
    output = scene.output
    name = "the backward pass" if output is None else f"the backward pass from {output.name}"
    return Diagnosis(
        SLUG,
        f"An unpack hook returned {_article(kind)} where {name} needed the tensor that was saved.",
        _WHY,
        tuple(evidence),
        (
            Hint(
                "Return a tensor of the same shape, type and values as the one that was packed.",
                "def pack(tensor):\n    return tensor.cpu()\n\n"
                "def unpack(packed):\n    return packed.to(device)\n\n"
                "with torch.autograd.graph.saved_tensors_hooks(pack, unpack):\n    ...",
            ),
            Hint(
                "To keep saved tensors on the CPU there is a ready-made one.",
                "with torch.autograd.graph.save_on_cpu():\n    ...",
            ),
        ),
        "certain",
        _hook_line(scene),
    )


def _written(scene: Scene) -> Diagnosis:
    return Diagnosis(
        SLUG,
        "A pack hook writes in place to the tensor that it was given.",
        _WHY + "\n\nThe tensor is not a copy: it is the one that the program goes on computing "
        "with, so writing to it would change the result of the forward pass.",
        (),
        (
            Hint(
                "Make a new tensor.",
                "def pack(tensor):\n    return tensor.half()  # not tensor.mul_(…)",
            ),
        ),
        "certain",
        _hook_line(scene),
    )


def _disabled(scene: Scene) -> Diagnosis:
    reason = " ".join(scene.message.split())
    frame = scene.user_frame
    return Diagnosis(
        SLUG,
        "Saved tensor hooks were to be set where they are forbidden"
        + (f": {reason.rstrip('.')}." if reason else "."),
        _WHY + "\n\nSome code cannot work with them and turns them off: torch.func transforms "
        "(grad, vjp, jacrev, hessian), and blocks of "
        "torch.autograd.graph.disable_saved_tensors_hooks, whose own text is the message.",
        () if frame is None else (Evidence(f"they were set by {frame.code}", frame.source),),
        (
            Hint("Leave the hooks (save_on_cpu, checkpointing) out of that part of the program."),
            Hint("Or leave the block that forbids them before setting them."),
            Hint(
                "Instead of torch.func, torch.autograd.grad works together with hooks.",
                "torch.autograd.grad(loss, inputs)",
            ),
        ),
        "certain",
        scene.line,
    )


def _register(scene: Scene) -> Diagnosis:
    return Diagnosis(
        SLUG,
        "register_hooks() was called on a saved tensor that cannot take hooks (any more).",
        _WHY + "\n\nA saved tensor takes one pair of hooks, and only while it holds a tensor: "
        "before the backward pass has freed it, and not where the operation saved none.",
        (),
        (
            Hint("Register them right after the forward pass, once."),
            Hint(
                "Or set them for all that a block saves.",
                "with torch.autograd.graph.saved_tensors_hooks(pack, unpack):\n    ...",
            ),
        ),
        "certain",
        scene.line,
    )


def _is_refused_on_entering(scene: Scene) -> bool:
    """Whether entering `saved_tensors_hooks` itself raised: the text is then up to the user."""
    if is_users_own(scene) or not scene.frames:
        return False
    last: FrameFacts = scene.frames[-1]
    name = last.source.function
    return last.owner == "torch" and name.endswith("saved_tensors_hooks.__enter__")


def _hook_line(scene: Scene) -> SourceLine | None:
    running = next((hook for hook in scene.hooks if hook.source is not None), None)
    return None if running is None else running.source


def _article(kind: str) -> str:
    return "nothing (None)" if kind == "NoneType" else f"a value of type {kind}"


SAVED_TENSOR_HOOKS = Rule(SLUG, "Hooks of saved tensors", _diagnose)
