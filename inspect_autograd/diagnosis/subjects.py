"""Which tensor of the user a failing line is about."""

from __future__ import annotations

import re

from .scene import FrameFacts, Scene, TensorFacts
from .statements import read_function

__all__ = ["code_of", "described", "find_subject", "tensor_named"]


def code_of(frame: FrameFacts | None) -> str:
    """The statement that was running: of several on one line that one; else the whole line."""
    if frame is None:
        return ""
    text = read_function(frame)
    statement = None if text is None else text.at(frame)
    return (frame.expression or frame.code) if statement is None else statement.text


def tensor_named(scene: Scene, name: str) -> TensorFacts | None:
    """A tensor by the name that the failing line has for it."""
    for facts in scene.involved:
        if name in facts.names:
            return facts
    frame = scene.user_frame
    return None if frame is None else frame.tensors.get(name)


def find_subject(scene: Scene) -> TensorFacts | None:
    """The first tensor that the failing line names, or the only one there is."""
    if scene.involved:
        return scene.involved[0]
    frame = scene.user_frame
    if frame is None:
        return None
    code = code_of(frame)
    named = [f for name, f in frame.tensors.items() if re.search(rf"\b{re.escape(name)}\b", code)]
    return named[0] if named else None


def described(facts: TensorFacts | None, otherwise: str = "a tensor") -> str:
    """`y (f32[3])`, or words for a tensor that is not known."""
    if facts is None:
        return otherwise
    return f"{facts.name} ({facts.meta})" if facts.names else facts.name
