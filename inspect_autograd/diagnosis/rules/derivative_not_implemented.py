"""An operation has no derivative, or none with respect to one of its inputs."""

from __future__ import annotations

import ast
import re

from ...graph.creation import SourceLine
from ...graph.records import Node
from ..operator_places import find_operator_call, find_operator_node
from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene
from .no_double_backward import NO_DOUBLE_BACKWARD

__all__ = ["DERIVATIVE_NOT_IMPLEMENTED"]

SLUG = "derivative-not-implemented"
_TEXT = (
    r"derivative (?:for|of) ['\"]?(?:aten::)?(?P<op>[\w.]+)(?:: ?(?P<input>\w+))?['\"]? "
    r"(?:is not|has not been) implemented"
)


def _diagnose(scene: Scene) -> Diagnosis | None:
    message = says(scene, _TEXT)
    if message is None or NO_DOUBLE_BACKWARD.diagnose(scene) is not None:
        return None
    operator, argument = message["op"], message["input"]
    node = find_operator_node(scene, operator)
    place = find_operator_call(scene, operator)
    by = f" with respect to its argument `{argument}`" if argument else ""
    evidence = []
    if node is not None:
        at = f" at {node.source.short}" if node.source is not None else ""
        text = f"#{node.id} {node.name}{at} is the node that cannot be differentiated"
        evidence.append(Evidence(text, node.source, node.id))
    what = f"the argument `{argument}`" if argument else "its inputs"
    return Diagnosis(
        SLUG,
        f"A gradient would have to go through {operator}(), but PyTorch has no derivative of it"
        f"{by}.",
        "Every operation has a hand-written formula for its derivative. This one has none for an "
        "input that requires grad, or that was computed from a tensor that does. PyTorch finds "
        "out only when the backward pass gets there.",
        tuple(evidence),
        (
            Hint(
                f"If no gradient is wanted through {what}, detach what is passed for it.",
                _detached(None if place is None else place[1], argument or ""),
            ),
            Hint(f"Or replace {operator}() by operations that have derivatives."),
            Hint(
                "Or write its derivative yourself.",
                "class Differentiable(torch.autograd.Function):\n"
                "    @staticmethod\n"
                "    def forward(ctx, x):\n"
                "        ctx.save_for_backward(x)\n"
                "        ...\n\n"
                "    @staticmethod\n"
                "    def backward(ctx, grad_output):\n"
                "        ...",
            ),
        ),
        "certain",
        _line(node, place),
    )


def _line(node: Node | None, place: tuple[SourceLine, ast.Call] | None) -> SourceLine | None:
    if node is not None and node.source is not None:
        return node.source
    return None if place is None else place[0]


def _detached(call: ast.Call | None, argument: str) -> str:
    """The call with one argument detached, as code."""
    if call is None or not call.args:
        return "value.detach()"
    index = 1 if argument in ("other", "exponent", "y") and len(call.args) > 1 else 0
    inner = ast.unparse(call.args[index])
    detached = (
        f"{inner}.detach()" if re.fullmatch(r"[\w.()\[\]]+", inner) else f"({inner}).detach()"
    )
    rest = [detached if i == index else ast.unparse(a) for i, a in enumerate(call.args)]
    rest += [f"{k.arg}={ast.unparse(k.value)}" for k in call.keywords]
    return f"{ast.unparse(call.func)}({', '.join(rest)})"


DERIVATIVE_NOT_IMPLEMENTED = Rule(SLUG, "No derivative", _diagnose)
