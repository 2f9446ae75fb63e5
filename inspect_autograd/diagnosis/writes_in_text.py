"""What a statement of the user's program writes in place, as far as its text tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Write", "called_name", "dotted", "find_writes"]

_FUNCTION_MODULES = ("torch", "F", "torch.nn.functional", "nn.functional", "init", "nn.init")
_SAME_MEMORY = ("data", "T", "mT", "grad")
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.MatMult: "@",
    ast.Pow: "**",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
}


@dataclass(frozen=True, slots=True)
class Write:
    """One write in place, as the text shows it.

    Attributes:
        target: What is written, as the text has it: `y`, `x[:, 0]`, `w.data`.
        how: `+=`, `[…] =`, `add_()`, `out=`, `inplace=True`.
        root: The variable that it is written through: `x` for `x[0].add_(1)`; empty if it is none.
        value: Text of the right side, or of the arguments: `1` for `x += 1` and `x.add_(1)`.
        function: For `out=` and `inplace=True`, what is called: `torch.add`.
    """

    target: str
    how: str
    root: str
    value: str = ""
    function: str = ""

    @property
    def out_of_place(self) -> str:
        """The same without the write, as code: `y = y + 1` for `y += 1`."""
        name = self.root or "x"
        if self.target != name:
            return f"{name} = {name}.clone()  # and write to the copy"
        if self.how.endswith("=") and self.how[:-1] in _OPERATORS.values():
            return f"{name} = {name} {self.how[:-1]} {self.value}"
        if self.function:
            return f"{name} = {self.function}({self.value})"
        method = self.how.removesuffix("_()")
        whole = {"zero": f"torch.zeros_like({name})", "copy": f"{self.value}.clone()"}
        return f"{name} = {whole.get(method, f'{name}.{method}({self.value})')}"


def dotted(node: ast.AST) -> str:
    """`self.h` for such an expression; empty for any other kind."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def called_name(call: ast.Call) -> str:
    """The last part of what is called: `add_` of `x.add_(1)`."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else dotted(function)


def find_writes(node: ast.stmt, calls: Sequence[ast.Call]) -> Iterator[Write]:
    """The writes of a statement.

    Args:
        node: The statement.
        calls: The calls in it.
    """
    if isinstance(node, ast.AugAssign):
        how = f"{_OPERATORS.get(type(node.op), '')}="
        yield _write(node.target, how, ast.unparse(node.value))
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                yield _write(target, "[…] =", ast.unparse(node.value))
    for call in calls:
        yield from _written_by(call)


def _written_by(call: ast.Call) -> Iterator[Write]:
    arguments = ", ".join(map(ast.unparse, call.args))
    for keyword in call.keywords:
        if keyword.arg == "out":
            yield _write(keyword.value, "out=", arguments, ast.unparse(call.func))
        elif keyword.arg == "inplace" and call.args and _is_true(keyword.value):
            yield _write(call.args[0], "inplace=True", arguments, ast.unparse(call.func))
    function = call.func
    if not isinstance(function, ast.Attribute):
        return
    method = function.attr
    if not method.endswith("_") or method.startswith("_") or method == "requires_grad_":
        return
    if not call.args or dotted(function.value) not in _FUNCTION_MODULES:
        yield _write(function.value, f"{method}()", arguments)
    else:
        yield _write(call.args[0], f"{method}()", ", ".join(map(ast.unparse, call.args[1:])))


def _write(target: ast.expr, how: str, value: str, function: str = "") -> Write:
    """Look through what still is the same memory: indexing, views, `.data`."""
    inner = target
    while True:
        if isinstance(inner, ast.Subscript):
            inner = inner.value
        elif isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            inner = inner.func.value
        elif isinstance(inner, ast.Attribute) and inner.attr in _SAME_MEMORY:
            inner = inner.value
        else:
            return Write(ast.unparse(target), how, dotted(inner), value, function)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True
