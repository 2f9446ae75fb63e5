"""Docstrings are written to be read as they are; here they become reStructuredText."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx
from sphinx.domains.python._object import PyObject

# What stands between single backticks is code here, and not the name of something.
CODE = re.compile(r"(?<![`\w:])`([^`\n]+)`(?!`|_)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Rewrite before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", _rewrite, priority=400)
    app.connect("autodoc-process-docstring", _add_types, priority=600)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _rewrite(
    _app: Sphinx, _what: str, _name: str, _documented: object, _options: object, lines: list[str]
) -> None:
    lines[:] = [CODE.sub(r"``\1``", line) for line in lines]


def _add_types(
    _app: Sphinx, what: str, _name: str, documented: Any, _options: object, lines: list[str]
) -> None:
    """Add the types of the attributes of a class, which stand in its annotations."""
    if what != "class":
        return
    types = getattr(documented, "__annotations__", {})
    for at in range(len(lines) - 1, -1, -1):
        attribute = re.match(r":ivar (\w+):", lines[at])
        if attribute and isinstance(types.get(attribute[1]), str):
            lines.insert(at, f":vartype {attribute[1]}: {types[attribute[1]]}")
