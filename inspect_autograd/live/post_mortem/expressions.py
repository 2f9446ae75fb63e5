"""What a frame was at: the expression, the operation in it, and the tensors it names."""

from __future__ import annotations

import ast
import dis
import linecache
import re
from collections.abc import Iterator
from itertools import islice

from .live_frame import LiveFrame

__all__ = ["find_expression", "find_operation", "find_paths"]

_PATH = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[(?:-?\d+|\"[^\"]*\"|'[^']*')\])*")
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.MatMult: "matmul",
    ast.Div: "truediv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.BitAnd: "and",
    ast.FloorDiv: "floordiv",
}


def find_expression(live: LiveFrame) -> str:
    """The text of the innermost expression that was running; empty if Python does not know."""
    code = live.frame.f_code
    places = next(islice(code.co_positions(), live.lasti // 2, None), None)
    if places is None or None in places:
        return ""
    first, last, start, end = (place or 0 for place in places)
    lines = [
        linecache.getline(code.co_filename, line, live.frame.f_globals).encode()
        for line in range(first, last + 1)
    ]
    if not lines or not all(lines):
        return ""
    lines[-1] = lines[-1][:end]
    lines[0] = lines[0][start:]
    text = b"".join(lines).decode(errors="replace")
    return " ".join(text.split())


def find_operation(live: LiveFrame, expression: str) -> str:
    """The last part of the name of what was called; see `Scene.operation`."""
    instruction = dis.opname[live.frame.f_code.co_code[live.lasti]]
    if instruction == "STORE_SUBSCR":
        return "__setitem__"
    try:
        tree = ast.parse(expression)
    except SyntaxError:
        return ""
    statement = tree.body[0] if len(tree.body) == 1 else None
    node = statement.value if isinstance(statement, ast.Expr) else statement
    if instruction == "STORE_ATTR":
        return f"{node.attr}=" if isinstance(node, ast.Attribute) else ""
    return _name_of(node)


def _name_of(node: ast.AST | None) -> str:
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return name
        case ast.BinOp(op=operator):
            return f"__{_OPERATORS[type(operator)]}__"
        case ast.AugAssign(op=operator):
            return f"__i{_OPERATORS[type(operator)]}__"
        case ast.UnaryOp(op=ast.USub()):
            return "__neg__"
        case ast.Subscript():
            return "__getitem__"
        case ast.Attribute(attr=name):
            return name
    return ""


def find_paths(*texts: str) -> Iterator[str]:
    """What names something in pieces of code, in order: `x`, `self.w`, `losses[0]`."""
    for text in texts:
        for found in _PATH.finditer(text):
            yield found[0]
