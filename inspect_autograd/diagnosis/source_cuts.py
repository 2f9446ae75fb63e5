"""Find where a tensor lost its graph in the text of the function that failed.

The text says what was written, not what happened, so a find counts as proved only where the
variables agree: what went in carries a graph, and what came out does not.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ..graph.creation import SourceLine
from .failing_text import FailingText, operands
from .scene import FrameFacts, TensorFacts
from .writes_in_text import called_name

__all__ = ["SourceCut", "SourceCutKind", "find_source_cut", "names_behind", "trained_models"]

SourceCutKind = Literal[
    "detach", "data", "Python value", "copy", "integer", "no_grad", "inference_mode",
    "checkpoint", "custom Function", "call",
]  # fmt: skip

_BY_METHOD: dict[str, SourceCutKind] = {
    "detach": "detach", "detach_": "detach",
    "item": "Python value", "tolist": "Python value", "numpy": "Python value",
    **dict.fromkeys(
        ("argmax", "argmin", "argsort", "long", "int", "short", "byte", "bool", "char",
         "eq", "ne", "gt", "ge", "lt", "le", "nonzero", "multinomial", "bernoulli", "one_hot",
         "isclose", "logical_and", "logical_or", "logical_not", "searchsorted", "bucketize",
         "count_nonzero"),
        "integer",
    ),
}  # fmt: skip
"""What each of these calls does to the graph, as a method or as a function of torch."""

_COPIES = ("tensor", "Tensor", "FloatTensor", "from_numpy", "array", "asarray")
_SELECTS = ("where", "masked_fill", "masked_select", "gather", "index_select", "scatter")
"""Functions whose mask or index has no graph, while their result may."""
_INTEGERS = ("long", "int", "short", "byte", "bool", "uint8", "int8", "int16", "int32", "int64")
MAX_STEPS = 40
"""Assignments that are followed back."""


@dataclass(frozen=True, slots=True)
class SourceCut:
    """A place in the text where a tensor lost, or may have lost, its graph.

    Attributes:
        kind: How.
        text: The expression, as it was written.
        source: Its line.
        operand: The variable that carries a graph and went in; empty if none was found.
        is_proved: Whether the variables show that the graph ends here.
    """

    kind: SourceCutKind
    text: str
    source: SourceLine
    operand: str = ""
    is_proved: bool = False


def find_source_cut(text: FailingText, expression: ast.expr) -> SourceCut | None:
    """Where the value of an expression without a graph lost it; None where nothing is suspicious.

    Args:
        text: The function, with the variables of its frame.
        expression: Whose value has no graph.
    """
    tensors = text.frame.tensors
    trained = trained_models(text.frame)
    waiting: list[tuple[str, ast.expr, ast.expr | ast.stmt]] = [("", expression, expression)]
    seen: set[str] = set()
    possible: SourceCut | None = None
    while waiting and len(seen) < MAX_STEPS:
        target, value, place = waiting.pop(0)
        names = operands(value)
        alive = [name for name in names if _carries_graph(tensors.get(name))]
        cut = _cut_around(text, place, value, alive, trained) or _cut_in(text, value, alive)
        if cut is not None and cut.kind == "call" and _is_integer(tensors.get(target)):
            cut = replace(cut, kind="integer", is_proved=True)
        if cut is not None and (cut.is_proved or possible is None):
            possible = cut
        if possible is not None and possible.is_proved:
            return possible
        for name in names:
            if name in seen or name in alive:
                continue
            seen.add(name)
            found = text.find_assignment(name, place)
            if found is not None and found.statement is not place:
                waiting.append((name, found.value, found.statement))
    return possible


def trained_models(frame: FrameFacts) -> set[str]:
    """The modules among the variables of a frame that have parameters which require grad."""
    return {
        name
        for name, words in frame.others.items()
        if re.search(r"parameters?, \d+ of which require", words)
    }


def names_behind(text: FailingText, expression: ast.expr) -> set[str]:
    """The variables that a value was computed from, directly or not, as far as the text tells."""
    waiting: list[tuple[ast.expr, ast.expr | ast.stmt]] = [(expression, expression)]
    seen: set[str] = set()
    while waiting and len(seen) < MAX_STEPS:
        value, place = waiting.pop(0)
        for name in operands(value):
            found = None if name in seen else text.find_assignment(name, place)
            seen.add(name)
            if found is not None and found.statement is not place:
                waiting.append((found.value, found.statement))
    return seen


def _carries_graph(facts: TensorFacts | None) -> bool:
    return facts is not None and facts.requires_grad


def _is_integer(facts: TensorFacts | None) -> bool:
    return facts is not None and not facts.meta.dtype.startswith(("float", "bfloat", "complex"))


def _cut_in(text: FailingText, value: ast.expr, alive: list[str]) -> SourceCut | None:
    """The innermost part of an expression that ends a graph."""
    parts = [part for part in _data_flow(value) if _kind_of(text, part) is not None]
    proved = [part for part in parts if set(operands(part)) & set(alive)]
    for part in reversed(proved or parts):
        kind = _kind_of(text, part)
        if kind is not None:
            operand = next((name for name in operands(part) if name in alive), "")
            # torch.tensor() and its like never keep a graph, whatever goes in.
            is_proved = bool(operand) or kind == "copy"
            return SourceCut(kind, text.text(part), text.source(part), operand, is_proved)
    if alive and not isinstance(value, ast.Name | ast.Attribute):
        calls = [part for part in _data_flow(value) if isinstance(part, ast.Call)]
        calls = [part for part in calls if set(operands(part)) & set(alive)]
        if calls:
            return SourceCut("call", text.text(calls[-1]), text.source(calls[-1]), alive[0])
    return None


def _cut_around(
    text: FailingText,
    place: ast.expr | ast.stmt,
    value: ast.expr,
    alive: list[str],
    trained: set[str],
) -> SourceCut | None:
    """A `with` block or decorator around a place under which nothing is recorded."""
    if isinstance(value, ast.Name | ast.Constant):
        return None
    proofs = [*alive, *(name for name in operands(value) if name in trained)]
    for block in text.blocks_around(place):
        written = ast.unparse(block)
        name = called_name(block) if isinstance(block, ast.Call) else written.split(".")[-1]
        kind: SourceCutKind | None = None
        if name in ("no_grad", "inference_mode"):
            kind = "no_grad" if name == "no_grad" else "inference_mode"
        elif name == "set_grad_enabled" and written.endswith("(False)"):
            kind = "no_grad"
        if kind is not None:
            line = text.source(place)
            return SourceCut(
                kind, text.text(block), line, proofs[0] if proofs else "", bool(proofs)
            )
    return None


def _data_flow(expression: ast.expr) -> Iterator[ast.expr]:
    """The parts that the value is made of, outermost first; no masks, no indices."""
    waiting: list[ast.AST] = [expression]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.expr):
            yield node
        if isinstance(node, ast.Subscript):
            waiting.append(node.value)
        elif isinstance(node, ast.IfExp):
            waiting += [node.body, node.orelse]
        elif isinstance(node, ast.Call) and called_name(node) in _SELECTS:
            waiting += [node.func, *node.args[1:]]
        else:
            waiting += ast.iter_child_nodes(node)


def _kind_of(text: FailingText, part: ast.expr) -> SourceCutKind | None:
    """How a part ends a graph; None if it does not."""
    if isinstance(part, ast.Compare):
        return "integer"
    if isinstance(part, ast.Attribute):
        return "data" if part.attr == "data" else "integer" if part.attr == "indices" else None
    if isinstance(part, ast.Subscript):
        return "integer" if _takes_indices(part) else None
    if not isinstance(part, ast.Call):
        return None
    name = called_name(part)
    if name in _BY_METHOD and (isinstance(part.func, ast.Attribute)):
        return _BY_METHOD[name]
    if name in _COPIES and any(not isinstance(a, ast.Constant) for a in part.args):
        return "copy" if any(operands(a) for a in part.args) else None
    if isinstance(part.func, ast.Name) and name in ("float", "int", "bool"):
        return "Python value" if any(operands(a) for a in part.args) else None
    if name in ("to", "type") and _asks_for_integers(part):
        return "integer"
    if name == "checkpoint":
        return "checkpoint"
    if name == "apply" and isinstance(part.func, ast.Attribute):
        kind = text.frame.others.get(ast.unparse(part.func.value), "")
        return "custom Function" if kind.startswith("FunctionMeta") else None
    return None


def _asks_for_integers(call: ast.Call) -> bool:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(
        isinstance(argument, ast.Attribute)
        and (argument.attr in _INTEGERS or argument.attr == "LongTensor")
        for argument in arguments
    )


def _takes_indices(part: ast.Subscript) -> bool:
    """Whether it is the second result, as in `scores.max(1)[1]`."""
    function, index = part.value, part.slice
    return (
        isinstance(function, ast.Call)
        and called_name(function) in ("max", "min", "topk", "sort", "median", "mode", "kthvalue")
        and isinstance(index, ast.Constant)
        and index.value == 1
    )
