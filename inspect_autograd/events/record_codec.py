"""The records of a trace as JSON values and back: for the saved trace, and for the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ..graph.tensor_meta import TensorMeta
from .records import (
    BackwardPass,
    Environment,
    Evidence,
    Outcome,
    PassCall,
    PassInput,
    RootGradient,
    StatsLevel,
    Status,
    TensorStats,
    TracedParameter,
)
from .strict_json import (
    Json,
    decode_number,
    decode_plain,
    encode_number,
    encode_plain,
    flag,
    text,
    text_or_none,
    whole_number,
    whole_or_none,
)

__all__ = [
    "NUMBERS",
    "decode_environment",
    "decode_evidence",
    "decode_meta",
    "decode_outcome",
    "decode_parameter",
    "decode_pass",
    "decode_stats",
    "decode_stats_level",
    "encode_environment",
    "encode_evidence",
    "encode_meta",
    "encode_outcome",
    "encode_parameter",
    "encode_pass",
    "encode_stats",
]

NUMBERS = ("l2", "min", "max", "mean", "zero_count", "nan_count", "inf_count")
"""The fields of TensorStats that are numbers."""


# -- gradients ---------------------------------------------------------------------------------


def encode_meta(meta: TensorMeta) -> dict[str, Json]:
    """A TensorMeta, by name."""
    fields = {"shape": meta.shape, "dtype": meta.dtype, "device": meta.device}
    return fields if meta.layout is None else {**fields, "layout": meta.layout}


def decode_meta(value: Mapping[str, Json]) -> TensorMeta:
    """What `encode_meta` was given."""
    shape = value["shape"]
    if shape is not None and not all(type(size) in (int, str) for size in shape):
        raise ValueError(f"expected sizes and found {shape!r}")
    return TensorMeta(
        None if shape is None else tuple(shape),
        text(value["dtype"]),
        text(value["device"]),
        text_or_none(value.get("layout")),
    )


def encode_stats(stats: TensorStats | None) -> dict[str, Json] | None:
    """What is known of a gradient, by name; what was not computed is left out."""
    if stats is None:
        return None
    fields = encode_meta(stats.meta)
    for name in NUMBERS:
        number = getattr(stats, name)
        if number is not None:
            fields[name] = encode_number(number)
    if stats.note:
        fields["note"] = stats.note
    return fields


def decode_stats(value: Mapping[str, Json]) -> TensorStats:
    """What `encode_stats` was given."""
    numbers = {name: decode_number(value.get(name)) for name in NUMBERS}
    return TensorStats(decode_meta(value), **numbers, note=text(value.get("note", "")))


def _stats_or_none(value: Mapping[str, Json] | None) -> TensorStats | None:
    return None if value is None else decode_stats(value)


# -- the other records -------------------------------------------------------------------------


def encode_outcome(outcome: Outcome) -> dict[str, Json]:
    """How it ended, by name."""
    return _fields(outcome)


def decode_outcome(value: Mapping[str, Json]) -> Outcome:
    """What `encode_outcome` was given."""
    status = value["status"]
    if status not in get_args(Status):
        raise ValueError(f"there is no status {status!r}")
    return Outcome(
        status,
        text_or_none(value["error"]),
        text_or_none(value["message"]),
        whole_or_none(value["node"]),
    )


def encode_pass(backward_pass: BackwardPass) -> dict[str, Json]:
    """A backward pass, by name."""
    inputs = backward_pass.inputs
    return {
        **_fields(backward_pass),
        "roots": [{**_fields(r), "stats": encode_stats(r.stats)} for r in backward_pass.roots],
        "inputs": inputs
        and [
            {**_fields(i), "names": list(i.names), "stats": encode_stats(i.stats)} for i in inputs
        ],
        "outcome": encode_outcome(backward_pass.outcome),
    }


def decode_pass(value: Mapping[str, Json]) -> BackwardPass:
    """What `encode_pass` was given."""
    call, inputs = value["call"], value["inputs"]
    if call not in get_args(PassCall):
        raise ValueError(f"there is no call {call!r}")
    return BackwardPass(
        id=whole_number(value["id"]),
        call=call,
        file=text_or_none(value["file"]),
        line=whole_or_none(value["line"]),
        function=text_or_none(value["function"]),
        roots=tuple(map(_decode_root, value["roots"])),
        inputs=None if inputs is None else tuple(map(_decode_input, inputs)),
        retain_graph=flag(value["retain_graph"]),
        create_graph=flag(value["create_graph"]),
        graph_task=whole_or_none(value["graph_task"]),
        thread=whole_number(value["thread"]),
        parent=whole_or_none(value["parent"]),
        parent_pass=whole_or_none(value["parent_pass"]),
        outcome=decode_outcome(value["outcome"]),
    )


def _decode_root(value: Mapping[str, Json]) -> RootGradient:
    return RootGradient(
        whole_number(value["node"]),
        whole_number(value["slot"]),
        flag(value["is_implicit"]),
        _stats_or_none(value["stats"]),
    )


def _decode_input(value: Mapping[str, Json]) -> PassInput:
    return PassInput(
        whole_or_none(value["node"]),
        whole_number(value["slot"]),
        tuple(map(text, value["names"])),
        _stats_or_none(value["stats"]),
    )


def encode_parameter(parameter: TracedParameter) -> dict[str, Json]:
    """A traced parameter, by name."""
    return {
        "names": list(parameter.names),
        "meta": encode_meta(parameter.meta),
        "node": parameter.node,
        "l2": encode_number(parameter.l2),
    }


def decode_parameter(value: Mapping[str, Json]) -> TracedParameter:
    """What `encode_parameter` was given."""
    return TracedParameter(
        tuple(map(text, value["names"])),
        decode_meta(value["meta"]),
        whole_or_none(value["node"]),
        decode_number(value["l2"]),
    )


def encode_evidence(evidence: Evidence) -> dict[str, Json]:
    """What was seen at a node, by name."""
    return {**_fields(evidence), "values": dict(evidence.values)}


def decode_evidence(value: Mapping[str, Json]) -> Evidence:
    """What `encode_evidence` was given."""
    values = {name: text(item) for name, item in value["values"].items()}
    return Evidence(whole_number(value["event"]), text(value["rule"]), text(value["text"]), values)


def encode_environment(environment: Environment) -> dict[str, Json]:
    """Versions and settings, by name."""
    settings = {name: encode_plain(item) for name, item in environment.settings.items()}
    return {**_fields(environment), "settings": settings}


def decode_environment(value: Mapping[str, Json]) -> Environment:
    """What `encode_environment` was given."""
    return Environment(
        text(value["torch_version"]),
        text(value["python_version"]),
        text(value["platform"]),
        {name: decode_plain(item) for name, item in value["settings"].items()},
    )


def decode_stats_level(value: Json) -> StatsLevel:
    """The value, if it is one of the levels."""
    if value in get_args(StatsLevel):
        level: StatsLevel = value
        return level
    raise ValueError(f"there is no stats level {value!r}")


def _fields(record: Any) -> dict[str, Json]:
    return {name: getattr(record, name) for name in type(record).__slots__}
