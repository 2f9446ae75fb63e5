"""A parameter of a DistributedDataParallel model got its gradient twice in one step."""

from __future__ import annotations

import re

from ..records import Diagnosis, Evidence, Hint
from ..replica_facts import ReplicaFacts
from ..rule import Rule, says
from ..scene import Scene
from ..subjects import code_of

__all__ = ["DDP_MARKED_TWICE"]

_WHY = (
    "DistributedDataParallel sends off the gradient of a parameter as soon as it is ready, once in "
    "every step. A reentrant checkpoint calls backward() a second time inside, so a parameter in "
    "two of them gets ready twice; and with find_unused_parameters=True the parameters inside look "
    "unused, and are counted as ready from the start."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not says(scene, r"^expected to mark a variable ready only once"):
        return None
    facts = scene.numbers.get("replica")
    facts = facts if isinstance(facts, ReplicaFacts) else None
    name = _parameter(scene, facts)
    inside = _is_reentrant(scene)
    finds = facts is not None and facts.finds_unused
    frame = scene.user_frame
    evidence = []
    if inside:
        evidence.append(
            Evidence(
                "the traceback leads through the backward of a checkpoint with use_reentrant=True"
            )
        )
    if finds:
        evidence.append(Evidence("the model was made with find_unused_parameters=True"))
    if frame is not None:
        evidence.append(Evidence(f"raised by {code_of(frame)}", frame.source))
    return Diagnosis(
        slug="ddp-marked-twice",
        summary=_summary(name, inside, finds),
        explanation=_WHY,
        evidence=tuple(evidence),
        hints=_hints(facts, finds, inside),
        certainty="certain" if inside else "likely",
        source=scene.line,
    )


def _summary(name: str, inside: bool, finds: bool) -> str:
    what = f"The gradient of {name}" if name else "The gradient of a parameter"
    if inside and finds:
        return f"{what} came from a reentrant checkpoint after DDP had counted it as unused."
    if inside:
        return f"{what} was ready twice in one step: it is used in two reentrant checkpoints."
    return f"{what} was ready twice in one step."


def _parameter(scene: Scene, facts: ReplicaFacts | None) -> str:
    """Its name: from the message, else by its index."""
    found = re.search(r"Parameter at index (\d+)(?: with name (\S+))?", scene.message)
    if found is None:
        return ""
    if found[2]:
        return found[2]
    index = int(found[1])
    if facts is not None and index < len(facts.parameters):
        return facts.parameters[index].name
    return f"the parameter with index {index}"


def _is_reentrant(scene: Scene) -> bool:
    return any(
        frame.owner == "torch" and frame.source.function == "CheckpointFunction.backward"
        for frame in scene.frames
    )


def _hints(facts: ReplicaFacts | None, finds: bool, inside: bool) -> tuple[Hint, ...]:
    model = "model" if facts is None or not facts.name else facts.name
    other = Hint(
        "Use the checkpoint that is not reentrant.", "checkpoint(block, x, use_reentrant=False)"
    )
    static = Hint(
        "If every step uses the same parameters in the same way, say so.",
        f"{model} = DistributedDataParallel(module, static_graph=True)",
    )
    off = Hint(
        "Leave find_unused_parameters out, if every parameter is used.",
        f"{model} = DistributedDataParallel(module)",
    )
    outside = Hint(
        "Use the parameters only inside of the model's forward, and call backward() once for each "
        "forward."
    )
    hints = [other, *([off] if finds else []), static]
    return tuple([*hints, outside] if inside else [outside, *hints])


DDP_MARKED_TWICE = Rule("ddp-marked-twice", "A gradient that is ready twice", _diagnose)
