"""What `inspect-autograd show --memory` prints: what a graph keeps for backward."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any, get_args

from ..errors import ArgumentError
from ..graph.graph import Graph
from ..graph.memory_rows import MemoryRow
from ..graph.saved_memory import MemoryBy
from .result import Say, UsageError
from .wording import reword

__all__ = ["MEMORY_OF_A_TRACE", "memory_by", "show_memory"]

MEMORY_OF_A_TRACE = (
    "Save a graph in Python: `inspect_autograd.capture(loss, params=model)` before backward, or "
    'recording.graph of a recorded step; then graph.save("graph.json"), and name that file.'
)


def memory_by(text: str) -> str:
    """What rows are about, as the type of an argument."""
    kinds = get_args(MemoryBy)
    if text not in kinds:
        raise argparse.ArgumentTypeError(
            f"{text!r} is none of {', '.join(kinds)}; write TARGET before --memory"
        )
    return text


def show_memory(graph: Graph, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    """Print who keeps how much memory for backward; the same as data."""
    try:
        memory = graph.saved_memory(options.memory)
    except ArgumentError as error:
        # Worded for callers of saved_memory(); only rows by line can be refused here.
        raise UsageError(
            "--memory line needs a graph whose nodes know the line that made them; "
            f"those of {options.target} do not",
            remedy="Record the forward pass in Python, `with inspect_autograd.record(model) as "
            'recording:` around it, then recording.graph.save("graph.json"), and name that file.',
        ) from error
    say(reword(memory.table(max_lines=options.max_lines)))
    return {
        "memory": {field.name: getattr(memory, field.name) for field in fields(memory)}
        | {"rows": [_row_data(row) for row in memory.rows], "total_bytes": memory.total_bytes}
    }


def _row_data(row: MemoryRow) -> dict[str, Any]:
    plain = {field.name: getattr(row, field.name) for field in fields(row)}
    return plain | {"shared_bytes": row.shared_bytes}
