"""A Recording as JSON values and back.

Its traces are written as in files of their own. Source lines, of which many writes and module
calls share one, stand in a table and are referred to by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from ..graph.creation import SourceLine
from .codec import comparable as comparable_trace
from .codec import decode_trace, encode_trace
from .effects import Cut, CutReason, Mutation
from .record_codec import (
    decode_environment,
    decode_meta,
    decode_stats_level,
    encode_environment,
    encode_meta,
)
from .recording import RecordingData, Step
from .records import StatsLevel
from .strict_json import Json, flag, text, text_or_none, whole_number, whole_or_none
from .timeline import ModuleSpan
from .trace import Trace

__all__ = ["comparable", "decode_recording", "encode_recording"]


# -- writing -----------------------------------------------------------------------------------


class _LineTable:
    """Numbers source lines in the order in which they are met."""

    def __init__(self) -> None:
        self.positions: dict[SourceLine, int] = {}

    def fields(self, record: Any) -> dict[str, Json]:
        """The fields of a record by name, its line as a position."""
        fields = {name: getattr(record, name) for name in type(record).__slots__}
        line = fields["source"]
        if line is not None:
            fields["source"] = self.positions.setdefault(line, len(self.positions))
        return fields


def encode_recording(data: RecordingData) -> dict[str, Json]:
    """The recording as values that `json` can write with `allow_nan=False`."""
    return _encode_effects(data) | {"traces": [encode_trace(trace.data) for trace in data.traces]}


def comparable(data: RecordingData) -> dict[str, Json]:
    """Values that are equal for recordings that say the same, see `codec.comparable`."""
    traces = [comparable_trace(trace.data) for trace in data.traces]
    return _encode_effects(data) | {"traces": traces}


def _encode_effects(data: RecordingData) -> dict[str, Json]:
    """All but the traces."""
    lines = _LineTable()
    body = {
        "stats_level": data.stats_level,
        "dropped_steps": data.dropped_steps,
        "steps": [
            {
                "index": step.index,
                "start_ns": step.start_ns,
                "duration_ns": step.duration_ns,
                "ended_by": step.ended_by,
                "traces": list(step.traces),
            }
            for step in data.steps
        ],
        "trace_starts_ns": list(data.trace_starts_ns),
        "cuts": [_encode_cut(cut, lines) for cut in data.cuts],
        "mutations": [
            lines.fields(mutation) | {"meta": encode_meta(mutation.meta)}
            for mutation in data.mutations
        ],
        "modules": [lines.fields(span) for span in data.modules],
        "notes": list(data.notes),
        "environment": encode_environment(data.environment),
    }
    table = [[line.file, line.line, line.function] for line in lines.positions]
    return {"lines": table, **body}


def _encode_cut(cut: Cut, lines: _LineTable) -> dict[str, Json]:
    return lines.fields(cut) | {
        "meta": None if cut.meta is None else encode_meta(cut.meta),
        "parameters": list(cut.parameters),
        "lost": list(cut.lost),
    }


# -- reading -----------------------------------------------------------------------------------


def decode_recording(value: Mapping[str, Json]) -> RecordingData:
    """The recording that `encode_recording` wrote.

    Raises:
        ValueError: What was read is not consistent, so that a recording made of it would be wrong.
        KeyError, TypeError, IndexError, AttributeError, OverflowError: Parts are missing or of
            another kind.
    """
    lines = [_decode_line(fields) for fields in value["lines"]]
    data = RecordingData(
        traces=tuple(Trace(decode_trace(trace)) for trace in value["traces"]),
        trace_starts_ns=tuple(map(whole_number, value["trace_starts_ns"])),
        steps=tuple(map(_decode_step, value["steps"])),
        dropped_steps=whole_number(value["dropped_steps"]),
        cuts=tuple(_decode_cut(cut, lines) for cut in value["cuts"]),
        mutations=tuple(_decode_mutation(mutation, lines) for mutation in value["mutations"]),
        modules=tuple(_decode_span(span, lines) for span in value["modules"]),
        stats_level=_decode_level(value["stats_level"]),
        notes=tuple(map(text, value["notes"])),
        environment=decode_environment(value["environment"]),
    )
    _check(data)
    return data


def _decode_line(fields: Sequence[Json]) -> SourceLine:
    file, line, function = fields
    return SourceLine(text(file), _count(line), text(function))


def _source(value: Json, lines: Sequence[SourceLine]) -> SourceLine | None:
    if value is None:
        return None
    position = whole_number(value)
    if not 0 <= position < len(lines):
        raise ValueError("a source line is referred to that is not there")
    return lines[position]


def _decode_step(value: Mapping[str, Json]) -> Step:
    return Step(
        index=_count(value["index"]),
        start_ns=whole_number(value["start_ns"]),
        duration_ns=_count(value["duration_ns"]),
        ended_by=text(value["ended_by"]),
        traces=tuple(map(whole_number, value["traces"])),
    )


def _decode_cut(value: Mapping[str, Json], lines: Sequence[SourceLine]) -> Cut:
    reason, reaches_loss = value["reason"], value["reaches_loss"]
    if reason not in get_args(CutReason):
        raise ValueError(f"there is no reason {reason!r} for a cut")
    return Cut(
        reason=reason,
        function=text(value["function"]),
        source=_source(value["source"], lines),
        scope=text_or_none(value["scope"]),
        count=_count(value["count"]),
        meta=None if value["meta"] is None else decode_meta(value["meta"]),
        parameters=tuple(map(text, value["parameters"])),
        lost=tuple(map(text, value["lost"])),
        reaches_loss=None if reaches_loss is None else flag(reaches_loss),
        step=_count(value["step"]),
    )


def _decode_mutation(value: Mapping[str, Json], lines: Sequence[SourceLine]) -> Mutation:
    return Mutation(
        function=text(value["function"]),
        source=_source(value["source"], lines),
        scope=text_or_none(value["scope"]),
        tensor=text(value["tensor"]),
        meta=decode_meta(value["meta"]),
        version_before=whole_or_none(value["version_before"]),
        version_after=whole_or_none(value["version_after"]),
        step=_count(value["step"]),
        thread=text(value["thread"]),
        time_ns=whole_number(value["time_ns"]),
        view_of=text(value["view_of"]),
    )


def _decode_span(value: Mapping[str, Json], lines: Sequence[SourceLine]) -> ModuleSpan:
    return ModuleSpan(
        path=text(value["path"]),
        call=_count(value["call"]),
        step=_count(value["step"]),
        depth=_count(value["depth"]),
        thread=text(value["thread"]),
        start_ns=whole_number(value["start_ns"]),
        duration_ns=_count(value["duration_ns"]),
        source=_source(value["source"], lines),
    )


def _decode_level(value: Json) -> StatsLevel | Literal["off"]:
    return "off" if value == "off" else decode_stats_level(value)


def _count(value: Json) -> int:
    number = whole_number(value)
    if number < 0:
        raise ValueError(f"expected a number that is not negative and found {number}")
    return number


# -- checks ------------------------------------------------------------------------------------


def _check(data: RecordingData) -> None:
    """Refuse a recording whose parts do not fit together.

    Raises:
        ValueError: Something is referred to that is not there, or steps and traces do not fit.
    """
    indices = [step.index for step in data.steps]
    if any(map(int.__ge__, indices, indices[1:])):
        raise ValueError("the steps are not in order")
    if not 0 <= data.dropped_steps <= min(indices, default=data.dropped_steps):
        raise ValueError("more steps were dropped than came before the first one")
    owned = [trace for step in data.steps for trace in step.traces]
    if owned != [*range(len(data.traces))]:
        raise ValueError("the backward passes do not belong to one step each, in order")
    if len(data.trace_starts_ns) != len(data.traces):
        raise ValueError("there is not one start for each backward pass")
    starts = [step.start_ns for step in data.steps]
    if starts != sorted(starts):
        raise ValueError("a step began before the one before it")
    if not {span.step for span in data.modules} <= {*indices}:
        raise ValueError("a module was called in a step that is not there")
    # What began in a step that was dropped may have gone on, so only the end is certain.
    last = max(indices, default=data.dropped_steps)
    used = [*(write.step for write in data.mutations), *(cut.step for cut in data.cuts)]
    if max(used, default=0) > last:
        raise ValueError("a step is referred to that is not there")
    for cut in data.cuts:
        if not {*cut.lost} <= {*cut.parameters}:
            raise ValueError("a cut lost a parameter that was not behind it")
    levels = {trace.stats_level for trace in data.traces}
    if not levels <= {"meta" if data.stats_level == "off" else data.stats_level}:
        raise ValueError("a backward pass has other statistics than the recording")
