"""Something was asked of a tensor that it offers only if it requires grad, or is a leaf."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from ...graph.creation import SourceLine
from ..failing_call import FailingCall, call_of, find_failing_call, is_refusal, named
from ..failing_text import FailingText
from ..numbers_in_words import listed, with_meta
from ..origins import Origin, find_freeze, find_origin
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene, TensorFacts
from ..writes_in_text import called_name

__all__ = ["INPUT_WITHOUT_GRAD"]

SLUG = "input-without-grad"
WHY = (
    "PyTorch notes operations only for tensors that require grad, from the moment on at which they "
    "do. So requires_grad_() must come before the tensor is used; afterwards is too late for what "
    "was computed already."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if not is_refusal(scene, "RuntimeError", "ValueError"):
        return None
    if says(scene, r"one of the differentiated tensors does not require grad"):
        return _input(scene)
    if says(scene, r"`?inputs`? argument to `?(?:backward|grad)\(\)`? cannot be empty"):
        return _no_inputs(scene)
    if says(scene, r"post accumulate grad hooks cannot be registered on non-leaf"):
        return _hook_on_non_leaf(scene)
    if says(
        scene,
        r"cannot register a hook on a tensor that (?:doesn't|does not) require",
    ):
        return _on_tensor(scene, "register_hook", "register_post_accumulate_grad_hook")
    if says(scene, r"can't retain_grad on tensor that has requires_grad=False"):
        is_input = scene.call is not None and scene.call.inputs
        return _input(scene) if is_input else _on_tensor(scene, "retain_grad")
    if says(scene, r"gradient edge for a tensor that (?:doesn't|does not) require"):
        return _on_tensor(scene, "get_gradient_edge")
    return None


# -- grad(…, inputs) ----------------------------------------------------------------------------


def _input(scene: Scene) -> Diagnosis:
    call = find_failing_call(scene)
    inputs = (scene.call.inputs if scene.call is not None else None) or ()
    found = [
        (named(facts, call.input_text(index)), facts)
        for index, facts in enumerate(inputs)
        if not facts.requires_grad
    ]
    if not found:
        return Diagnosis(
            SLUG, "One of the inputs does not require grad.", WHY, hints=(_require("x"),),
            certainty="likely",
        )  # fmt: skip
    shown = listed([with_meta(name, facts) for name, facts in found])
    is_one = len(found) == 1
    function = "backward()" if scene.call and scene.call.call == "backward" else "grad()"
    origins = [_origin(scene, facts) for _, facts in found]
    return Diagnosis(
        SLUG,
        f"{function} is to give the gradient of {shown}, which "
        f"{'does' if is_one else 'do'} not require grad.",
        WHY,
        (
            *(_state(name, facts) for name, facts in found),
            *_came_from(origins),
        ),
        tuple(_hints(call, found)),
        source=_line(scene, origins[0]),
    )


def _origin(scene: Scene, facts: TensorFacts | None) -> Origin | None:
    """What made a parameter not require grad, or else made the tensor."""
    freeze = find_freeze(scene) if facts is not None and facts.is_parameter else None
    return freeze or find_origin(scene, facts)


def _came_from(origins: Iterable[Origin | None]) -> Iterator[Evidence]:
    found = dict.fromkeys(origin for origin in origins if origin is not None)
    return (Evidence(f"it came from `{origin.text}`", origin.source) for origin in found)


def _line(scene: Scene, origin: Origin | None) -> SourceLine | None:
    """The line to change: where a tensor came from, else the one that failed."""
    if origin is not None:
        return origin.source
    return scene.line


def _state(name: str, facts: TensorFacts) -> Evidence:
    why = facts.why_no_graph or "it does not require grad"
    kind = "a parameter, " if facts.is_parameter else ""
    return Evidence(f"{name}: {kind}requires_grad False; {why.split(';')[0]}", facts.source)


def _hints(call: FailingCall, found: list[tuple[str, TensorFacts]]) -> list[Hint]:
    hints = []
    for name, facts in found[:3]:
        if not facts.meta.dtype.startswith(("float", "bfloat", "complex")):
            hints.append(
                Hint(
                    f"{name} holds whole numbers ({facts.meta.dtype}); only floating-point tensors "
                    "have gradients, so convert it before it is used.",
                    f"{_variable(name)} = {call_of(name, '.float().requires_grad_()')}",
                )
            )
        elif facts.is_inference:
            hints.append(
                Hint(
                    f"{name} was made in inference mode; copy it before it is used.",
                    f"{_variable(name)} = {call_of(name, '.clone().requires_grad_()')}",
                )
            )
        else:
            hints.append(_require(name))
    if len(call.inputs) > len(found):
        hints.append(Hint(f"Or leave {listed([name for name, _ in found])} out of the inputs."))
    return hints


def _variable(name: str) -> str:
    return name if name.isidentifier() else "x"


def _require(name: str) -> Hint:
    if not name.replace(".", "_").isidentifier():
        return Hint(
            "Let it require grad, and keep it in a variable, before it is used.",
            f"x = {call_of(name, '.requires_grad_()')}",
        )
    return Hint(
        f"Let {name} require grad before anything is computed from it, and compute again.",
        call_of(name, ".requires_grad_()"),
    )


def _no_inputs(scene: Scene) -> Diagnosis:
    frame = scene.user_frame
    others = {} if frame is None else frame.others
    frozen = {n: words for n, words in others.items() if "none of which require" in words}
    model = next(iter(frozen), "model")
    return Diagnosis(
        SLUG,
        "The list of inputs is empty, so there is nothing to compute a gradient of.",
        "Such a list is often made by a filter, as [p for p in model.parameters() if "
        "p.requires_grad], which leaves nothing of a frozen model; or by parameters() of a module "
        "without any, or an iterator that was used up before.",
        tuple(Evidence(f"{name}: {words}") for name, words in frozen.items()),
        (
            Hint("Let what is to be trained require grad, before the forward pass.",
                 f"{model}.requires_grad_(True)"),
            Hint("Leave out inputs=, for the gradients of all leaves.", "loss.backward()"),
        ),
        source=scene.line,
    )  # fmt: skip


# -- hooks and edges ----------------------------------------------------------------------------


_LACKS = {"get_gradient_edge": "place in a graph.", "retain_grad": "gradient to keep."}
_DOES = {
    "get_gradient_edge": "A gradient edge is a place in the graph",
    "retain_grad": "retain_grad() keeps the gradient of a tensor that passes it on",
}


def _on_tensor(scene: Scene, *functions: str) -> Diagnosis:
    name, facts = _subject(scene, *functions)
    what = name if facts is None else with_meta(name, facts)
    does = _DOES.get(functions[0], "A hook is called with the gradient of a tensor")
    never = "have none" if functions[0] == "get_gradient_edge" else "never get one"
    call = f"torch.autograd.graph.get_gradient_edge({name})"
    if functions[0] != "get_gradient_edge":
        function = scene.operation if scene.operation in functions else functions[0]
        given = "" if function == "retain_grad" else _hook(scene, function)
        call = call_of(name, f".{function}({given})")
    if not name.replace(".", "_").isidentifier():
        call = f"x = {call_of(name, '.requires_grad_()')}\n{call.replace(name, 'x', 1)}"
    else:
        call = f"{call_of(name, '.requires_grad_()')}\n{call}"
    why = "" if facts is None else f" {name} has requires_grad=False."
    origin = _origin(scene, facts)
    return Diagnosis(
        SLUG,
        f"{what} does not require grad, so it has no "
        + _LACKS.get(functions[0], "gradient to hook."),
        f"{does}, and tensors that do not require grad {never}.{why}",
        () if facts is None else (_state(name, facts), *_came_from([origin])),
        (
            Hint("Let it require grad first, if it is an input or a parameter.", call),
            Hint(
                "If it was computed, look for what cut its graph (detach(), no_grad(), item()); or "
                "skip it where there is none.",
                f"if {_variable(name)}.requires_grad:\n    ...",
            ),
        ),
        source=_line(scene, origin),
    )


def _hook_on_non_leaf(scene: Scene) -> Diagnosis:
    name, facts = _subject(scene, "register_post_accumulate_grad_hook")
    what = name if facts is None else with_meta(name, facts)
    by = "" if facts is None or facts.grad_fn is None else f", made by {facts.grad_fn}"
    return Diagnosis(
        SLUG,
        f"{what} is no leaf, and only leaves accumulate a gradient, so "
        "register_post_accumulate_grad_hook() has nothing to come after.",
        "A leaf is a tensor that was not computed from others, such as a parameter. Its gradient "
        "is added to .grad, and this hook runs right after. Other tensors only pass theirs on.",
        (Evidence(f"{name}: is_leaf False{by}"),),
        (
            Hint("Use a plain hook, which gets the gradient that passes through.",
                 call_of(name, ".register_hook(lambda grad: ...)")),
            Hint("Or put it on the leaf itself, the parameter or input.",
                 f"{_leaf(scene)}.register_post_accumulate_grad_hook("
                 f"{_hook(scene, 'register_post_accumulate_grad_hook')})"),
        ),
        source=scene.line,
    )  # fmt: skip


def _hook(scene: Scene, function: str) -> str:
    """The hook that was to be registered, as the user wrote it."""
    text = None if scene.user_frame is None else FailingText(scene.user_frame)
    call = None if text is None else text.find_call(function)
    return "hook" if text is None or call is None or not call.args else text.text(call.args[0])


def _leaf(scene: Scene) -> str:
    frame = scene.user_frame
    for name, facts in () if frame is None else frame.tensors.items():
        if facts.is_leaf and facts.requires_grad:
            return name
    return "parameter"


def _subject(scene: Scene, *functions: str) -> tuple[str, TensorFacts | None]:
    """The tensor that a method was called on, or a function was given."""
    frame = scene.user_frame
    if frame is None:
        return "the tensor", None
    text = FailingText(frame)
    call = text.find_call(*functions)
    if call is None:
        facts = scene.involved[0] if len(scene.involved) == 1 else None
        return ("the tensor" if facts is None else facts.name), facts
    node: ast.expr | None = None
    if called_name(call) == "get_gradient_edge":
        node = call.args[0] if call.args else None
    elif isinstance(call.func, ast.Attribute):
        node = call.func.value
    name = "the tensor" if node is None else text.text(node)
    facts = frame.tensors.get(name)
    return named(facts, name), facts


INPUT_WITHOUT_GRAD = Rule(SLUG, "A tensor that does not require grad", _diagnose)
