"""`--json`: one JSON object on stdout, and nothing else there."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass
from typing import Any, TextIO

__all__ = ["json_only_on_stdout", "to_json", "to_plain"]


def to_json(data: Mapping[str, Any]) -> str:
    """Data as JSON text, ASCII only, so that it survives any terminal's and pipe's encoding."""
    return json.dumps(to_plain(data), indent=2, allow_nan=False)


def to_plain(value: Any) -> Any:
    """A value as JSON knows them: records become objects, all that is foreign to JSON a string.

    A float that is not finite becomes `"nan"`, `"inf"` or `"-inf"`: JSON has no such numbers, and
    what Python writes for them by default is refused by most other readers.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | Set):
        return [to_plain(item) for item in value]
    return str(value)


@contextmanager
def json_only_on_stdout() -> Iterator[TextIO]:
    """Send to stderr whatever is printed from now on, and give the stream for the JSON.

    Where stdout is that of the process, its file descriptor is redirected, since the user's C code
    and child processes print too. It stays redirected: C buffers are written out, and exit
    functions run, after the JSON was printed.
    """
    sys.stdout.flush()
    try:
        is_of_process = sys.stdout.fileno() == 1
    except (AttributeError, OSError, io.UnsupportedOperation):
        is_of_process = False  # Somebody has put another stream in its place, as pytest does.
    if not is_of_process:
        kept = sys.stdout
        with redirect_stdout(sys.stderr):
            yield kept
        return
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stdout, redirect_stdout(sys.stderr):
        os.dup2(2, 1)
        yield stdout
