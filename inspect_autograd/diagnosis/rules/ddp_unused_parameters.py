"""Some parameters of a DistributedDataParallel model got no gradient in the last step."""

from __future__ import annotations

import re

from ..numbers_in_words import listed
from ..records import Diagnosis, Evidence, Hint
from ..replica_facts import ReplicaFacts, ReplicaParameter
from ..rule import Rule, says
from ..scene import Scene
from ..subjects import code_of

__all__ = ["DDP_UNUSED_PARAMETERS"]

_WHY = (
    "DistributedDataParallel averages the gradients of all processes, and waits in every step for "
    "a gradient of each parameter. Some never came. It notices only at the next forward, so the "
    "step at fault is the one before the line that raised."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not says(scene, r"^expected to have finished reduction in the prior iteration"):
        return None
    facts = scene.numbers.get("replica")
    facts = facts if isinstance(facts, ReplicaFacts) else None
    indices, names = _indices(scene), _names(scene, facts)
    known = () if facts is None else tuple(p for p in facts.parameters if p.name in names)
    count = len(names) or len(indices)
    what = listed(names, 6) if names else f"those with index {listed([str(i) for i in indices])}"
    who = "The model" if facts is None or not facts.name else facts.name
    parameters = (
        "some parameters" if not count else "1 parameter" if count == 1 else (f"{count} parameters")
    )
    summary = f"In the last step, {parameters} of {_lower(who)} got no gradient: {what}."
    if not count:
        summary = f"In the last step, some parameters of {_lower(who)} got no gradient."
    frame = scene.user_frame
    evidence = [*_fates(known, facts)]
    if frame is not None:
        evidence.append(Evidence(f"noticed at the next forward, {code_of(frame)}", frame.source))
    return Diagnosis(
        slug="ddp-unused-parameters",
        summary=summary,
        explanation=_WHY,
        evidence=tuple(evidence),
        hints=_hints(scene, known, facts),
        certainty="certain",
    )


def _indices(scene: Scene) -> list[int]:
    found = re.search(r"did not receive grad for rank \d+:((?:\s\d+)+)", scene.message)
    return [] if found is None else [int(index) for index in found[1].split()]


def _names(scene: Scene, facts: ReplicaFacts | None) -> list[str]:
    """The parameters, in the order of the model: by their index, else as the message has them."""
    if facts is not None:
        found = [facts.parameters[i].name for i in _indices(scene) if i < len(facts.parameters)]
        if found:
            return found
    text = re.search(r"Parameters which did not receive grad for rank \d+: ([^\n]+)", scene.message)
    return [] if text is None else [name.strip() for name in text[1].split(",")]


def _fates(parameters: tuple[ReplicaParameter, ...], facts: ReplicaFacts | None) -> list[Evidence]:
    """For each parameter, why it got nothing, as far as what is left of the last step tells."""
    found = []
    for parameter in parameters[:10]:
        shown = f"{parameter.name} ({parameter.meta})"
        if parameter.behind:
            text = (
                f"{shown} was used for {listed(parameter.behind)}, which no backward pass came from"
            )
        elif facts is not None and facts.results:
            text = f"{shown} is not in the graph of {listed(facts.results)}: it was not used"
        else:
            text = f"{shown} was not used in forward, or its result did not reach the loss"
        found.append(Evidence(text))
    if len(parameters) > 10:
        found.append(Evidence(f"and {len(parameters) - 10} more"))
    return found


def _hints(
    scene: Scene, parameters: tuple[ReplicaParameter, ...], facts: ReplicaFacts | None
) -> tuple[Hint, ...]:
    model = "model" if facts is None or not facts.name else facts.name
    result = next((p.behind[0] for p in parameters if p.behind), "")
    use = Hint(
        "If it should be trained, let its result be part of the loss.",
        f"loss = loss + 0 * {result}.sum()  # or a real term for it" if result else "",
    )
    drop = Hint(
        "If it is not needed, take it out of the model or freeze it before wrapping.",
        "\n".join(f'model.get_parameter("{p.name}").requires_grad_(False)' for p in parameters[:4]),
    )
    find = Hint(
        "If which parameters are used changes from step to step, let DDP look for them (slower).",
        f"{model} = DistributedDataParallel(module, find_unused_parameters=True)",
    )
    if (facts is not None and facts.is_static) or says(scene, r"static_graph set to True"):
        find = Hint(
            "static_graph promises that every step uses the same parameters: take it away.",
            f"{model} = DistributedDataParallel(module)",
        )
        return (find, use, drop)
    if facts is not None and facts.finds_unused:
        return (
            Hint(
                "find_unused_parameters looks for tensors in what forward returns: return them in "
                "a tuple, list or dict, not in an object of your own."
            ),
            use,
            drop,
        )
    return (use, drop, find) if result else (drop, use, find)


def _lower(who: str) -> str:
    return "the model" if who == "The model" else who


DDP_UNUSED_PARAMETERS = Rule(
    "ddp-unused-parameters", "DistributedDataParallel waits for gradients", _diagnose
)
