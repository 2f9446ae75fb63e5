"""The form of a custom operator: it takes part in the graph, but has no backward formula."""

from __future__ import annotations

from ..records import Diagnosis, Evidence, Hint
from ..rule import says
from ..scene import Scene

__all__ = ["diagnose_operator"]


def diagnose_operator(scene: Scene) -> Diagnosis:
    """What is missing where an operator of `torch.library` has no autograd formula.

    Args:
        scene: One whose failure is this refusal.
    """
    found = says(scene, r"backward through (\S+?)(?:\.default)? but no autograd")
    name = found[1] if found is not None else "the operator"
    qualified = name.replace(".", "::", 1)
    node = _node(scene, name)
    return Diagnosis(
        slug="no-graph",
        summary=f"The custom operator {qualified} was used on a tensor that requires grad, but "
        "nobody has told PyTorch its backward formula.",
        explanation="PyTorch knows the derivatives of its own operators. An operator defined with "
        "torch.library is a black box to it: it is noted in the graph, and its backward can only "
        "fail, until a formula is registered.",
        evidence=()
        if node is None
        else (
            Evidence(
                f"{scene.graph.nodes[node].name} stands for it in the graph"
                if scene.graph is not None
                else "",
                None if scene.graph is None else scene.graph.nodes[node].source,
                node,
            ),
        ),
        hints=(
            Hint(
                "Register the formula; this one is that of 2 · x.",
                "def setup_context(ctx, inputs, output):\n"
                "    pass  # ctx.save_for_backward(...) what backward needs\n\n"
                "def backward(ctx, grad_output):\n"
                "    return 2 * grad_output  # one value per input\n\n"
                f'torch.library.register_autograd("{qualified}", backward, '
                "setup_context=setup_context)",
            ),
            Hint(
                "If no gradient should go through it, give it the values only.",
                f"torch.ops.{name}(x.detach())",
            ),
        ),
        source=None if node is None or scene.graph is None else scene.graph.nodes[node].source,
    )


def _node(scene: Scene, name: str) -> int | None:
    """The node of the operator: `GeneratedBackwardFor_mylib_foo_defaultBackward`."""
    if scene.graph is None:
        return None
    part = name.replace(".", "_")
    for node in scene.graph.nodes:
        if node.name.startswith("GeneratedBackwardFor_") and part in node.name:
            return node.id
    return None
