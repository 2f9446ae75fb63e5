"""What is wrong with the gradients that the backward of a custom Function returned."""

from __future__ import annotations

import ast
import re

from ..graph.creation import SourceLine
from .custom_functions import (
    ReturnLine,
    argument_of,
    expected_gradients,
    find_function,
    returns_of,
)
from .numbers_in_words import count_of, listed
from .records import Diagnosis, Evidence, Hint
from .scene import FunctionFacts, Scene
from .subjects import with_article

__all__ = ["for_no_tensor", "invalid", "no_tensor", "wrong_number"]

SLUG = "custom-function"
_OPERATOR = re.compile(r"GeneratedBackwardFor_(\w+?)_default(?:Backward)?$")
"""The node of an operator whose derivative `torch.library.register_autograd` gave."""
_CONTRACT = (
    "backward must return one gradient for each argument of forward after ctx, in the same order. "
    "An argument that needs none (a number, a flag, a constant) gets None."
)
_SHAPE = (
    "The gradient says for every element of an argument how the loss changes with it, so it has "
    "the argument's own shape, not that of the output. (A gradient that is larger only by "
    "broadcasting is summed down without a word.)"
)


def wrong_number(scene: Scene, match: re.Match[str]) -> Diagnosis:
    """Too many or too few gradients."""
    function = find_function(scene, match["node"])
    # The node of an operator counts one more on both sides: what torch.library keeps for itself.
    extra = 1 if _OPERATOR.match(match["node"]) else 0
    expected, got = int(match["expected"]) - extra, int(match["got"]) - extra
    name = _name(function, match["node"])
    has = f"forward has {count_of(expected, 'argument')}{_names(function, expected)}"
    lines = () if function is None else returns_of(function, got)
    inputs = () if function is None or len(function.inputs) != expected else function.inputs
    if got < expected:
        end = f": there is none for {listed(inputs[got:])}." if inputs[got:] else "."
        summary = f"{name} returned {count_of(got, 'gradient')}, but {has}{end}"
    else:
        summary = f"{name} returned {count_of(got, 'gradient')}, but {has}."
    return Diagnosis(
        slug=SLUG,
        summary=summary,
        explanation=_CONTRACT,
        evidence=(*_definitions(function, lines), *_needed(scene, function)),
        hints=_count_hints(lines, inputs, expected, got),
        source=_source(function, lines),
    )


def invalid(scene: Scene, match: re.Match[str]) -> Diagnosis:
    """A gradient of the wrong shape, or on the wrong device."""
    function = find_function(scene, match["node"])
    index, what = int(match["index"]), match["what"]
    name = _name(function, match["node"])
    argument = "" if function is None else argument_of(function, scene, index)
    whom = argument or f"tensor argument number {index + 1}"
    shapes = re.search(r"got (\[.*?\]) but expected shape compatible with (\[.*?\])", what)
    lines = () if function is None else returns_of(function)
    if shapes is not None:
        got, expected = shapes[1], shapes[2]
        summary = (
            f"{name} returned a gradient of shape {got} for {whom}, which has shape {expected}."
        )
        hints = _shape_hints(lines, index, got, expected)
    else:
        summary = f"{name} returned a gradient for {whom} that does not fit it: {what}."
        hints = (Hint(f"Return a gradient of the same kind and on the same device as {whom}."),)
    return Diagnosis(
        slug=SLUG,
        summary=summary,
        explanation=_SHAPE if shapes is not None else _CONTRACT,
        evidence=(*_definitions(function, lines), *_needed(scene, function)),
        hints=hints,
        source=_source(function, lines),
    )


def for_no_tensor(scene: Scene, match: re.Match[str]) -> Diagnosis:
    """A gradient for an argument that was no tensor."""
    function = find_function(scene, match["node"])
    position = int(match["position"])
    name = _name(function, match["node"])
    inputs = () if function is None else function.inputs
    whom = inputs[position - 1] if position <= len(inputs) else f"argument number {position}"
    lines = () if function is None else returns_of(function, len(inputs))
    line = _only(lines)
    code = ""
    if line is not None and line.is_tuple and position <= len(line.values):
        values = list(line.values)
        values[position - 1] = "None"
        code = f"return {', '.join(values)}"
    return Diagnosis(
        slug=SLUG,
        summary=f"{name} returned a gradient for {whom}, but {whom} was no tensor.",
        explanation=f"{_CONTRACT} Only a tensor can have a gradient, so PyTorch takes it that the "
        "gradients are in the wrong order.",
        evidence=_definitions(function, lines),
        hints=(Hint(f"Return None at the place of {whom}.", code),),
        source=_source(function, lines),
    )


def no_tensor(scene: Scene, match: re.Match[str]) -> Diagnosis | None:
    """Something that is neither a tensor nor None."""
    kind = match["type"]
    candidates = _returning(scene, kind)
    if not candidates:
        return None
    function, line = candidates[0]
    is_sure = len(candidates) == 1
    what = with_article(kind) if line is None else f"{with_article(kind)} ({line.text})"
    lines = () if line is None else (line,)
    return Diagnosis(
        slug=SLUG,
        summary=f"{function.name}.backward returned {what} as a gradient; only tensors and None "
        "can be returned.",
        explanation=_CONTRACT,
        evidence=tuple(e for f, at in candidates for e in _definitions(f, (at,) if at else ())),
        hints=(
            Hint(
                "Make the number a tensor of the argument's shape.",
                "return torch.full_like(grad_output, value)",
            ),
            Hint("Return None, if the argument needs no gradient.", "return None"),
        ),
        certainty="certain" if is_sure else "likely",
        source=_source(function, lines),
    )


def _returning(scene: Scene, kind: str) -> list[tuple[FunctionFacts, ReturnLine | None]]:
    """The Functions that may have returned a value of this type; those that show it, if any do."""
    running = None if scene.running is None else find_function(scene, scene.running.name)
    functions = [f for f in scene.functions if f.nodes] or list(scene.functions)
    if running is not None:
        functions = [running]
    shown: list[tuple[FunctionFacts, ReturnLine | None]] = [
        (function, line)
        for function in functions
        for line in returns_of(function)
        if any(_type_of(value) == kind for value in line.values)
    ]
    return shown or [(function, _only(returns_of(function))) for function in functions]


def _type_of(value: str) -> str:
    """The type of a literal; empty for any other expression."""
    try:
        return type(ast.literal_eval(value)).__name__
    except (ValueError, SyntaxError):
        return ""


def _count_hints(
    lines: tuple[ReturnLine, ...], inputs: tuple[str, ...], expected: int, got: int
) -> tuple[Hint, ...]:
    line = _only(lines)
    values = () if line is None or len(line.values) != got else line.values
    if got < expected:
        missing = listed(inputs[got:]) if inputs else count_of(expected - got, "argument")
        code = ", ".join([*values, *["None"] * (expected - got)]) if values else ""
        return (
            Hint(
                f"Return a gradient for {missing} too, or None where no gradient is needed.",
                f"return {code}" if code else "",
            ),
        )
    code = ", ".join(values[:expected])
    return (
        Hint(
            f"Return only {count_of(expected, 'gradient')}.",
            f"return {code}" if code else "",
        ),
        Hint("Or let forward take the arguments that the other gradients are for."),
    )


def _shape_hints(
    lines: tuple[ReturnLine, ...], index: int, got: str, expected: str
) -> tuple[Hint, ...]:
    line = _only(lines)
    value = "grad" if line is None or index >= len(line.values) else line.values[index]
    value = value if value.isidentifier() else f"({value})"
    have, want = _sizes(got), _sizes(expected)
    if have is not None and want is not None:
        if have[::-1] == want and len(want) == 2:
            return (Hint("Transpose it: the sizes are right, in the wrong order.", f"{value}.t()"),)
        if _numel(have) == _numel(want):
            return (Hint("Bring it into that shape.", f"{value}.reshape({expected})"),)
        if have == want[: len(have)]:
            return (Hint("Expand it over the last dimensions.", f"{value}.unsqueeze(-1)"),)
    return (
        Hint(f"Return a gradient of shape {expected}."),
        Hint("Or give the gradients in the order of forward's arguments, if they are mixed up."),
    )


def _sizes(text: str) -> list[int] | None:
    numbers = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
    return [int(n) for n in numbers] if all(n.isdigit() for n in numbers) else None


def _numel(sizes: list[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def _name(function: FunctionFacts | None, node: str) -> str:
    """What to call its backward."""
    operator = _OPERATOR.match(node)
    if function is None and operator is not None:
        return f"The backward that was registered for the operator {operator[1]}"
    name = node.removesuffix("Backward") if function is None else function.name
    return f"{name}.backward"


def _names(function: FunctionFacts | None, count: int) -> str:
    if function is None or len(function.inputs) != count or not count:
        return ""
    return f" ({', '.join(function.inputs)})"


def _only(lines: tuple[ReturnLine, ...]) -> ReturnLine | None:
    return lines[0] if len(lines) == 1 else None


def _source(function: FunctionFacts | None, lines: tuple[ReturnLine, ...]) -> SourceLine | None:
    """The one line that can be guilty, else where backward is defined."""
    line = _only(lines)
    if line is not None:
        return line.source
    return None if function is None else function.backward


def _definitions(
    function: FunctionFacts | None, lines: tuple[ReturnLine, ...]
) -> tuple[Evidence, ...]:
    if function is None:
        return ()
    found = [Evidence(f"{function.name}.backward: {x.text}", x.source) for x in lines]
    if function.forward is not None:
        arguments = ", ".join(function.inputs)
        found.append(Evidence(f"{function.name}.forward takes {arguments}", function.forward))
    return tuple(found)


def _needed(scene: Scene, function: FunctionFacts | None) -> tuple[Evidence, ...]:
    """What each tensor argument needs."""
    if function is None:
        return ()
    metas = expected_gradients(function, scene)
    found = []
    for slot, meta in enumerate(metas):
        name = argument_of(function, scene, slot) or f"tensor argument number {slot + 1}"
        need = "no gradient" if meta is None else f"a gradient of {meta}"
        found.append(Evidence(f"{name} needs {need}", node=function.nodes[0]))
    return tuple(found)
