"""`load`, which reads whatever this package has saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, overload

from ..errors import ArgumentTypeError, FileFormatError
from ..events.file import FORMAT as TRACE_FORMAT
from ..events.file import decode_log_file, decode_trace_file, find_log_header
from ..events.recording import Recording
from ..events.recording_file import FORMAT as RECORDING_FORMAT
from ..events.recording_file import decode_recording_file
from ..events.trace import Trace
from ..graph.atomic_write import to_path
from ..graph.file import FORMAT as GRAPH_FORMAT
from ..graph.file import decode_graph_file
from ..graph.graph import Graph
from ..graph.json_file import foreign_file, parse_json, read_bytes
from .report import Report
from .report_file import decode_report_file
from .report_json import FORMAT as REPORT_FORMAT

__all__ = ["Saved", "load"]

Saved = Graph | Trace | Recording | Report
"""What `load` gives."""

_DECODERS: dict[str, Callable[[Path, Mapping[str, Any]], Saved]] = {
    GRAPH_FORMAT: decode_graph_file,
    TRACE_FORMAT: decode_trace_file,
    RECORDING_FORMAT: decode_recording_file,
    REPORT_FORMAT: decode_report_file,
}


@overload
def load(path: str | os.PathLike[str]) -> Saved: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Graph]) -> Graph: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Trace]) -> Trace: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Recording]) -> Recording: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Report]) -> Report: ...
def load(
    path: str | os.PathLike[str],
    kind: type[Graph] | type[Trace] | type[Recording] | type[Report] | None = None,
) -> Saved:
    """Read what `save` of a graph, a trace, a recording or a report wrote, or the log of a trace.

    Needs no torch. The content tells what it is, not the suffix. A log that ends too early, as its
    process was killed, gives the trace as far as it goes. A report comes back as it is read: its
    graph and the facts that its rules were given are not in the file.

    Args:
        path: The file.
        kind: `Graph`, `Trace`, `Recording` or `Report`, where only that will do: then anything
            else is refused, and a type checker knows what comes back.

    Raises:
        FileFormatError: The file is not one of ours, damaged, of an unknown schema version, or
            not of the kind asked for.
        ArgumentError: There is no such file, or it cannot be read.
    """
    if kind not in (None, Graph, Trace, Recording, Report):
        raise ArgumentTypeError(
            f"kind is {kind!r}; expected Graph, Trace, Recording or Report",
            remedy="Leave it out, or write inspect_autograd.load(path, inspect_autograd.Trace).",
        )
    target = to_path(path)
    result = _read(target)
    if kind is None or isinstance(result, kind):
        return result
    raise FileFormatError(
        f"{str(target)!r} holds a {type(result).__name__}; expected a {kind.__name__}",
        remedy=f"Give a file that holds a {kind.__name__}.",
    )


def _read(path: Path) -> Saved:
    data = read_bytes(path)
    header = find_log_header(data)
    if header is not None:
        return decode_log_file(path, header, data)
    value = parse_json(path, data)
    format = value.get("format") if isinstance(value, dict) else None
    if isinstance(format, str) and format in _DECODERS:
        return _DECODERS[format](path, value)
    if isinstance(value, dict) and "traceEvents" in value:
        raise FileFormatError(
            f"{str(path)!r} is a timeline in Chrome's trace event format, which cannot be "
            "read back",
            remedy="Look at it in https://ui.perfetto.dev. To read a trace or a recording "
            "back, save it with the suffix .json alone.",
        )
    raise foreign_file(path, "a graph, trace, recording or report")
