"""Which tensor of the user a failing line is about."""

from __future__ import annotations

import ast
import re

from .scene import FrameFacts, Scene, TensorFacts
from .statements import read_function

__all__ = [
    "code_of",
    "described",
    "find_subject",
    "sentence",
    "tensor_named",
    "tensor_of",
    "with_article",
    "written",
]


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


def tensor_of(scene: Scene, text: str) -> TensorFacts | None:
    """The tensor that a part of the failing line stands for.

    One without a name belongs to what is no name, if it is the only one of that kind.
    """
    facts = tensor_named(scene, text)
    if facts is None and not text.isidentifier():
        unnamed = [other for other in scene.involved if not other.names]
        return unnamed[0] if len(unnamed) == 1 else None
    return facts


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


def written(scene: Scene, function: str, argument: int | None = 0) -> str:
    """What the user wrote for an argument of a call on the failing line.

    Args:
        scene: Its innermost user frame has the line.
        function: Last part of the name of what is called.
        argument: Which one; None is what stands before the dot: `y` of `y.numpy()`. Of a list
            that is an argument, the first element is meant.

    Returns:
        The text; empty if there is no such call or argument.
    """
    try:
        tree = ast.parse(code_of(scene.user_frame))
    except (SyntaxError, ValueError):
        return ""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _called(node.func) != function:
            continue
        if argument is None:
            return ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if argument < len(node.args):
            value = node.args[argument]
            is_list = isinstance(value, ast.List | ast.Tuple) and len(value.elts) > 0
            return ast.unparse(value.elts[0] if is_list else value)  # type: ignore[attr-defined]
    return ""


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def described(facts: TensorFacts | None, otherwise: str = "a tensor", text: str = "") -> str:
    """`y (f32[3])`, or words for a tensor that is not known.

    Args:
        facts: The tensor.
        otherwise: What to say if nothing is known of it.
        text: What the user wrote for it, where it has no name.
    """
    if facts is None:
        return text or otherwise
    name = facts.names[0] if facts.names else text
    return f"{name} ({facts.meta})" if name else facts.name


def sentence(text: str) -> str:
    """With a capital letter, where it begins with an article and not with a name."""
    return "A" + text[1:] if text.startswith(("a ", "an ")) else text


def with_article(kind: str) -> str:
    """`a float`, `an int`."""
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
