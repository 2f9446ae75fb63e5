"""`inspect-autograd show`: a graph, or one node of it, as text."""

from __future__ import annotations

import argparse
from typing import Any

from ..graph.graph import Graph
from ..render.table import format_table
from .node_details import describe_node_fully, node_data
from .result import Result, Say, UsageError
from .target import add_target_arguments, count, load_target

__all__ = ["add_arguments", "run"]

DEFAULT_MAX_LINES = 200

DESCRIPTION = """\
Print a graph as text: by default counts, and the first lines of the tree.

A node receives the gradient of what its forward function returned, and passes gradients on to the
nodes that made its inputs. So the text starts at the loss and ends at the parameters.
"""

EPILOG = """\
examples:
  inspect-autograd show graph.json                     the overview
  inspect-autograd show train.py:loss --tree           the graph as an indented tree
  inspect-autograd show train.py:loss --find "Mul*"    nodes by name, or "*.weight" by parameter
  inspect-autograd show train.py:loss --node 7         all that is known of node 7
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_target_arguments(parser)
    views = parser.add_mutually_exclusive_group()
    views.add_argument("--tree", action="store_true", help="the graph as an indented tree")
    views.add_argument("--summary", action="store_true", help="counts, depth and bytes only")
    views.add_argument(
        "--find",
        metavar="GLOB",
        help='a table of the nodes whose name or parameter matches, such as "Softmax*" '
        "(in quotes, or the shell may replace it by file names)",
    )
    views.add_argument(
        "--node", metavar="ID", type=_node_id, help="one node, by the number that other views show"
    )
    parser.add_argument(
        "--max-lines",
        type=count,
        metavar="N",
        default=DEFAULT_MAX_LINES,
        help="longest tree or table (%(default)s by default); what is left out is said",
    )


def run(options: argparse.Namespace, say: Say) -> Result:
    """Print the graph, or the part of it that was asked for."""
    graph = load_target(options.target, max_nodes=options.max_nodes)
    data: dict[str, Any] = {"target": options.target}
    if options.find is not None:
        return _find(graph, options, say, data)
    if options.node is not None:
        return _show_node(graph, options, say, data)
    if options.tree:
        text = graph.tree(max_lines=options.max_lines)
        say(text)
        return Result(data | {"tree": text.splitlines()})
    summary = graph.summary()
    say(str(summary) if options.summary else str(graph))
    return Result(data | {"summary": summary, "roots": graph.roots, "notes": graph.notes})


def _find(graph: Graph, options: argparse.Namespace, say: Say, data: dict[str, Any]) -> Result:
    found = graph.find(options.find)
    shown = found[: options.max_lines]
    if found:
        rows = [
            (
                f"#{node.id}",
                node.label,
                ", ".join("none" if meta is None else str(meta) for meta in node.receives),
                node.name if node.label != node.name else "",
                "" if node.scope is None else node.scope or "(outermost)",
            )
            for node in shown
        ]
        say(format_table(rows, ("node", "name", "receives", "kind of node", "module")))
    match = "matches" if len(found) == 1 else "match"
    left_out = len(found) - len(shown)
    more = f"; {left_out} more than --max-lines {options.max_lines} shows" if left_out else ""
    say(f"{len(found)} of {len(graph)} nodes {match} {options.find!r}{more}")
    if not found:
        kinds = ", ".join(name for name, _ in graph.summary().names[:8])
        say(f'There are {kinds}. A glob with stars matches parts of a name: "*Mul*".')
    return Result(
        data
        | {
            "pattern": options.find,
            "found": len(found),
            "nodes": [node_data(graph, node) for node in shown],
        }
    )


def _show_node(graph: Graph, options: argparse.Namespace, say: Say, data: dict[str, Any]) -> Result:
    if not 0 <= options.node < len(graph):
        raise UsageError(
            f"there is no node {options.node}: this graph has the nodes 0 to {len(graph) - 1}",
            remedy='Look it up: --find "Mul*" lists the numbers of matching nodes.',
        )
    node = graph.nodes[options.node]
    say(describe_node_fully(graph, node))
    return Result(data | {"node": node_data(graph, node)})


def _node_id(text: str) -> int:
    try:
        return int(text.removeprefix("#"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the number of a node, such as 7"
        ) from None
