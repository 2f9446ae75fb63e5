"""Saved files: JSON with a format name and a schema version."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError, FileFormatError
from .atomic_write import write_atomically
from .codec import decode_graph, encode_graph
from .graph import Graph

__all__ = ["FORMAT", "SCHEMA_VERSION", "load", "save"]

FORMAT = "inspect_autograd.graph"
SCHEMA_VERSION = 1
"""Rises with every change that an older reader would misunderstand."""


def save(graph: Graph, path: str | os.PathLike[str]) -> Path:
    """Write a graph to a `.json` file, which is replaced as a whole if it exists.

    Raises:
        ArgumentError: The suffix is not `.json`, or the path cannot be written.
    """
    target = _to_path(path)
    if target.suffix != ".json":
        raise ArgumentError(
            f"path is {str(target)!r}; expected a name that ends in .json",
            remedy="save() writes data. For a picture use graph.render(path).",
        )
    header = {"format": FORMAT, "schema_version": SCHEMA_VERSION}
    text = json.dumps(header | encode_graph(graph), ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, which some names hold, has no UTF-8 form of its own.
    return write_atomically(target, text.encode("utf-8", "surrogatepass") + b"\n")


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a graph that `Graph.save` wrote. Needs no torch.

    Raises:
        FileFormatError: The file is not one of ours, damaged, or of an unknown schema version.
        ArgumentError: There is no such file, or it cannot be read.
    """
    target = _to_path(path)
    value = _read_json(target)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FileFormatError(
            f"{str(target)!r} is JSON, but not a graph saved by inspect_autograd",
            remedy="Give a file that graph.save(path) wrote.",
        )
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        raise FileFormatError(
            f"{str(target)!r} has schema_version {version!r}; "
            f"this version of inspect_autograd reads {SCHEMA_VERSION}",
            remedy="Install the version of inspect_autograd that wrote the file, or a newer one "
            "than this; or capture and save the graph again.",
        )
    try:
        return decode_graph(value)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise FileFormatError(
            f"{str(target)!r} is a graph file, but damaged ({what})",
            remedy="Capture and save the graph again.",
        ) from error


def _read_json(path: Path) -> Any:
    try:
        data = path.read_bytes()
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
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{str(path)!r} is not a saved graph: it does not hold valid JSON ({error})",
            remedy="Give a file that graph.save(path) wrote. If it is one, it is damaged or cut "
            "short: save the graph again.",
        ) from error


def _to_path(path: Any) -> Path:
    if isinstance(path, str | os.PathLike):
        return Path(path)
    raise ArgumentTypeError(
        f"path is {path!r} of type {type(path).__name__}; expected a string or a Path",
        remedy='Give a file name such as "graph.json".',
    )
