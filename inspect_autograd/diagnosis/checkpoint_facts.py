"""What is known of a checkpointed function, and what in its text differs from run to run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from ..graph.creation import SourceLine
from .function_body import FunctionBody
from .parsed_text import parse_text
from .writes_in_text import dotted

__all__ = ["CheckpointFacts", "Suspect", "find_suspects"]

_CHANGING = ("append", "extend", "insert", "pop", "popleft", "popitem", "remove", "clear", "add")
_CHANGING_SETS = ("discard", "update", "setdefault")
_OWN_RANDOM = ("random.", "np.random.", "numpy.random.", "secrets.", "time.", "uuid.")
_TORCH_RANDOM = ("torch.rand", "torch.bernoulli", "torch.multinomial", "torch.normal")


@dataclass(frozen=True, slots=True)
class CheckpointFacts:
    """The checkpoint that a traceback leads into; `Scene.numbers["checkpoint"]`.

    Attributes:
        functions: What was checkpointed, outermost first: the function, or the forward of the
            module and of the modules in it that are the user's own.
        keeps_random_state: Whether the state of torch's random numbers is restored for the second
            run; None if that is not known.
    """

    functions: tuple[FunctionBody, ...]
    keeps_random_state: bool | None = None


@dataclass(frozen=True, slots=True)
class Suspect:
    """Something in a function that may differ when it runs again.

    Attributes:
        text: What it does, in words.
        source: Its line.
        kind: `state` (it changes what outlives the call), `random`, or `mode`.
    """

    text: str
    source: SourceLine
    kind: str


def find_suspects(facts: CheckpointFacts) -> tuple[Suspect, ...]:
    """What differs from run to run, as far as the texts tell: state first, then randomness."""
    found = [suspect for body in facts.functions for suspect in _look(body, facts)]
    order = {"state": 0, "random": 1, "mode": 2}
    found.sort(key=lambda suspect: order[suspect.kind])
    return tuple(dict.fromkeys(found))


def _look(body: FunctionBody, facts: CheckpointFacts) -> Iterator[Suspect]:
    function = _parse(body)
    if function is None:
        return
    local = _local_names(function)
    for node in ast.walk(function):
        if not isinstance(node, ast.stmt | ast.expr):
            continue
        source = SourceLine(body.source.file, node.lineno, body.name)
        for text, kind in _suspicions(node, local, facts):
            yield Suspect(text, source, kind)


def _suspicions(
    node: ast.stmt | ast.expr, local: set[str], facts: CheckpointFacts
) -> Iterator[tuple[str, str]]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    for target in targets:
        if _outlives(target, local):
            yield f"it changes {ast.unparse(target)}, which outlives the call", "state"
    if isinstance(node, ast.Call):
        yield from _call(node, local, facts)
    elif isinstance(node, ast.Attribute) and node.attr == "training":
        yield f"it depends on {ast.unparse(node)}", "mode"


def _call(node: ast.Call, local: set[str], facts: CheckpointFacts) -> Iterator[tuple[str, str]]:
    name = dotted(node.func)
    shown = ast.unparse(node.func)
    if isinstance(node.func, ast.Attribute) and node.func.attr in (*_CHANGING, *_CHANGING_SETS):
        if _outlives(node.func.value, local, is_object=True):
            yield f"{shown}() changes what outlives the call", "state"
    elif name == "next" and node.args:
        yield f"{ast.unparse(node)} takes another item in every run", "state"
    elif name.startswith(_OWN_RANDOM):
        yield f"{shown}() gives another value in every run", "random"
    elif facts.keeps_random_state is False and name.startswith(_TORCH_RANDOM):
        yield f"{shown}() is random, and preserve_rng_state is off", "random"


def _outlives(target: ast.expr, local: set[str], is_object: bool = False) -> bool:
    """Whether what is changed is still there after the call."""
    root: ast.AST = target
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    if not isinstance(root, ast.Name):
        return False
    if root is target and not is_object:  # A plain variable: only a global one outlives the call.
        return f"global {root.id}" in local
    return root.id == "self" or root.id not in local


def _local_names(function: ast.FunctionDef | ast.Lambda) -> set[str]:
    """Names that are bound in the function; what it declares as global as `global name`."""
    names = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    shared: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            shared.update(node.names)
    return (names - shared) | {f"global {name}" for name in shared}


def _parse(body: FunctionBody) -> ast.FunctionDef | ast.Lambda | None:
    parsed = parse_text(body.text, body.source.line)
    nodes = () if parsed is None else ast.walk(parsed.tree)
    return next((n for n in nodes if isinstance(n, ast.FunctionDef | ast.Lambda)), None)
