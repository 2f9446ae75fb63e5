"""Saved traces, and `load`, which reads whatever this package has saved."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, overload

from ..errors import ArgumentError, ArgumentTypeError, FileFormatError
from ..graph.atomic_write import to_path
from ..graph.file import FORMAT as GRAPH_FORMAT
from ..graph.file import decode_graph_file
from ..graph.graph import Graph
from ..graph.json_file import (
    decode_file,
    foreign_file,
    parse_json,
    read_bytes,
    write_json,
)
from .codec import decode_trace, encode_trace
from .log_lines import LOG_FORMAT, LOG_SCHEMA_VERSION, read_log
from .recording import Recording
from .recording_file import FORMAT as RECORDING_FORMAT
from .recording_file import decode_recording_file
from .to_chrome_trace import to_chrome_trace
from .trace import Trace

__all__ = ["FORMAT", "SCHEMA_VERSION", "load", "save"]

FORMAT = "inspect_autograd.trace"
SCHEMA_VERSION = 1
"""Rises with every change that an older reader would misunderstand."""

CHROME_SUFFIX = ".chrome.json"


def save(trace: Trace, path: str | os.PathLike[str]) -> Path:
    """Write a trace to a file, which is replaced as a whole if it exists; see `Trace.save`.

    Raises:
        ArgumentError: The suffix is none of `.json` and `.chrome.json`, or the path cannot be
            written.
    """
    target = to_path(path)
    if target.name.endswith(CHROME_SUFFIX):
        return write_json(target, to_chrome_trace(trace), allow_nan=False)
    if target.suffix != ".json":
        raise ArgumentError(
            f"path is {str(target)!r}; expected a name that ends in .json or {CHROME_SUFFIX}",
            remedy="Use .json for the whole trace, which inspect_autograd.load reads back, or "
            f"{CHROME_SUFFIX} for a timeline. For a picture use trace.render(path).",
        )
    header = {"format": FORMAT, "schema_version": SCHEMA_VERSION}
    return write_json(target, header | encode_trace(trace.data), allow_nan=False)


Saved = Graph | Trace | Recording
"""What `load` gives."""


@overload
def load(path: str | os.PathLike[str]) -> Saved: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Graph]) -> Graph: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Trace]) -> Trace: ...
@overload
def load(path: str | os.PathLike[str], kind: type[Recording]) -> Recording: ...
def load(
    path: str | os.PathLike[str],
    kind: type[Graph] | type[Trace] | type[Recording] | None = None,
) -> Saved:
    """Read what `Graph.save`, `Trace.save` or `Recording.save` wrote, or the log of a trace.

    Needs no torch. The content tells what it is, not the suffix. A log that ends too early, as its
    process was killed, gives the trace as far as it goes.

    Args:
        path: The file.
        kind: `Graph`, `Trace` or `Recording`, where only that will do: then anything else is
            refused, and a type checker knows what comes back.

    Raises:
        FileFormatError: The file is not one of ours, damaged, of an unknown schema version, or
            not of the kind asked for.
        ArgumentError: There is no such file, or it cannot be read.
    """
    if kind not in (None, Graph, Trace, Recording):
        raise ArgumentTypeError(
            f"kind is {kind!r}; expected Graph, Trace or Recording",
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
    header = _log_header(data)
    if header is not None:
        return _decode_log(path, header, data)
    value = parse_json(path, data)
    format = value.get("format") if isinstance(value, dict) else None
    if format == GRAPH_FORMAT:
        return decode_graph_file(path, value)
    if format == FORMAT:
        return Trace(
            decode_file(path, value, decode_trace, kind="trace", schema_version=SCHEMA_VERSION)
        )
    if format == RECORDING_FORMAT:
        return decode_recording_file(path, value)
    if isinstance(value, dict) and "traceEvents" in value:
        raise FileFormatError(
            f"{str(path)!r} is a timeline in Chrome's trace event format, which cannot be "
            "read back",
            remedy="Look at it in https://ui.perfetto.dev. To read a trace or a recording "
            "back, save it with the suffix .json alone.",
        )
    raise foreign_file(path, "a graph, trace or recording")


def _log_header(data: bytes) -> dict[str, Any] | None:
    """The header, if the file is a log."""
    first = data.partition(b"\n")[0]
    if LOG_FORMAT.encode() not in first:  # Saved graphs are one line; do not read them twice.
        return None
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("format") == LOG_FORMAT else None


def _decode_log(path: Path, header: Mapping[str, Any], data: bytes) -> Trace:
    return Trace(
        decode_file(
            path,
            header,
            lambda _: read_log(data.split(b"\n")),
            kind="trace",
            schema_version=LOG_SCHEMA_VERSION,
        )
    )
