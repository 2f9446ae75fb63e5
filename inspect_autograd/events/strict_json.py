"""Values as strict JSON, and what a file must hold where.

Strict JSON (https://www.rfc-editor.org/rfc/rfc8259#section-6) has no NaN and no infinity. A number
of a gradient that is one is written as the text `nan`, `inf` or `-inf`; a value that may be a text
by itself (a setting, an attribute of a node) as an object, `{"float": "nan"}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from ..graph.codec import decode_graph, encode_graph
from ..graph.graph import Graph
from ..graph.records import Plain

__all__ = [
    "Json",
    "decode_number",
    "decode_plain",
    "decode_strict_graph",
    "encode_number",
    "encode_plain",
    "encode_strict_graph",
    "flag",
    "text",
    "text_or_none",
    "whole_number",
    "whole_or_none",
]

Json = Any

NOT_FINITE = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


# -- numbers -----------------------------------------------------------------------------------


def encode_number(number: float | None) -> float | str | None:
    """A number that strict JSON can hold."""
    return number if number is None or isfinite(number) else str(number)


def decode_number(value: Json) -> Any:
    """The number that `encode_number` was given."""
    if value is None or type(value) in (float, int):
        return value
    if isinstance(value, str) and value in NOT_FINITE:
        return NOT_FINITE[value]
    raise ValueError(f"expected a number and found {value!r}")


def whole_number(value: Json) -> int:
    """The value, if it is an int.

    Raises:
        ValueError: It is not.
    """
    if type(value) is int:
        return value
    raise ValueError(f"expected a whole number and found {value!r}")


def whole_or_none(value: Json) -> int | None:
    """The value, if it is an int or None; raises ValueError else."""
    return None if value is None else whole_number(value)


def text_or_none(value: Json) -> str | None:
    """The value, if it is a text or None; raises ValueError else."""
    return None if value is None else text(value)


def text(value: Json) -> str:
    """The value, if it is a text.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, str):
        return value
    raise ValueError(f"expected a text and found {value!r}")


def flag(value: Json) -> bool:
    """The value, if it is a bool; raises ValueError else."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false and found {value!r}")


def encode_plain(value: Plain) -> Json:
    """A plain value that strict JSON can hold."""
    if isinstance(value, tuple):
        return [encode_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return {"float": str(value)}
    return value


def decode_plain(value: Json) -> Plain:
    """The value that `encode_plain` was given."""
    if isinstance(value, list):
        return tuple(decode_plain(item) for item in value)
    return NOT_FINITE[value["float"]] if isinstance(value, dict) else value


# -- graph -------------------------------------------------------------------------------------


def encode_strict_graph(graph: Graph) -> dict[str, Json]:
    """The graph as `encode_graph` gives it, without a NaN or an infinity."""
    value = encode_graph(graph)
    value["nodes"]["attributes"] = {
        id: {name: encode_plain(item) for name, item in attributes.items()}
        for id, attributes in value["nodes"]["attributes"].items()
    }
    return value


def decode_strict_graph(value: Mapping[str, Json]) -> Graph:
    """The graph that `encode_strict_graph` wrote; raises what `decode_graph` raises."""
    attributes = {
        id: {name: decode_plain(item) for name, item in attributes.items()}
        for id, attributes in value["nodes"]["attributes"].items()
    }
    return decode_graph({**value, "nodes": {**value["nodes"], "attributes": attributes}})
