"""Where an operator that a message names was called."""

from __future__ import annotations

import ast

from ..graph.creation import SourceLine
from ..graph.records import Node
from .scene import Scene
from .second_pass import calling_frames
from .statements import read_function
from .writes_in_text import called_name

__all__ = ["find_operator_call", "find_operator_node"]


def find_operator_call(scene: Scene, operator: str) -> tuple[SourceLine, ast.Call] | None:
    """The statement above the failing one that calls the operator, as the text shows it."""
    for frame in calling_frames(scene):
        function = read_function(frame)
        failing = None if function is None else function.at(frame)
        if function is None or failing is None:
            continue
        for statement in (failing, *reversed(function.before(failing))):
            for call in statement.calls:
                if called_name(call) == operator:
                    return function.source(statement), call
    return None


def find_operator_node(scene: Scene, operator: str) -> Node | None:
    """The node of the operator: ZetaBackward0 or SpecialZetaBackward0 for `zeta`."""
    if scene.graph is None:
        return None
    wanted = operator.replace("_", "").lower()
    nodes = [node for node in scene.graph.nodes if _made_by(node.name, wanted)]
    running = None if scene.running is None else scene.running.node
    if running is not None and (not nodes or any(node.id == running for node in nodes)):
        return scene.graph.nodes[running]
    return max(nodes, key=lambda node: node.sequence_nr or 0, default=None)


def _made_by(node: str, wanted: str) -> bool:
    name = node.lower().split("backward")[0]
    return "backward" in node.lower() and (name.endswith(wanted) or name == wanted)
