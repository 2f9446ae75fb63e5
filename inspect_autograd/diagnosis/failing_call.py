"""How the user wrote the call that failed, so that a fix can be pasted with the same names."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from .failing_text import FailingText
from .rule import is_users_own
from .scene import Scene, TensorFacts
from .writes_in_text import called_name

__all__ = ["FailingCall", "as_code", "call_of", "find_failing_call", "is_refusal", "named"]

LONGEST_NAME = 40
"""Characters of an expression that may stand for a name."""


@dataclass(frozen=True)
class FailingCall:
    """The text of the arguments of `backward()` or `grad()`, as far as the text is known.

    Attributes:
        text: The function that failed.
        node: The call in it; None where the line could not be read or holds no such call.
        outputs: Text of each output.
        inputs: Text of each input.
        gradients: Text of each gradient.
    """

    text: FailingText | None = None
    node: ast.Call | None = None
    outputs: tuple[ast.expr, ...] = ()
    inputs: tuple[ast.expr, ...] = ()
    gradients: tuple[ast.expr, ...] = ()

    def output_text(self, index: int | None) -> str:
        """What the user wrote for an output; empty if that is unknown."""
        return self._text(self.outputs, index)

    def input_text(self, index: int | None) -> str:
        """What the user wrote for an input; empty if that is unknown."""
        return self._text(self.inputs, index)

    def gradient_text(self, index: int | None) -> str:
        """What the user wrote for a gradient; empty if that is unknown."""
        return self._text(self.gradients, index)

    def _text(self, expressions: tuple[ast.expr, ...], index: int | None) -> str:
        if self.text is None or index is None or index >= len(expressions):
            return ""
        return self.text.text(expressions[index])


def find_failing_call(scene: Scene) -> FailingCall:
    """The call on the failing line of the user's innermost frame."""
    if scene.user_frame is None:
        return FailingCall()
    text = FailingText(scene.user_frame)
    call = text.find_call("backward", "grad")
    if call is None or not isinstance(call.func, ast.Attribute | ast.Name):
        return FailingCall(text)
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    arguments = dict(enumerate(call.args))

    def given(position: int, *names: str) -> tuple[ast.expr, ...]:
        value = arguments.get(position)
        for name in names:
            value = keywords.get(name, value)
        return _elements(value)

    if called_name(call) == "grad":
        return FailingCall(
            text, call, given(0, "outputs"), given(1, "inputs"), given(2, "grad_outputs")
        )
    if ast.unparse(call.func) in ("torch.autograd.backward", "autograd.backward", "backward"):
        return FailingCall(
            text, call, given(0, "tensors"), given(5, "inputs"), given(1, "grad_tensors")
        )
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
    outputs = () if receiver is None else (receiver,)
    return FailingCall(text, call, outputs, given(3, "inputs"), given(0, "gradient"))


def named(facts: TensorFacts | None, text: str = "") -> str:
    """What to call a tensor: what the user wrote, one of its names, or `a tensor`."""
    if text and len(text) <= LONGEST_NAME:
        return text
    if facts is not None and facts.names:
        return facts.names[0]
    return text if text and len(text) <= 2 * LONGEST_NAME else "the tensor"


def as_code(expression: str) -> str:
    """The expression, or a name in the place of words such as `the tensor`.

    Where the text of the program is not known, a hint has to call things something.
    """
    try:
        ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError):
        return _STAND_INS.get(expression, "loss")
    return expression


_STAND_INS = {"the gradient": "v", "the view": "view"}


def call_of(expression: str, method: str) -> str:
    """`y.sum()`, or `(x * 2).sum()`: an expression with a method called on it.

    Args:
        expression: Text of it.
        method: What follows, with its dot.
    """
    expression = as_code(expression)
    tree = ast.parse(expression, mode="eval").body
    is_simple = isinstance(tree, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
    return f"{expression}{method}" if is_simple else f"({expression}){method}"


def is_refusal(scene: Scene, *types: str) -> bool:
    """Whether PyTorch raised this, and not the user's own program with similar words.

    Args:
        scene: Its failure and frames.
        types: Names of the exceptions that PyTorch raises here.
    """
    return scene.failure is not None and scene.failure.type in types and not is_users_own(scene)


def _elements(value: ast.expr | None) -> tuple[ast.expr, ...]:
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return ()
    if isinstance(value, ast.List | ast.Tuple):
        return tuple(value.elts)
    return (value,)
