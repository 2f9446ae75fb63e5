"""What all saved files have in common: JSON with a format name and a schema version."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ArgumentError, FileFormatError
from .atomic_write import write_atomically

__all__ = ["decode_file", "foreign_file", "parse_json", "read_bytes", "write_json"]

T = TypeVar("T")

DAMAGED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What decoding values that are not as they were written may raise."""

GIVE_OURS = (
    "Give a .json file that the save() of a graph, a trace, a recording or a report wrote, or the "
    "log of a trace."
)


def write_json(path: Path, value: Any, *, allow_nan: bool) -> Path:
    """Write a file of one line, which is replaced as a whole if it exists.

    Raises:
        ArgumentError: The path cannot be written.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=allow_nan, separators=(",", ":"))
    # A lone surrogate, which some names hold, has no UTF-8 form of its own.
    return write_atomically(path, text.encode("utf-8", "surrogatepass") + b"\n")


def read_bytes(path: Path) -> bytes:
    """What the file holds.

    Raises:
        ArgumentError: There is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ArgumentError(
            f"path is {str(path)!r}; there is no such file",
            remedy="Check the name, and the folder that relative paths start from: "
            f"{str(Path.cwd())!r}.",
        ) from error
    except OSError as error:
        raise ArgumentError(
            f"path is {str(path)!r}, which cannot be read: {error.strerror or error}",
            remedy="Give the path of a file that you may read.",
        ) from error


def parse_json(path: Path, data: bytes) -> Any:
    """The value that a file of ours holds.

    Raises:
        FileFormatError: It is no JSON.
    """
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{str(path)!r} is not a saved graph, trace, recording or report: it does not "
            f"hold valid JSON ({error})",
            remedy=f"{GIVE_OURS} If it is one, it is damaged or cut short: save it again.",
        ) from error


def foreign_file(path: Path, expected: str) -> FileFormatError:
    """The error for JSON that is not what was expected, `a graph` for example."""
    return FileFormatError(
        f"{str(path)!r} is JSON, but not {expected} saved by inspect_autograd", remedy=GIVE_OURS
    )


def decode_file(
    path: Path,
    value: Mapping[str, Any],
    decode: Callable[[Mapping[str, Any]], T],
    *,
    kind: str,
    schema_version: int,
) -> T:
    """What a file holds.

    Args:
        path: The file, for messages.
        value: What it, or its header, says.
        decode: Makes the result from `value`.
        kind: What it is, in one word.
        schema_version: The version that `decode` understands.

    Raises:
        FileFormatError: It is of another version, or damaged.
    """
    version = value.get("schema_version")
    if version != schema_version:
        raise FileFormatError(
            f"{str(path)!r} has schema_version {version!r}; "
            f"this version of inspect_autograd reads {schema_version}",
            remedy="Install the version of inspect_autograd that wrote the file, or a newer one "
            f"than this; or make and save the {kind} again.",
        )
    try:
        return decode(value)
    except DAMAGED as error:
        what = f"{type(error).__name__}: {error}"
        raise FileFormatError(
            f"{str(path)!r} is a {kind} file, but damaged ({what})",
            remedy=f"Make and save the {kind} again.",
        ) from error
