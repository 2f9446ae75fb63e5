"""An operation has no derivative, or none with respect to one of its inputs."""

from __future__ import annotations

from ...graph.records import Node
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
    node = _find_node(scene, operator)
    by = f" with respect to its argument `{argument}`" if argument else ""
    evidence = []
    if node is not None:
        place = f" at {node.source.short}" if node.source is not None else ""
        text = f"#{node.id} {node.name}{place} is the node that cannot be differentiated"
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
                "value.detach()",
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
        None if node is None else node.source,
    )


def _find_node(scene: Scene, operator: str) -> Node | None:
    """The node of the operator: ZetaBackward0 or SpecialZetaBackward0 for `zeta`."""
    if scene.graph is None:
        return None
    if scene.running is not None and scene.running.node is not None:
        return scene.graph.nodes[scene.running.node]
    wanted = operator.replace("_", "").lower()
    found = [
        node
        for node in scene.graph.nodes
        if node.name.lower().split("backward")[0].endswith(wanted)
        or node.name.lower().startswith(wanted)
        or node.name == "NotImplemented"
    ]
    return max(found, key=lambda node: node.sequence_nr or 0, default=None)


DERIVATIVE_NOT_IMPLEMENTED = Rule(SLUG, "No derivative", _diagnose)
