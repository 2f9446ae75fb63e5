"""grad() was asked for the gradient of a tensor that the output was not computed from."""

from __future__ import annotations

import ast
import re

from ..failing_call import FailingCall, as_code, find_failing_call, is_refusal, named
from ..numbers_in_words import listed, with_meta
from ..output_kinds import find_leaves
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..writes_in_text import called_name

__all__ = ["UNUSED_INPUT"]

SLUG = "unused-input"
_OPTIONS = ("allow_unused", "materialize_grads")
WHY = (
    "grad() looks for this very tensor in the graph behind the output. A tensor with the same "
    "values, a view of it or a copy is another tensor there."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if is_refusal(scene, "ValueError") and says(
        scene, r"expected allow_unused to be true or not passed when materialize_grads=true"
    ):
        return _conflict(scene)
    if not is_refusal(scene, "RuntimeError") or not says(
        scene, r"differentiated tensors? .*appears? to not have been used in the graph"
    ):
        return None
    call, index = find_failing_call(scene), _index(scene)
    unused = _input(scene, index)
    if unused is None:
        return Diagnosis(
            SLUG, "One of the inputs of grad() is not part of the graph of the output.", WHY,
            hints=(_allow("it", call),), certainty="likely",
        )  # fmt: skip
    name = named(unused, call.input_text(index))
    start = _start(scene, call)
    return Diagnosis(
        SLUG,
        f"{with_meta(name, unused)}{_which(scene, index)} is not part of the graph of {start}: "
        f"{_why(scene, call, unused, index)}.",
        WHY,
        tuple(_evidence(scene, name, unused, start)),
        tuple(_hints(scene, call, unused, index)),
        source=unused.source,
    )


def _index(scene: Scene) -> int | None:
    found = says(scene, r"at index (\d+)")
    if found is not None:
        return int(found[1])
    one = scene.call is not None and scene.call.inputs is not None and len(scene.call.inputs) == 1
    return 0 if one else None


def _input(scene: Scene, index: int | None) -> TensorFacts | None:
    inputs = None if scene.call is None else scene.call.inputs
    return None if inputs is None or index is None or index >= len(inputs) else inputs[index]


def _which(scene: Scene, index: int | None) -> str:
    inputs = None if scene.call is None else scene.call.inputs
    return f", input {index} of {len(inputs)}," if inputs and len(inputs) > 1 else ""


def _start(scene: Scene, call: FailingCall) -> str:
    outputs = () if scene.call is None else scene.call.outputs
    names = [named(facts, call.output_text(i)) for i, facts in enumerate(outputs)]
    return listed(names) if names else "the output"


def _origin(scene: Scene, unused: TensorFacts) -> str | None:
    """The leaf that a view or copy was made from, if the graph has one with as many elements."""
    if unused.grad_fn is None:
        return None
    same = [leaf for leaf in find_leaves(scene) if leaf.meta.numel == unused.meta.numel]
    return same[0].name if len(same) == 1 and same[0].name else None


def _why(scene: Scene, call: FailingCall, unused: TensorFacts, index: int | None) -> str:
    if _is_subscript(call, index):
        return "taking a part makes a new tensor each time, and the output was not computed from it"
    if unused.is_view:
        origin = _origin(scene, unused)
        of = f" of {origin}" if origin else ""
        return f"it is a view{of} that was made beside it, and nothing was computed from the view"
    if unused.grad_fn is not None:
        origin = _origin(scene, unused)
        of = f" from {origin}" if origin else ""
        return f"it was computed{of} by {unused.grad_fn}, and the output does not go through it"
    return (
        "nothing on the way to it used this tensor, or it was used without its graph (detach(), "
        "no_grad())"
    )


def _evidence(scene: Scene, name: str, unused: TensorFacts, start: str) -> list[Evidence]:
    found = []
    leaves = find_leaves(scene, unused.names)
    if leaves:
        names = [f"{leaf.name or 'a leaf'} ({leaf.meta})" for leaf in leaves]
        found.append(Evidence(f"the graph of {start} leads to {listed(names)}"))
    elif scene.graph is not None:
        found.append(Evidence(f"the graph of {start} leads to no leaf"))
    if unused.grad_fn is not None:
        at = "" if unused.source is None else f" at {unused.source.short}"
        found.append(
            Evidence(
                f"{name} was made by {unused.grad_fn}{at}, which is not in that graph",
                unused.source,
            )
        )
    if scene.recording is not None:
        found += [
            Evidence(f"a recording saw: {cut}", cut.source)
            for cut in scene.recording.cuts
            if set(unused.names) & {*cut.lost, *cut.parameters}
        ]
    return found


def _hints(scene: Scene, call: FailingCall, unused: TensorFacts, index: int | None) -> list[Hint]:
    name, hints = named(unused, call.input_text(index)), []
    start = _start(scene, call)
    code = as_code(start)
    if _is_subscript(call, index):
        whole, part = _split(name)
        hints.append(
            Hint(
                "Ask for the gradient of the whole tensor, and take the part of that.",
                f"torch.autograd.grad({code}, {whole})[0]{part}",
            )
        )
    elif unused.grad_fn is not None:
        origin = _origin(scene, unused)
        if origin:
            hints.append(
                Hint(
                    f"Ask for the gradient of {origin}, and give it the other shape afterwards.",
                    f"torch.autograd.grad({code}, {origin})[0].reshape_as({as_code(name)})"
                    if unused.is_view
                    else f"torch.autograd.grad({code}, {origin})",
                )
            )
        hints.append(Hint(f"Or compute {start} from {name}, after {name} was made."))
    else:
        hints.append(Hint(f"If {start} should depend on {name}, use {name} itself where it is "
                          "computed: no detach(), no copy, no other variable."))  # fmt: skip
    return [
        *hints,
        _allow(name, call),
        Hint("Or get zeros instead of None.", _again(call, "materialize_grads")),
    ]


def _allow(name: str, call: FailingCall) -> Hint:
    return Hint(
        f"If it need not depend on {name}, allow that: the gradient then is None.",
        _again(call, "allow_unused"),
    )


def _again(call: FailingCall, option: str) -> str:
    """The call of `grad` with one more option."""
    node = call.node
    if node is None or called_name(node) != "grad":
        return f"torch.autograd.grad(y, x, {option}=True)"
    others = [keyword for keyword in node.keywords if keyword.arg not in _OPTIONS]
    added = ast.keyword(option, ast.Constant(True))
    return ast.unparse(ast.Call(node.func, node.args, [*others, added]))


def _is_subscript(call: FailingCall, index: int | None) -> bool:
    if index is None or index >= len(call.inputs):
        return False
    node = call.inputs[index]
    if not isinstance(node, ast.Subscript) or call.text is None:
        return False
    # An element of a list is the same tensor each time.
    return ast.unparse(node.value) in call.text.frame.tensors


def _split(name: str) -> tuple[str, str]:
    found = re.match(r"(.+?)(\[.*)$", name)
    return (found[1], found[2]) if found is not None else (name, "")


def _conflict(scene: Scene) -> Diagnosis:
    call = find_failing_call(scene)
    start, name = call.output_text(0) or "y", call.input_text(0) or "x"
    return Diagnosis(
        SLUG,
        "materialize_grads=True and allow_unused=False contradict each other.",
        "materialize_grads=True gives zeros for an input that was not used, so unused inputs are "
        "allowed with it. allow_unused=False asks for an error in that case.",
        hints=(
            Hint("For zeros, leave out allow_unused.",
                 f"torch.autograd.grad({start}, {name}, materialize_grads=True)"),
            Hint("For an error, leave out materialize_grads.",
                 f"torch.autograd.grad({start}, {name})"),
        ),
        source=scene.line,
    )  # fmt: skip


UNUSED_INPUT = Rule(SLUG, "An input that the output was not computed from", _diagnose)
