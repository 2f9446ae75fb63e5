"""A gradient was to be differentiated again, and that is not implemented."""

from __future__ import annotations

import re

from ...graph.creation import SourceLine
from ..operator_places import find_operator_call, find_operator_node
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene
from ..second_pass import calling_frames
from ..statements import read_function

__all__ = ["NO_DOUBLE_BACKWARD"]

SLUG = "no-double-backward"
_OPERATOR = r"derivative for '?(?:aten::)?(\w+_backward\w*)'? is not implemented"
_COMPILED = r"torch\.compile .*does not currently support double backward"
_ONCE = r"differentiate twice a function that was marked with @once_differentiable"
_CUDNN = r"double backwards? is not supported for cudnn"
MAX_PASSES = 10
"""Passes before the failure that are looked through for the one that was differentiated."""
_WHY = (
    "With create_graph=True the backward pass is recorded as well, so that its result can be "
    "differentiated again. For that, every operation of the backward pass needs a derivative of "
    "its own, and this one has none."
)
_ATTENTION = Hint(
    "Compute attention by the plain formula, whose second derivative exists.",
    "from torch.nn.attention import SDPBackend, sdpa_kernel\n\n"
    "with sdpa_kernel(SDPBackend.MATH):\n    output = model(x)",
)
_NOT_CUDNN = Hint(
    "Run the forward pass without cuDNN.",
    "with torch.backends.cudnn.flags(enabled=False):\n    output = model(x)",
)
_FINITE = Hint(
    "Or compute that part from simpler operations (exp, log, sums), whose second derivatives exist."
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    if says(scene, _COMPILED):
        return _compiled(scene)
    if says(scene, _ONCE):
        return _once(scene)
    if says(scene, _CUDNN):
        return _tell(scene, "the backward pass of cuDNN's recurrent networks", [_NOT_CUDNN])
    operator = says(scene, _OPERATOR)
    if operator is None:
        return None
    name = operator[1].strip("_")
    forward = name.split("_backward")[0]
    attention = "attention" in name
    return _tell(
        scene, f"{operator[1]} (the backward of {forward})", [_ATTENTION] * attention, forward
    )


def _tell(scene: Scene, what: str, hints: list[Hint], forward: str = "") -> Diagnosis:
    return Diagnosis(
        SLUG,
        f"The gradient was differentiated a second time, but PyTorch has no derivative of {what}.",
        _WHY,
        _evidence(scene),
        (*hints, _first_order(scene), _FINITE),
        "certain",
        _line_of(scene, forward),
    )


def _compiled(scene: Scene) -> Diagnosis:
    call = _compiled_call(scene)
    evidence = _evidence(scene)
    if call is not None:
        evidence = (*evidence, Evidence("the compiled function was called here", call))
    return Diagnosis(
        SLUG,
        "The gradient of a function compiled by torch.compile was differentiated a second time.",
        "torch.compile compiles the forward pass together with its backward pass. The compiled "
        "backward pass is a block of its own, of which no further derivative is known.",
        evidence,
        (
            Hint(
                "Use the function as it is, without torch.compile, where gradients of gradients "
                "are needed.",
                "model = torch.compile(model, backend='eager')  # keeps the ordinary graph",
            ),
            _first_order(scene),
        ),
        "certain",
        call or _creation(scene),
    )


def _compiled_call(scene: Scene) -> SourceLine | None:
    """Where the function was called: the pass whose result was differentiated ran its node.

    Only a recording knows that pass: the graph of the gradient does not hold the node.
    """
    made, recording = _creation(scene), scene.recording
    if made is None or recording is None:
        return None
    for trace in reversed(recording.traces[-MAX_PASSES:]):
        if all((one.file, one.line) != (made.file, made.line) for one in trace.passes):
            continue
        table = trace.graph.node_table
        compiled = [id for id, kind in enumerate(table.kinds) if kind == "compiled"]
        lines = {table.creations[id].source for id in compiled if id in table.creations}
        return lines.pop() if len(lines) == 1 else None
    return None


def _once(scene: Scene) -> Diagnosis:
    function = next((f for f in scene.functions if f.backward is not None), None)
    name = _applied(scene) if function is None else function.name
    source = None if function is None else function.backward
    return Diagnosis(
        SLUG,
        f"{name} was differentiated twice, but its backward is marked with @once_differentiable.",
        "The mark says that backward computes with something that PyTorch cannot differentiate "
        "(NumPy, C++), so that its result has no graph.",
        (*_evidence(scene), *([Evidence(f"{name}.backward", source)] if source else [])),
        (
            Hint(
                "If backward only uses operations of PyTorch on its arguments and on saved "
                "tensors, take the mark away.",
                "@staticmethod\ndef backward(ctx, grad_output):\n    ...",
            ),
            Hint("Else compute the gradient in a second Function that has a backward of its own."),
            _first_order(scene),
        ),
        "certain",
        source,
    )


def _line_of(scene: Scene, forward: str) -> SourceLine | None:
    """The line that called the operator, from a recording or from the text."""
    node = find_operator_node(scene, forward) if forward else None
    if node is not None and node.source is not None:
        return node.source
    name = "scaled_dot_product_attention" if "attention" in forward else forward
    call = find_operator_call(scene, name) if forward else None
    return _creation(scene) if call is None else call[0]


def _applied(scene: Scene) -> str:
    """The custom Function that the text calls; the graph of its gradient does not know it."""
    for frame in calling_frames(scene):
        found = re.findall(r"(\w+)\.apply\(", frame.body)
        if found and len(set(found)) == 1:
            return str(found[0])
    return "A custom Function"


def _creation(scene: Scene) -> SourceLine | None:
    """The line that made the node without a derivative, where a recording knows it."""
    return next((fact.source for fact in _evidence(scene) if fact.source is not None), None)


def _first_order(scene: Scene) -> Hint:
    """The first differentiation without create_graph, in the user's own words if they are known."""
    code = "torch.autograd.grad(loss, inputs)"
    for frame in calling_frames(scene):
        function = read_function(frame)
        for statement in () if function is None else function.statements:
            if "create_graph=True" in statement.text:
                code = statement.text.replace(", create_graph=True", "")
                code = code.replace("create_graph=True", "")
    return Hint("If no gradient of a gradient is needed, leave create_graph=True out.", code)


def _evidence(scene: Scene) -> tuple[Evidence, ...]:
    if scene.graph is None:
        return ()
    names = scene.graph.node_table.names
    second = [id for id, name in enumerate(names) if re.search(r"Backward.*Backward", name)]
    missing = [id for id, name in enumerate(names) if name in ("NotImplemented", "Error")]
    ends = [scene.graph.nodes[id] for id in (missing or second)[:1]]
    return tuple(
        Evidence(f"{node.name} is where the graph of the gradient ends", node.source, node.id)
        for node in ends
    )


NO_DOUBLE_BACKWARD = Rule(SLUG, "No second derivative", _diagnose)
