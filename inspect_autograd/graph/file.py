"""Saved graphs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from .atomic_write import to_path
from .codec import decode_graph, encode_graph
from .graph import Graph
from .json_file import decode_file, foreign_file, parse_json, read_bytes, write_json

__all__ = ["FORMAT", "SCHEMA_VERSION", "decode_graph_file", "load", "save"]

FORMAT = "inspect_autograd.graph"
SCHEMA_VERSION = 1
"""Rises with every change that an older reader would misunderstand."""


def save(graph: Graph, path: str | os.PathLike[str]) -> Path:
    """Write a graph to a `.json` file, which is replaced as a whole if it exists.

    Raises:
        ArgumentError: The suffix is not `.json`, or the path cannot be written.
    """
    target = to_path(path)
    if target.suffix != ".json":
        raise ArgumentError(
            f"path is {str(target)!r}; expected a name that ends in .json",
            remedy="save() writes data. For a picture use graph.render(path).",
        )
    header = {"format": FORMAT, "schema_version": SCHEMA_VERSION}
    return write_json(target, header | encode_graph(graph), allow_nan=True)


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a graph that `Graph.save` wrote. Needs no torch.

    Raises:
        FileFormatError: The file is not one of ours, damaged, or of an unknown schema version.
        ArgumentError: There is no such file, or it cannot be read.
    """
    target = to_path(path)
    value = parse_json(target, read_bytes(target))
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise foreign_file(target, "a graph")
    return decode_graph_file(target, value)


def decode_graph_file(path: Path, value: Mapping[str, Any]) -> Graph:
    """The graph that a file holds whose format is known to be `FORMAT`.

    Raises:
        FileFormatError: It is damaged, or of an unknown schema version.
    """
    return decode_file(path, value, decode_graph, kind="graph", schema_version=SCHEMA_VERSION)
