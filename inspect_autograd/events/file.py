"""Saved traces, and logs of traces."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..graph.atomic_write import to_path
from ..graph.json_file import decode_file, write_json
from .codec import decode_trace, encode_trace
from .log_lines import LOG_FORMAT, LOG_SCHEMA_VERSION, read_log
from .to_chrome_trace import to_chrome_trace
from .trace import Trace

__all__ = [
    "FORMAT",
    "SCHEMA_VERSION",
    "decode_log_file",
    "decode_trace_file",
    "find_log_header",
    "save",
]

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


def decode_trace_file(path: Path, value: Mapping[str, Any]) -> Trace:
    """The trace that a file holds whose format is known to be `FORMAT`.

    Raises:
        FileFormatError: It is damaged, or of an unknown schema version.
    """
    return Trace(
        decode_file(path, value, decode_trace, kind="trace", schema_version=SCHEMA_VERSION)
    )


def find_log_header(data: bytes) -> dict[str, Any] | None:
    """The header of a log of a trace; None if the file is something else."""
    first = data.partition(b"\n")[0]
    if LOG_FORMAT.encode() not in first:  # Saved graphs are one line; do not read them twice.
        return None
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and value.get("format") == LOG_FORMAT else None


def decode_log_file(path: Path, header: Mapping[str, Any], data: bytes) -> Trace:
    """The trace that a log holds, as far as it goes.

    Args:
        path: The file, for messages.
        header: What `find_log_header` found.
        data: All that the file holds.

    Raises:
        FileFormatError: It is damaged before its end, or of an unknown schema version.
    """
    return Trace(
        decode_file(
            path,
            header,
            lambda _: read_log(data.split(b"\n")),
            kind="trace",
            schema_version=LOG_SCHEMA_VERSION,
        )
    )
