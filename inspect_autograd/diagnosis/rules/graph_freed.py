"""A backward pass needed values that an earlier one had freed."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...graph.creation import SourceLine
from ..find_second_pass import find_second_pass
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene
from ..second_pass import SecondPass, calling_frames
from ..statements import read_function, read_line

__all__ = ["GRAPH_FREED"]

SLUG = "graph-freed"
_TEXTS = (
    r"trying to backward through the graph a second time",
    r"saved intermediate values of the graph are freed",
    r"directly access saved (tensors|variables) after they have already been freed",
)
_WHY = (
    "The forward pass keeps intermediate values for the backward pass, and backward() frees them "
    "as it goes, to save memory. A graph can therefore be used once, unless the first pass was "
    "told to keep the values with retain_graph=True."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not says(scene, *_TEXTS):
        return None
    if scene.call is None:
        return _read_by_hand(scene)
    found = find_second_pass(scene)
    summary, more, hints = _TELL[found.kind](scene, found)
    return Diagnosis(
        SLUG,
        summary,
        _WHY + ("\n\n" + more if more else ""),
        _evidence(scene, found),
        (*hints, *_compiled_hint(scene)),
        found.certainty,
        _guilty(scene, found),
    )


class _Told(NamedTuple):
    """What is said of one cause: the summary, more on why, and the hints."""

    summary: str
    more: str
    hints: list[Hint]


def _same_loss(scene: Scene, found: SecondPass) -> _Told:
    name, call = _output(scene, found), _call(scene)
    again = "a second call would add the same gradients again"
    if call == "grad()":
        again = "a second call would give the same gradients again"
    return _Told(
        f"{_described(name, found)} was differentiated a second time, but the first {call} had "
        "already freed its graph.",
        "",
        [
            Hint(f"Call {call} once: {again}."),
            Hint("If both passes are wanted, let the first one keep the graph.", _retain(scene)),
            Hint("After a change of the parameters, compute it again before the second call."),
        ],
    )


def _failed_before(scene: Scene, found: SecondPass) -> _Told:
    name = _output(scene, found)
    return _Told(
        f"The first backward pass from {_described(name, found)} failed halfway, and a part of "
        "its graph is freed already.",
        "A pass that raises leaves freed what it has run through, so it cannot be repeated, even "
        "after the cause of the first error is gone.",
        [
            Hint(f"Compute {name} again before the next {_call(scene)}."),
            Hint("Or let the first pass keep the graph.", _retain(scene)),
        ],
    )


def _carried(scene: Scene, found: SecondPass) -> _Told:
    name = found.name or "the tensor"
    code = f"{name} = {name}.detach()" if found.name else ""
    root = name.split("[")[0]
    kind = _container(scene, root)
    if kind == "tuple":
        code = f"{root} = tuple(t.detach() for t in {root})"
    elif kind == "list":
        code = f"{root} = [t.detach() for t in {root}]"
    return _Told(
        f"{_described(name, found)} was carried over from one step to the next together with its "
        "graph, which the backward pass of the step before has freed.",
        f"Each step computes {name} from its value in the step before, so each loss reaches back "
        "through all earlier steps. retain_graph=True would silence the error, but every pass "
        "would then go through all steps so far, and become slower and slower.",
        [
            Hint(
                "Cut the graph between the steps: put this before the first use in a step "
                "(truncated backpropagation through time).",
                code,
            ),
            Hint(
                "To train through all steps, add up the losses and differentiate once after the "
                "loop.",
                "total = total + loss  # in the loop\ntotal.backward()  # after it",
            ),
        ],
    )


def _built_once(scene: Scene, found: SecondPass) -> _Told:
    name = found.name or "the tensor"
    line = f" (line {found.made.line})" if found.made is not None else ""
    return _Told(
        f"{_described(name, found)} was computed once, but several backward passes go through its "
        "graph, and the first of them freed it.",
        "",
        [
            Hint(f"Compute {name} anew for every pass: move its computation{line} into the loop."),
            Hint("If nothing before it is to be trained, cut it off.", f"{name} = {name}.detach()"),
            Hint(
                "If its value never changes between the passes, let each pass keep the graph.",
                _retain(scene),
            ),
        ],
    )


def _common_part(scene: Scene, found: SecondPass) -> _Told:
    if found.name and found.name == found.other:
        return _used_up(scene, found)
    name = found.name or "the same tensor"
    output = scene.output
    second = output.names[0] if output is not None and output.names else "the second output"
    first = found.other or "another output"
    both = f"({found.other} + {second}).backward()" if found.other and output else ""
    retain = f"{found.other}.backward(retain_graph=True)" if found.other else _retain(scene)
    return _Told(
        f"{second} and {first} were both computed from {_described(name, found)}, and the "
        f"backward pass from {first} has freed that common part.",
        "",
        [
            Hint("Add them up and differentiate once; the gradients are the same.", both),
            Hint("Or let the first pass keep the graph.", retain),
            Hint(
                "If only one of them is to train what is behind that, cut the other off.",
                _computed_from_detached(scene, found),
            ),
        ],
    )


def _used_up(scene: Scene, found: SecondPass) -> _Told:
    """The second output was computed from the first, as where a loss has a gradient in it."""
    output, name = scene.output, found.name
    second = output.names[0] if output is not None and output.names else "The second output"
    first = read_line(found.first)
    text = "" if first is None else first.text
    keep = f"{name}.backward(retain_graph=True)"
    hints: list[Hint] = []
    if "autograd.grad(" in text and text.endswith(")"):
        keep = f"{text[:-1]}, retain_graph=True)"
        code = f"{text[:-1]}, create_graph=True)"
        hints.append(
            Hint("If that gradient is a part of the loss (a penalty), record it as well.", code)
        )
    return _Told(
        f"{second} was computed from {_described(name, found)}, whose graph an earlier pass has "
        "freed.",
        "",
        [*hints, Hint("Let the first pass keep the graph.", keep)],
    )


def _computed_from_detached(scene: Scene, found: SecondPass) -> str:
    """The statement that computes the first output, from a detached tensor."""
    for frame in calling_frames(scene):
        function = read_function(frame)
        for statement in () if function is None else function.statements:
            if found.other in statement.assigned and found.name in statement.read:
                return re.sub(
                    rf"(?<![\w.]){found.name}\b", f"{found.name}.detach()", statement.text
                )
    return f"{found.name or 'h'}.detach()"


def _unknown(scene: Scene, found: SecondPass) -> _Told:
    name = _output(scene, found)
    return _Told(
        f"{_call(scene)} from {name} came to a part of the graph that an earlier backward pass "
        "has freed.",
        "",
        [
            Hint(
                "If a tensor is carried over from one step to the next (a hidden state, a running "
                "average), cut it off there.",
                "state = state.detach()",
            ),
            Hint("If two losses share a part, add them up and call backward() once."),
            Hint("If a tensor is computed before the loop, compute it inside."),
            Hint("If both passes are wanted, let the first one keep the graph.", _retain(scene)),
            Hint(
                "To see which tensor it is, run the program inside a recording.",
                "with inspect_autograd.record(model):\n    ...",
            ),
        ],
    )


_TELL = {
    "same loss": _same_loss,
    "failed before": _failed_before,
    "carried": _carried,
    "built once": _built_once,
    "common part": _common_part,
    "unknown": _unknown,
}


def _read_by_hand(scene: Scene) -> Diagnosis:
    frame = scene.user_frame
    what = f"`{frame.expression or frame.code}`" if frame is not None else "The failing line"
    return Diagnosis(
        SLUG,
        f"{what} reads a saved tensor of a graph that a backward pass has freed.",
        _WHY,
        (),
        (
            Hint("Read it before the backward pass."),
            Hint("Or let the pass keep the graph.", "loss.backward(retain_graph=True)"),
        ),
        "certain",
        scene.line,
    )


def _evidence(scene: Scene, found: SecondPass) -> tuple[Evidence, ...]:
    facts: list[Evidence] = []
    if found.first is not None:
        facts.append(Evidence(f"the first pass ran at {found.first.short}", found.first))
    if found.made is not None:
        name = found.name or "the tensor"
        facts.append(Evidence(f"{name} was computed at {found.made.short}", found.made, found.node))
    if scene.graph is not None:
        freed = [n for n in scene.graph.nodes if any(s.state == "freed" for s in n.saved)]
        kept = [n for n in scene.graph.nodes if any(s.state == "available" for s in n.saved)]
        text = f"{len(freed)} of {len(freed) + len(kept)} nodes that save tensors are freed"
        if freed:
            facts.append(Evidence(text, node=freed[0].id))
    running = {frame.source.function for frame in scene.frames}
    facts += [
        Evidence(f"{function.name}.backward asked for them", function.backward)
        for function in scene.functions
        if any(name.endswith(f"{function.name}.backward") for name in running)
    ]
    return tuple(facts)


def _guilty(scene: Scene, found: SecondPass) -> SourceLine | None:
    if found.kind in ("same loss", "failed before") or found.made is None:
        return found.first or scene.line
    return found.made


def _compiled_hint(scene: Scene) -> list[Hint]:
    if scene.graph is None or not any(node.kind == "compiled" for node in scene.graph.nodes):
        return []
    return [
        Hint(
            "A graph of torch.compile may refuse retain_graph=True, since it reuses the memory of "
            "what it saved, unless it is compiled with this.",
            "torch._functorch.config.donated_buffer = False",
        )
    ]


def _call(scene: Scene) -> str:
    return "grad()" if scene.call is not None and scene.call.call == "grad" else "backward()"


def _output(scene: Scene, found: SecondPass) -> str:
    output = scene.output
    if output is not None and output.names:
        return output.names[0]
    return found.name or "the output"


def _described(name: str, found: SecondPass) -> str:
    return f"{name} ({found.meta})" if found.meta else name


def _retain(scene: Scene) -> str:
    output = scene.output
    name = output.names[0] if output is not None and output.names else "loss"
    if scene.call is not None and scene.call.call == "grad":
        return f"torch.autograd.grad({name}, inputs, retain_graph=True)"
    return f"{name}.backward(retain_graph=True)"


def _container(scene: Scene, name: str) -> str:
    """`tuple` or `list` where a variable is one."""
    kinds = [frame.others.get(name, "").split(" of ")[0] for frame in scene.frames]
    return next((kind for kind in kinds if kind in ("tuple", "list")), "")


GRAPH_FREED = Rule(SLUG, "Backward through a graph that was freed", _diagnose)
