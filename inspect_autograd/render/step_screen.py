"""The screen of a stepper: the step just run, the nodes around it, the queue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from ..events.engine_state import StepRecord
from ..events.pass_progress import PassProgress
from ..graph.graph import Graph
from .code_line import place_text
from .escape import shorten, visible
from .step_text import node_label, state_text, step_text

__all__ = [
    "Line",
    "Style",
    "fit_lines",
    "neighbourhood_lines",
    "plain_lines",
    "screen_lines",
    "state_lines",
    "status_word",
]

Style = Literal["", "title", "here", "ready", "waiting", "dim", "bad"]

MAX_STEP_LINES = 16
MAX_NEIGHBOURS = 4
MAX_LABEL = 48
_NOT_FINITE = re.compile(r"\b(?:NaN|Inf)\b")


class Line(NamedTuple):
    """One line, and what it is, for a terminal that has colours."""

    text: str
    style: Style = ""


class _Row(NamedTuple):
    """A node of the neighbourhood, or how many more there are; levels above it are negative."""

    level: int
    node: int
    more: int = 0


def plain_lines(text: str, style: Style = "") -> list[Line]:
    """A text as lines of one style."""
    return [Line(line, style) for line in text.splitlines()]


def fit_lines(lines: Iterable[Line], width: int) -> Iterator[Line]:
    """The lines, none longer than a width, so that a terminal wraps none."""
    for line in lines:
        yield Line(_fit(line.text, width), line.style)


def _fit(text: str, width: int) -> str:
    """A text without words from its middle: half a number would read as another one."""
    if len(text) <= width:
        return text
    begin = len(text) - len(text.lstrip())
    at = text.find(" ", len(text) - width // 2)
    end = text[at + 1 :] if at >= 0 else ""
    head = text.rfind(" ", begin, width - 2 - len(end))
    cut = f"{text[: max(head, 0)]} … {end}"
    # One long word, such as a path, is cut itself: without it too little would be left.
    return cut if head > begin and end and len(cut) > width * 2 // 3 else shorten(text, width)


def screen_lines(step: StepRecord | None, progress: PassProgress, *, levels: int = 2) -> list[Line]:
    """All that is worth seeing after a step.

    Args:
        step: The last step that is taken; None at the start.
        progress: Where the pass stands.
        levels: How many levels of the graph are shown above the node, and below it.
    """
    next_node = progress.state.next_node
    focus = next_node if step is None else step.node
    lines = [] if step is None else _step_lines(step)
    if focus is not None:
        lines += neighbourhood_lines(progress, focus, levels=levels)
    return lines + state_lines(progress)


def _step_lines(step: StepRecord) -> list[Line]:
    title, *rest = step_text(step).splitlines()
    lines = [Line(title, "title")]
    source = step.graph.nodes[step.node].source
    if source is not None:
        rest[0] = f"  made at {place_text(source)} in {visible(source.function)}"
    if len(rest) > MAX_STEP_LINES:
        left = len(rest) - MAX_STEP_LINES
        rest = [*rest[:MAX_STEP_LINES], f"  … and {left} more lines; print returned shows all"]
    for text in rest:
        if _NOT_FINITE.search(text):
            lines.append(Line(text, "bad"))
        else:
            lines.append(Line(text, "ready" if text.startswith("  ready now") else ""))
    return lines


def state_lines(progress: PassProgress) -> list[Line]:
    """How far the pass has come, the queue, the nodes that wait, what is held, the leaves."""
    state, kinds = progress.state, progress.graph.node_table.kinds
    _, *rest, _ = state_text(state).splitlines()
    passed = (*progress.order.nodes, *progress.only_captured)
    wanted = sum(kinds[id] == "leaf" for id in passed)
    known = f"{len(state.leaves)} of {wanted}"
    if state.leaves:
        known += f", the last one {node_label(progress.graph, state.leaves[-1])}"
    title = f"after {state.position} of {progress.total} steps"
    styles: dict[str, Style] = {"queue": "ready", "waits": "waiting"}
    return [
        Line(title, "title"),
        *(Line(text, styles.get(text.split(maxsplit=1)[0], "")) for text in rest),
        Line(f"  leaves   {known}"),
    ]


def status_word(progress: PassProgress, id: int) -> str:
    """What is the matter with a node, in a word or two."""
    status = progress.status_of(id)
    if status == "executed":
        return f"done in step {progress.done[id]}"
    if status == "ready":
        return "ready, runs next" if id == progress.state.next_node else "ready"
    if status == "waiting":
        waiting = progress.waiting[id]
        return f"waiting, {waiting.arrived} of {waiting.arrived + waiting.missing} arrived"
    return status


def neighbourhood_lines(progress: PassProgress, focus: int, *, levels: int = 2) -> list[Line]:
    """The nodes whose gradients reach a node, and those that its own go on to.

    Args:
        progress: Where the pass stands.
        focus: Id of the node.
        levels: How many levels are shown above it, and below it.
    """
    graph = progress.graph
    rows = [*_above(graph, focus, levels), _Row(0, focus), *_below(graph, focus, levels)]
    top = min(row.level for row in rows)
    texts = [_row_text(graph, row, row.level - top) for row in rows]
    width = min(MAX_LABEL, max(map(len, texts)))
    lines = []
    for row, text in zip(rows, texts, strict=True):
        if row.more:
            lines.append(Line(text, "dim"))
            continue
        word = status_word(progress, row.node)
        lines.append(Line(f"{shorten(text, width):{width}}  {word}", _style(row, word)))
    return lines


def _row_text(graph: Graph, row: _Row, indent: int) -> str:
    sign = ">" if row.level == 0 else " "
    text = f"… and {row.more} more" if row.more else node_label(graph, row.node)
    return f"{sign} {'  ' * indent}{text}"


def _style(row: _Row, word: str) -> Style:
    if row.level == 0:
        return "here"
    styles: dict[str, Style] = {"ready": "ready", "waiting": "waiting"}
    return styles.get(re.split(r"[ ,]", word)[0], "dim")


def _above(graph: Graph, focus: int, levels: int) -> list[_Row]:
    """Senders, and above each of them its own."""

    def senders(id: int) -> list[int]:
        return [node.id for node in graph.previous_nodes(id)]

    # The walk goes upwards, and is turned over to be read downwards.
    rows = _walk(senders, focus, levels, last_first=True)
    return [row._replace(level=-row.level) for row in reversed(rows)]


def _below(graph: Graph, focus: int, levels: int) -> list[_Row]:
    def targets(id: int) -> list[int]:
        return [node.id for node in graph.next_nodes(id)]

    return _walk(targets, focus, levels, last_first=False)


def _walk(
    neighbours: Callable[[int], Sequence[int]], focus: int, levels: int, *, last_first: bool
) -> list[_Row]:
    rows: list[_Row] = []
    opened: set[int] = set()
    pending = [_Row(0, focus)]
    while pending:
        row = pending.pop()
        rows.append(row)
        if not row.more and row.node not in opened and row.level < levels:
            opened.add(row.node)
            found = _rows_at(neighbours, row.node, row.level + 1)
            pending += found if last_first else reversed(found)
    return rows[1:]


def _rows_at(neighbours: Callable[[int], Sequence[int]], id: int, level: int) -> list[_Row]:
    ids = neighbours(id)
    rows = [_Row(level, near) for near in ids[:MAX_NEIGHBOURS]]
    if len(ids) > MAX_NEIGHBOURS:
        rows.append(_Row(level, id, len(ids) - MAX_NEIGHBOURS))
    return rows
