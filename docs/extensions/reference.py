"""The directive `reference`: the documentation of public names, from their docstrings.

    ```{reference}
    capture
    Graph
    ```

A class brings its public methods and properties, a module all of its `__all__`.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.nodes import Element
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

import inspect_autograd

PACKAGE = inspect_autograd.__name__


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive, and the links from types in signatures to what it documents."""
    app.add_directive("reference", Reference)
    app.connect("missing-reference", _find_public_name)
    app.connect("doctree-read", _shorten_types)
    app.connect("autodoc-process-signature", _hide_constructor)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def find_object(name: str) -> object:
    """What a name means, as a user would write it after `ia.` or after `inspect_autograd.`."""
    if "." not in name:
        return getattr(inspect_autograd, name)
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"{PACKAGE}.{module}"), attribute)


def to_directive(name: str) -> str:
    """The directive of autodoc that documents a name."""
    documented = find_object(name)
    full_name = f"{PACKAGE}.{name}"
    if isinstance(documented, ModuleType):
        return f".. automodule:: {full_name}\n   :members:\n"
    if inspect.isclass(documented):
        bases = "   :show-inheritance:\n" if issubclass(documented, Exception) else ""
        return f".. autoclass:: {full_name}\n   :members:\n{bases}"
    if callable(documented):
        return f".. autofunction:: {full_name}\n"
    return f".. autodata:: {full_name}\n   :no-value:\n"


class Reference(SphinxDirective):
    """The documentation of the names in its content, one a line."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """What autodoc makes of each name."""
        text = "\n".join(to_directive(name.strip()) for name in self.content if name.strip())
        return self.parse_text_to_nodes(f"````{{eval-rst}}\n{text}\n````")


def _hide_constructor(_app: Sphinx, what: str, *_details: object) -> tuple[str, None] | None:
    """Records are made by us, not by users: how to call their classes is not public."""
    return ("", None) if what == "class" else None


def _find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: Element
) -> Element | None:
    """Lead from the module in which a class is defined to its public name."""
    if node.get("refdomain") != "py":
        return None
    name = node["reftarget"].rpartition(".")[2]
    domain = env.domains.python_domain
    if name not in inspect_autograd.__all__ or f"{PACKAGE}.{name}" not in domain.objects:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", f"{PACKAGE}.{name}", node, text
    )


def _shorten_types(_app: Sphinx, doctree: nodes.document) -> None:
    """Show `SourceLine` for a type that autodoc writes with the module in which it is defined."""
    for reference in doctree.findall(pending_xref):
        for text in list(reference.findall(nodes.Text)):
            if reference.get("refdomain") == "py" and text.startswith(f"{PACKAGE}."):
                text.parent.replace(text, nodes.Text(text.rpartition(".")[2]))
