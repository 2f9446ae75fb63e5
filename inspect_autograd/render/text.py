"""A graph as text: an indented tree, and an overview for `print(graph)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ..errors import ArgumentError
from ..graph.graph import Graph
from ..graph.records import Node
from .escape import shorten, visible
from .labels import describe_root, display_name, module_text, received
from .max_lines import check_max_lines
from .module_tree import render_modules
from .origin_text import has_origins, line_text
from .overlay import Overlay
from .tree import Step, count_steps, walk_tree

__all__ = ["render_document", "render_overview", "render_tree"]

MAX_NAME_CHARS = 100
OVERVIEW_LINES = 40
MAX_INDENT_OF_ORIGIN = 64
"""Characters; where a line goes on longer, its module and source follow two spaces behind it."""
KINDS = {"custom": "custom Function", "cpp-custom": "C++ Function", "compiled": "torch.compile"}


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the tree, and where its node comes from."""

    text: str
    module: str = ""
    source: str = ""


def render_tree(graph: Graph, *, by: str = "node", max_lines: int = 200) -> str:
    """A graph as an indented tree; see `Graph.tree`.

    Of nodes, a line that follows another at the same level is where its gradient goes on to; `├─`
    and `└─` are the branches before that.

    Args:
        graph: The graph.
        by: `node` or `scope`.
        max_lines: Longest text; what is left out is said in the last line.
    """
    if by not in ("node", "scope"):
        raise ArgumentError(
            f"by is {by!r}; expected 'node' or 'scope'",
            remedy="Leave by out for the tree of nodes; by='scope' is the tree of modules.",
        )
    check_max_lines(max_lines, 200)
    if by == "scope":
        return render_modules(graph, max_lines=max_lines)
    total = count_steps(graph)
    if total <= max_lines:
        return "\n".join(_aligned(_tree_lines(graph)))
    lines = _aligned(islice(_tree_lines(graph), max_lines - 1))
    left = total - len(lines)
    more = f"… and {left} more line{'s' * (left > 1)}; tree(max_lines={total}) shows all"
    return "\n".join([*lines, more])


def render_overview(graph: Graph) -> str:
    """What `print(graph)` shows: counts, the beginning of the tree, and what is not shown."""
    parts = [str(graph.summary()), render_tree(graph, max_lines=OVERVIEW_LINES)]
    remarks = [*(note.text for note in graph.fold_notes), *_notes(graph)]
    return "\n\n".join([*parts, *(["\n".join(remarks)] if remarks else [])])


def render_document(
    graph: Graph, captions: Sequence[str], title: str | None, overlay: Overlay | None = None
) -> str:
    """The whole graph as the text of a file."""
    parts = [
        *([visible(title)] if title else []),
        str(graph.summary()),
        *(["\n".join(map(visible, captions))] if captions else []),
        "\n".join(_aligned(_tree_lines(graph, overlay))),
    ]
    return "\n\n".join(parts) + "\n"


def _notes(graph: Graph) -> Iterator[str]:
    for note in graph.notes[:10]:
        place = visible(note.path) or "the value"
        yield f"not in the graph: {place} ({visible(note.what)}): {visible(note.reason)}"
    if len(graph.notes) > 10:
        yield f"not in the graph: {len(graph.notes) - 10} more"


def _aligned(lines: Iterable[_Line]) -> list[str]:
    """The lines, with modules and sources one below the other."""
    lines = [*lines]
    indent = max((len(line.text) for line in lines if line.module or line.source), default=0)
    indent = min(indent, MAX_INDENT_OF_ORIGIN)
    width = max((len(line.module) for line in lines), default=0)
    texts = []
    for line in lines:
        if line.module or line.source:
            cells = (line.text.ljust(indent), line.module.ljust(width), line.source)
            texts.append("  ".join(cells if width else cells[::2]).rstrip())
        else:
            texts.append(line.text)
    return texts


def _tree_lines(graph: Graph, overlay: Overlay | None = None) -> Iterator[_Line]:
    nodes = graph.nodes
    is_recorded = has_origins(graph)
    names: dict[int, list[str]] = {}
    for root in graph.roots:
        names.setdefault(root.node, []).append(describe_root(root))
    for step in walk_tree(graph):
        node = nodes[step.node]
        start = "".join("│  " if bar else "   " for bar in step.bars)
        start += {"side": "├─ ", "last": "└─ "}.get(step.branch, "")
        is_reference = step.refers and node.kind != "leaf"
        text = _reference(node, step) if is_reference else _line(node, overlay)
        if step.branch == "root" and step.node in names:
            shown = names[step.node]
            more = f", … {len(shown)} roots" if len(shown) > 3 else ""
            text = f"{visible(', '.join(shown[:3]))}{more} → {text}"
        text = start + text + _slots(graph, step)
        if is_recorded and not is_reference and not (step.refers and node.kind == "leaf"):
            module = module_text(node) if graph.scopes == "recorded" else ""
            yield _Line(text, visible(module), visible(line_text(node)))
        else:
            yield _Line(text)


def _line(node: Node, overlay: Overlay | None) -> str:
    name = visible(shorten(display_name(node), MAX_NAME_CHARS))
    leaf = node.parameter
    remarks: tuple[str, ...] = ()
    what = received(node.receives) if leaf is None else str(leaf.meta)
    if overlay is not None:
        text = overlay.describe(node)
        name, what, remarks = text.prefix + name, text.gradient or what, text.remarks
    what = f"leaf {what}" if leaf is not None else what
    parts = [name, *([what] if what else []), f"#{node.id}"]
    if node.kind in KINDS:
        parts.append(KINDS[node.kind])
    if node.fold is not None:
        parts.append(
            f"{len(node.fold.members)} nodes" if node.kind == "fold" else f"×{node.fold.count}"
        )
    if node.cut_slots:
        count = len(node.cut_slots)
        parts.append(f"… {count} edge{'s' * (count > 1)} cut by max_nodes")
    return "  ".join([*parts, *remarks])


def _reference(node: Node, step: Step) -> str:
    arrow = "↑" if step.refers == "above" else "↓"
    name = visible(shorten(display_name(node), MAX_NAME_CHARS))
    return f"{arrow} #{node.id} {name} shown {step.refers}"


def _slots(graph: Graph, step: Step) -> str:
    """Which slots the edges connect, where the node alone does not tell."""
    table, edges = graph.node_table, graph.edge_table
    parts = []
    is_fold = table.kinds[step.node] == "fold"
    if len(step.edges) > 1 and not is_fold:
        inputs = ", ".join(str(edges.source_slots[position]) for position in step.edges[:6])
        parts.append(f"inputs {inputs}" + (", …" if len(step.edges) > 6 else ""))
    if step.edges and not is_fold and len(table.receives[step.node]) > 1:
        outputs = sorted({edges.target_slots[position] for position in step.edges})
        shown = ", ".join(map(str, outputs[:6])) + (", …" if len(outputs) > 6 else "")
        parts.append(f"output{'s' * (len(outputs) > 1)} {shown}")
    count = 0 if edges.counts is None else sum(edges.counts[p] for p in step.edges)
    fold = table.folds.get(step.node)
    is_said = fold is not None and fold.by == "repeat" and count == fold.count * len(step.edges)
    if count > len(step.edges) and not is_said:
        parts.append(f"×{count} edges")
    return f"  ({', '.join(parts)})" if parts else ""
