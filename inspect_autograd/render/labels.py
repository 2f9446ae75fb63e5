"""What a box says: the lines inside it, and the longer text of its tooltip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from ..graph.records import Node, Parameter, Plain, Root, SavedTensor
from ..graph.tensor_meta import TensorMeta, format_bytes
from .escape import shorten
from .origin_text import describe_origin, line_text, scope_text
from .saved_groups import SavedGroup

__all__ = [
    "count_runs",
    "describe_node",
    "describe_root",
    "describe_saved",
    "display_name",
    "module_text",
    "node_lines",
    "received",
    "saved_lines",
]

MAX_NAME_CHARS = 44
MAX_LINE_CHARS = 48
MAX_SCOPE_CHARS = 36
IN_BACKWARD = " (in backward)"
MAX_ATTRIBUTES = 10
MAX_TOOLTIP_LINES = 40
MAX_TOOLTIP_CHARS = 1000


def display_name(node: Node) -> str:
    """What a node is called where it is shown.

    A parameter that stands for those of all copies of a repeated block is called after the run,
    `layers.0…11.weight`, rather than after one of them.
    """
    if node.parameter is not None and node.fold is not None and node.parameter.name and node.scope:
        return f"{node.scope}.{node.parameter.name.rpartition('.')[2]}"
    return node.label


def module_text(node: Node, limit: int = MAX_SCOPE_CHARS) -> str:
    """The module of a node, unless its name says it already.

    A node that a backward pass made (`create_graph=True`) has the module of the node that ran; that
    it was not made in the forward pass is said.
    """
    if node.scope and display_name(node).startswith(f"{node.scope}."):
        return ""
    if node.kind == "fold" and node.scope and node.label.startswith(node.scope):
        return ""
    late = IN_BACKWARD if node.creation is not None and node.creation.made_by else ""
    scope = shorten(scope_text(node.scope), limit - len(late))
    return scope + late if scope else ""


def node_lines(
    node: Node,
    *,
    show_source: bool = False,
    show_attributes: bool = False,
    max_attribute_chars: int = 40,
    gradient: Sequence[str] | None = None,
) -> list[str]:
    """The lines of a node's box; the first one is its name.

    Args:
        node: The node.
        show_source: Whether to name the line of the program that made it.
        show_attributes: Whether to list what it keeps that is no tensor.
        max_attribute_chars: Longest value of such a line.
        gradient: Lines about what it received, in place of what it is to receive.
    """
    name, *lines = _break_label(display_name(node)) if node.kind == "fold" else [display_name(node)]
    if node.parameter is not None:
        lines += _parameter_lines(node, node.parameter, gradient or [str(node.parameter.meta)])
    else:
        lines += _contents(node)
        text = received(node.receives)
        lines += gradient or ([text] if text else [])
    if node.order is not None and node.order > 1:
        lines.append(f"derivative order {node.order}")
    if show_source and node.source is not None:
        lines.append(line_text(node))
    if show_attributes:
        lines += _attributes(node, max_attribute_chars)
    return [shorten(name, MAX_NAME_CHARS), *(shorten(line, MAX_LINE_CHARS) for line in lines)]


def _break_label(label: str) -> list[str]:
    """A long list of names in lines; a short label, or one that is no list, in one."""
    if len(label) <= MAX_NAME_CHARS or ", " not in label:
        return [label]
    lines: list[str] = []
    for part in label.split(", "):
        if lines and len(lines[-1]) + len(part) + 2 <= MAX_NAME_CHARS:
            lines[-1] += f", {part}"
        else:
            lines.append(part)
    return lines


def _parameter_lines(node: Node, parameter: Parameter, gradient: Sequence[str]) -> list[str]:
    shape, *more = gradient
    if not parameter.names:
        return [f"leaf {shape}", *more]
    if node.fold is not None:
        return [f"{shape} ×{node.fold.count}", *more]
    lines = [shape, *more, *(f"also {name}" for name in parameter.names[1:3])]
    if len(parameter.names) > 3:
        lines.append(f"… and {len(parameter.names) - 3} more names")
    return lines


def _contents(node: Node) -> list[str]:
    """What is inside a fold, unless its label says it already."""
    fold = node.fold
    if node.kind != "fold" or fold is None:
        return []
    if any(name in fold.label for name, _ in fold.names[:3]):
        return []
    shown = [name if count == 1 else f"{name} ×{count}" for name, count in fold.names[:2]]
    more = len(fold.names) - len(shown)
    rest = f"… and {more} more kind{'s' * (more > 1)}"
    return [f"{len(fold.members)} nodes", *shown, *([rest] if more else [])]


def received(receives: Sequence[TensorMeta | None], limit: int = 3) -> str:
    """What a node receives, alike slots in a row counted: `f32[4] ×2, i64[]`."""
    texts = ["none" if meta is None else str(meta) for meta in receives]
    runs = count_runs(texts)
    more = f", … {len(receives)} in all" if len(runs) > limit else ""
    return ", ".join(runs[:limit]) + more


def count_runs(texts: Iterable[str]) -> list[str]:
    """Each text once where it occurs several times in a row, with how often: `f32[4] ×2`."""
    runs = [(text, len([*run])) for text, run in groupby(texts)]
    return [text if count == 1 else f"{text} ×{count}" for text, count in runs]


def _attributes(node: Node, max_chars: int) -> list[str]:
    items = list(node.attributes.items())
    lines = [f"{name} = {_value(value, max_chars)}" for name, value in items[:MAX_ATTRIBUTES]]
    if len(items) > MAX_ATTRIBUTES:
        lines.append(f"… and {len(items) - MAX_ATTRIBUTES} more attributes")
    if node.none_slots:
        slots = ", ".join(map(str, node.none_slots[:6])) + (", …" * (len(node.none_slots) > 6))
        lines.append(f"no gradient to input{'s' * (len(node.none_slots) > 1)} {slots}")
    return lines


def _value(value: Plain, max_chars: int) -> str:
    return shorten(repr(value), max(max_chars, 3))


def saved_lines(group: SavedGroup) -> list[str]:
    """The lines of a saved tensor's box; the first one is its name."""
    saved = group.first
    lines = [shorten(saved.name, MAX_NAME_CHARS) + (f" ×{group.count}" if group.count > 1 else "")]
    if saved.meta is not None:
        lines.append(str(saved.meta))
    if saved.bytes is not None:
        lines.append(format_bytes(saved.bytes) + (" each" if group.count > 1 else ""))
    if saved.alias and group.count == 1:
        lines.append(f"= {saved.alias[0]}")
    if saved.state != "available":
        lines.append("MODIFIED IN PLACE" if saved.state == "modified" else saved.state.upper())
    return [lines[0], *(shorten(line, MAX_LINE_CHARS) for line in lines[1:])]


def describe_node(node: Node) -> list[str]:
    """Everything about a node that fits into a tooltip."""
    lines = [f"#{node.id} {node.name}"]
    if node.label != node.name:
        lines.append(node.label)
    if node.parameter is not None:
        lines.append(f"leaf tensor {node.parameter.meta}")
        lines += [f"name: {name}" for name in node.parameter.names]
    else:
        lines.append(f"receives {received(node.receives, 20) or 'nothing'}")
    lines += describe_origin(node)
    if node.sequence_nr is not None:
        lines.append(f"sequence number {node.sequence_nr}")
    if node.none_slots:
        lines.append(f"no gradient to inputs {', '.join(map(str, node.none_slots[:20]))}")
    if node.fold is not None:
        lines += [f"{name} ×{count}" for name, count in node.fold.names]
    lines += [f"{name} = {_value(value, 200)}" for name, value in node.attributes.items()]
    lines += [f"saved {describe_saved(saved)}" for saved in node.saved]
    return _bound(lines)


def describe_saved(saved: SavedTensor) -> str:
    """A saved tensor in one line, every name of its memory included."""
    return f"{saved}{''.join(f' = {name}' for name in saved.alias[1:4])}"


def _bound(lines: Iterable[str]) -> list[str]:
    lines = [shorten(line, MAX_TOOLTIP_CHARS) for line in lines]
    if len(lines) <= MAX_TOOLTIP_LINES:
        return lines
    return [*lines[:MAX_TOOLTIP_LINES], f"… and {len(lines) - MAX_TOOLTIP_LINES} more lines"]


def describe_root(root: Root) -> str:
    """What to call a root: its place in what was given, `loss` for a lone number."""
    if root.path:
        return root.path
    return "loss" if root.meta is not None and root.meta.numel == 1 else "output"
