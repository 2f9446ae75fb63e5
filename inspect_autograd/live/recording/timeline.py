"""The module calls of a recording as plain records."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ...events.timeline import ModuleSpan
from .call_chunks import CallChunk
from .calls import ModuleCall
from .source_lines import SourceLines

__all__ = ["to_module_spans"]


def to_module_spans(
    chunks: Iterable[CallChunk], lines: SourceLines, begin_ns: int
) -> tuple[ModuleSpan, ...]:
    """When each module ran, in the order in which they began.

    Args:
        chunks: What was called.
        lines: Finds source lines.
        begin_ns: Value of the clock that counts as 0.
    """
    now = time.perf_counter_ns()
    spans = [
        ModuleSpan(
            path=call.path,
            call=call.number,
            step=chunk.step,
            depth=_depth(call),
            thread=chunk.thread,
            start_ns=call.start_ns - begin_ns,
            duration_ns=(call.end_ns or now) - call.start_ns,
            source=lines.find(call.site[0]),
        )
        for chunk in chunks
        for call in chunk.modules
    ]
    return tuple(sorted(spans, key=lambda span: (span.start_ns, span.depth)))


def _depth(call: ModuleCall) -> int:
    depth, parent = 0, call.parent
    while parent is not None:
        depth, parent = depth + 1, parent.parent
    return depth
