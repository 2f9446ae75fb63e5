"""backward(create_graph=True) leaves gradients that keep the graph alive: PyTorch only warns."""

from __future__ import annotations

import re

from ..records import Diagnosis, Evidence, Hint
from ..rule import Rule, says
from ..scene import Scene
from ..second_pass import calling_frames

__all__ = ["CREATE_GRAPH_LEAK"]

SLUG = "create-graph-leak"
_TEXT = r"backward\(\) with create_graph=true will create a reference cycle"


def _diagnose(scene: Scene) -> Diagnosis | None:
    # Beside a failure, a warning from earlier in the program is no reason for that.
    warned = scene.failure is None and any(
        re.search(_TEXT, " ".join(text.split()), re.I) for _, text in scene.warnings
    )
    if not warned and not says(scene, _TEXT):
        return None
    output = scene.output
    name = output.names[0] if output is not None and output.names else "loss"
    frame = next(calling_frames(scene), None)
    source = scene.line
    evidence = () if frame is None else (Evidence(f"the call: {frame.code}", source),)
    return Diagnosis(
        SLUG,
        f"{name}.backward(create_graph=True) leaves a gradient in every parameter that keeps the "
        "whole graph alive, and so its memory.",
        "With create_graph=True a gradient is itself the result of a graph, and that graph holds "
        "the parameters. backward() puts the gradient into parameter.grad, so parameter and graph "
        "hold each other. Part of that ring lies in C++, where Python's garbage collector cannot "
        "break it: without help the memory is never given back, and it grows with every step.",
        evidence,
        (
            Hint(
                "Take the gradients as values; nothing is put into .grad.",
                f"grads = torch.autograd.grad({name}, list(model.parameters()), create_graph=True)",
            ),
            Hint(
                "Or drop the gradients as soon as they have been used.",
                "for parameter in model.parameters():\n    parameter.grad = None",
            ),
            Hint(
                "If no gradient of a gradient is needed, leave create_graph out.",
                f"{name}.backward()",
            ),
        ),
        "certain",
        source,
    )


CREATE_GRAPH_LEAK = Rule(SLUG, "Gradients that keep their graph alive", _diagnose)
