"""A checkpoint did not compute the same thing again, or is used in a way that it does not allow."""

from __future__ import annotations

import re

from ..checkpoint_facts import CheckpointFacts, Suspect, find_suspects
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene
from ..subjects import code_of

__all__ = ["CHECKPOINT"]

_TWICE = (
    "A checkpoint keeps no intermediate results. It runs the function a second time during "
    "backward, and both runs must save the same tensors in the same order."
)
_META = re.compile(
    r"tensor at position (\d+):\s*saved metadata: (\{.*?\}\s)\s*"
    r"recomputed metadata: (\{.*?\}\s)",
    re.DOTALL,
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if says(scene, r"different number of tensors was saved during the original forward and recomp"):
        saved = _number(scene, r"saved during forward: (\d+)")
        again = _number(scene, r"saved during recomputation: (\d+)")
        many = "tensor" if again == "1" else "tensors"
        return _mismatch(scene, f"saved {again} {many} instead of {saved}")
    if says(scene, r"trying to save more tensors during recomputation than during the original"):
        return _mismatch(scene, "saved more tensors than the first time")
    if says(scene, r"recomputed values for the following tensors have different metadata"):
        return _mismatch(scene, _metadata(scene))
    if says(scene, r"unpack is being triggered for a tensor that was already unpacked once"):
        return _unpacked_twice(scene)
    if says(scene, r"use_reentrant parameter should be passed explicitly"):
        return _no_choice(scene)
    if says(
        scene,
        r"checkpoint is incompatible with \.grad\(\)",
        r"checkpointing is not compatible with \.grad\(\)",
    ):
        return _partial_pass(scene)
    if says(
        scene,
        r"none of output has requires_grad=True, this checkpoint\(\) is not necessary",
        r"^none of the inputs have requires_grad=True\. Gradients will be None",
    ):
        return _no_input(scene)
    return None


def _mismatch(scene: Scene, how: str) -> Diagnosis:
    facts = scene.numbers.get("checkpoint")
    facts = facts if isinstance(facts, CheckpointFacts) else None
    suspects = () if facts is None else find_suspects(facts)
    name = _short(facts.functions[0].name) if facts is not None and facts.functions else ""
    what = f"{name} ran again during backward and" if name else "The second run of a checkpoint"
    summary = f"{what} {how}."
    if suspects and suspects[0].kind != "mode":
        summary = f"{summary[:-1]}: {suspects[0].text}."
    evidence = [Evidence(f"{_short(s.source.function)}: {s.text}", s.source) for s in suspects[:5]]
    if facts is not None:
        evidence += [
            Evidence(f"{_short(b.name)} was checkpointed", b.source) for b in facts.functions[:3]
        ]
    return Diagnosis(
        slug="checkpoint",
        summary=summary,
        explanation=_TWICE,
        evidence=tuple(evidence),
        hints=_mismatch_hints(suspects),
        certainty="likely" if suspects else "possible",
        source=suspects[0].source if suspects else None,
    )


def _short(name: str) -> str:
    """The name of a function without that of the function around it."""
    return name.rpartition("<locals>.")[2]


def _mismatch_hints(suspects: tuple[Suspect, ...]) -> tuple[Hint, ...]:
    state = Hint(
        "Change nothing in the function that outlives the call (counters, caches, lists); decide "
        "outside, and hand the decision in.",
        "checkpoint(block, x, is_first, use_reentrant=False)",
    )
    random = Hint(
        "Draw random numbers with torch, whose state is restored for the second run, and not with "
        "random or NumPy; or draw them outside and hand them in.",
        "noise = torch.rand_like(x)\ncheckpoint(block, x, noise, use_reentrant=False)",
    )
    mode = Hint(
        "Change nothing between forward and backward that the function depends on: train() and "
        "eval(), autocast, global flags."
    )
    find = Hint(
        "To see which operation differs:",
        "with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):\n    ...",
    )
    kinds = {suspect.kind for suspect in suspects}
    hints = [state, random, mode]
    if "state" not in kinds and "random" in kinds:
        hints = [random, state, mode]
    elif kinds == {"mode"}:
        hints = [mode, state, random]
    return (*hints, find)


def _metadata(scene: Scene) -> str:
    """What differs, of the first tensor that does."""
    found = _META.search(scene.message)
    if found is None:
        return "gave tensors of another shape, dtype or device"
    changes = []
    for key, pattern in (
        ("shape", r"'shape': (?:torch\.Size\()?(\[[^\]]*\])"),
        ("dtype", r"'dtype': torch\.(\w+)"),
        ("device", r"'device': device\(type='(\w+)'"),
    ):
        before, after = re.search(pattern, found[2]), re.search(pattern, found[3])
        if before is not None and after is not None and before[1] != after[1]:
            changes.append(f"{key} {after[1]} instead of {before[1]}")
    return f"gave a tensor of {' and '.join(changes) or 'another kind'}"


def _number(scene: Scene, pattern: str) -> str:
    found = re.search(pattern, scene.message)
    return "another number of" if found is None else found[1]


def _unpacked_twice(scene: Scene) -> Diagnosis:
    return _report(
        scene,
        "A tensor that a checkpoint had computed again was asked for twice.",
        "What was recomputed is given out once and then freed. A custom Function that reads "
        "ctx.saved_tensors twice in its backward asks for it twice.",
        Hint("Read ctx.saved_tensors once, into variables.", "x, weight = ctx.saved_tensors"),
        certain=False,
    )


def _no_choice(scene: Scene) -> Diagnosis:
    call = _call(scene)
    return _report(
        scene,
        "checkpoint() was called without use_reentrant, so it uses the old, reentrant way.",
        "There are two implementations. The reentrant one needs an input that requires a gradient, "
        "and works neither with torch.autograd.grad nor with backward(inputs=...); the other one "
        "has none of these limits, and is what PyTorch recommends.",
        Hint("Choose the newer one.", f"{call}, use_reentrant=False)"),
        Hint("To keep what you have, say so.", f"{call}, use_reentrant=True)"),
    )


def _call(scene: Scene) -> str:
    """The call of checkpoint, as the user wrote it, without its last bracket."""
    code = code_of(scene.user_frame)
    found = re.search(r"((?:[\w.]+\.)?checkpoint\()(.*)\)$", code)
    if found is None or found[2].count("(") != found[2].count(")"):
        return "checkpoint(function, x"
    return f"{found[1]}{found[2]}"


def _partial_pass(scene: Scene) -> Diagnosis:
    return _report(
        scene,
        "A reentrant checkpoint was asked for the gradients of some inputs only.",
        "The reentrant checkpoint calls backward() once more inside, which writes into .grad of "
        "every parameter; it cannot be limited to some inputs.",
        Hint("Use the other implementation.", "checkpoint(function, x, use_reentrant=False)"),
        Hint("Or call backward() without inputs=, and read .grad.", "loss.backward()"),
    )


def _no_input(scene: Scene) -> Diagnosis:
    return _report(
        scene,
        "None of the inputs of a reentrant checkpoint requires a gradient, so nothing inside of it "
        "gets one.",
        "The reentrant checkpoint runs without a graph and decides by its inputs alone whether a "
        "gradient is needed. Parameters inside of it do not count.",
        Hint("Use the other implementation.", "checkpoint(function, x, use_reentrant=False)"),
        Hint("Or let the input require a gradient.", "x.requires_grad_()"),
    )


def _report(scene: Scene, summary: str, why: str, *hints: Hint, certain: bool = True) -> Diagnosis:
    frame = scene.user_frame
    return Diagnosis(
        slug="checkpoint",
        summary=summary,
        explanation=why,
        evidence=() if frame is None else (Evidence(f"in {code_of(frame)}", frame.source),),
        hints=hints,
        certainty="certain" if certain else "likely",
        source=scene.line,
    )


CHECKPOINT = Rule("checkpoint", "A checkpoint that cannot be repeated", _diagnose)
