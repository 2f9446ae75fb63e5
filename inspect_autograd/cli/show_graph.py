"""What `inspect-autograd show` prints of a graph."""

from __future__ import annotations

import argparse
from typing import Any

from ..graph.fold import infer_scopes
from ..graph.graph import Graph
from ..graph.modules import list_modules
from ..graph.records import Node
from ..render.origin_text import line_text, scope_text
from ..render.table import format_table
from .node_details import describe_node_fully, node_data
from .result import Say, UsageError
from .show_memory import show_memory

__all__ = ["choose_node", "no_match_lines", "show_graph"]

FIND = 'Look it up: --find "Mul*" lists the numbers of matching nodes.'


def show_graph(graph: Graph, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Print the graph, or the part of it that was asked for; the same as data."""
    if options.find is not None:
        return _find(graph, options, say)
    if options.node is not None:
        node = choose_node(graph, options.node)
        say(describe_node_fully(graph, node))
        return {"node": node_data(graph, node)}
    if options.memory is not None:
        return show_memory(graph, options, say)
    if options.tree:
        text = graph.tree(max_lines=options.max_lines)
        say(text)
        return {"tree": text.splitlines()}
    if options.modules:
        say(graph.tree(by="scope", max_lines=options.max_lines))
        scoped = infer_scopes(graph)
        return {"scopes": scoped.scopes, "modules": list_modules(scoped)}
    summary = graph.summary()
    say(str(summary) if options.summary else str(graph))
    return {"summary": summary, "roots": graph.roots, "notes": graph.notes}


def _find(graph: Graph, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    found = graph.find(options.find)
    shown = found[: options.max_lines]
    if found:
        rows = [
            (
                f"#{node.id}",
                node.label,
                ", ".join("none" if meta is None else str(meta) for meta in node.receives),
                node.name if node.label != node.name else "",
                scope_text(node.scope),
                line_text(node),
            )
            for node in shown
        ]
        say(format_table(rows, ("node", "name", "receives", "kind of node", "module", "line")))
        match = "matches" if len(found) == 1 else "match"
        left_out = len(found) - len(shown)
        more = f"; {left_out} more than --max-lines {options.max_lines} shows" if left_out else ""
        say(f"{len(found)} of {len(graph)} nodes {match} {options.find!r}{more}")
    else:
        say(no_match_lines(graph, options.find))
    return {
        "pattern": options.find,
        "found": len(found),
        "nodes": [node_data(graph, node) for node in shown],
    }


def no_match_lines(graph: Graph, pattern: str) -> str:
    """That no node matches, and what would."""
    kinds = ", ".join(name for name, _ in graph.summary().names[:8])
    scopes = [*dict.fromkeys(filter(None, graph.node_table.scopes.values()))]
    modules = ""
    if graph.scopes == "recorded" and scopes:
        modules = f" Modules are {', '.join(scopes[:4])}{', …' if len(scopes) > 4 else ''}."
    return (
        f"0 of {len(graph)} nodes match {pattern!r}\n"
        f'There are {kinds}.{modules} A glob with stars matches parts of a name: "*Mul*".'
    )


def choose_node(graph: Graph, id: int, *, remedy: str = FIND) -> Node:
    """The node of a number that was given on the command line.

    Args:
        graph: Where to look.
        id: The number.
        remedy: Where numbers can be found.

    Raises:
        UsageError: There is none.
    """
    if not 0 <= id < len(graph):
        raise UsageError(
            f"there is no node {id}: this graph has the nodes 0 to {len(graph) - 1}",
            remedy=remedy,
        )
    return graph.nodes[id]
