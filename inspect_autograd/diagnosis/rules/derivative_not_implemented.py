"""An operation has no derivative, or none with respect to one of its inputs."""

from __future__ import annotations

import ast

from ...graph.creation import SourceLine
from ...graph.records import Node
from ..failing_call import call_of
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
        "PyTorch has a formula for the derivative of each operation that it can differentiate, and "
        "none of this one for an input that requires grad, or that was computed from a tensor that "
        "does. It finds out only when the backward pass gets there.",
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
    if call is None:
        return "value.detach()"
    receiver = _receiver(call)
    operands = [*([] if receiver is None else [receiver]), *call.args]
    if not operands:
        return "value.detach()"
    index = 1 if argument in ("other", "exponent", "y") and len(operands) > 1 else 0
    texts = [ast.unparse(operand) for operand in operands]
    texts[index] = call_of(texts[index], ".detach()")
    function = ast.unparse(call.func)
    if receiver is not None:
        function = f"{texts.pop(0)}.{function.rpartition('.')[2]}"
    texts += [f"{k.arg}={ast.unparse(k.value)}" for k in call.keywords]
    return f"{function}({', '.join(texts)})"


def _receiver(call: ast.Call) -> ast.expr | None:
    """The tensor that it is a method of; None for a function of a module, such as torch.special."""
    if not isinstance(call.func, ast.Attribute):
        return None
    root: ast.expr = call.func.value
    while isinstance(root, ast.Attribute):
        root = root.value
    is_module = isinstance(root, ast.Name) and root.id in ("torch", "F", "nn")
    return None if is_module else call.func.value


DERIVATIVE_NOT_IMPLEMENTED = Rule(SLUG, "No derivative", _diagnose)
