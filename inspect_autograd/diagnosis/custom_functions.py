"""Custom Functions of a scene: which one is meant, what its backward returns, and for whom."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from ..graph.creation import SourceLine
from ..graph.tensor_meta import TensorMeta
from .scene import FunctionFacts, Scene

__all__ = ["ReturnLine", "argument_of", "expected_gradients", "find_function", "returns_of"]


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """A `return` of a backward.

    Attributes:
        text: The statement.
        source: Its line.
        values: Text of each value that it returns; one that is no tuple is one value.
        is_tuple: Whether the text shows a tuple, so that the number of values is sure.
    """

    text: str
    source: SourceLine
    values: tuple[str, ...]
    is_tuple: bool


def find_function(scene: Scene, node_name: str) -> FunctionFacts | None:
    """The class whose nodes have this name; one that is part of the graph comes first."""
    found = [f for f in scene.functions if f.node_name.lower() == node_name.lower()]
    found.sort(key=lambda function: not function.nodes)
    return found[0] if found else None


def returns_of(function: FunctionFacts, count: int | None = None) -> tuple[ReturnLine, ...]:
    """The `return` lines of its backward.

    Args:
        function: The class.
        count: How many values came back: only lines that can have returned so many, and if there
            are some, only those whose text shows it.
    """
    lines = [_parse(text, source) for text, source in function.backward_code]
    if count is None:
        return tuple(lines)
    exact = [line for line in lines if line.is_tuple and len(line.values) == count]
    if count == 1:
        exact += [line for line in lines if not line.is_tuple and line.values]
    return tuple(exact or [line for line in lines if not line.is_tuple])


def argument_of(function: FunctionFacts, scene: Scene, slot: int) -> str:
    """Which argument of forward a gradient belongs to, by its place among the tensors.

    Args:
        function: The class.
        scene: Its graph knows how many tensors forward got.
        slot: Index among the arguments that are tensors.

    Returns:
        The argument's name; empty where numbers stand among the arguments, so that it cannot be
        told.
    """
    if scene.graph is None or not function.nodes:
        return ""
    tensors = scene.graph.nodes[function.nodes[0]].input_slots
    if tensors == len(function.inputs) and slot < tensors:
        return function.inputs[slot]
    return ""


def expected_gradients(function: FunctionFacts, scene: Scene) -> tuple[TensorMeta | None, ...]:
    """What the gradients of its tensor arguments must be; None where none is needed."""
    if scene.graph is None or not function.nodes:
        return ()
    node = scene.graph.nodes[function.nodes[0]]
    found: list[TensorMeta | None] = [None] * node.input_slots
    table = scene.graph.edge_table
    for position in range(table.starts[node.id], table.starts[node.id + 1]):
        edge = scene.graph.edges[position]
        receives = scene.graph.nodes[edge.target].receives
        if edge.source_slot < len(found) and edge.target_slot < len(receives):
            found[edge.source_slot] = receives[edge.target_slot]
    return tuple(found)


def _parse(text: str, source: SourceLine) -> ReturnLine:
    try:
        (statement,) = ast.parse(text).body
    except (SyntaxError, ValueError):
        return ReturnLine(text, source, (), False)
    value = statement.value if isinstance(statement, ast.Return) else None
    if value is None:
        return ReturnLine(text, source, ("None",), False)
    if isinstance(value, ast.Tuple):
        is_plain = not any(isinstance(item, ast.Starred) for item in value.elts)
        return ReturnLine(text, source, tuple(map(ast.unparse, value.elts)), is_plain)
    return ReturnLine(text, source, (ast.unparse(value),), False)
