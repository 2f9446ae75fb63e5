"""A report that was saved as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from ..graph.creation import SourceLine
from ..graph.json_file import decode_file
from .records import Certainty, Diagnosis, Evidence, Failure, Hint
from .report import Report
from .report_json import SCHEMA_VERSION
from .scene import Scene

__all__ = ["decode_report_file"]


def decode_report_file(path: Path, value: Mapping[str, Any]) -> Report:
    """The report that a file holds whose format is known to be `FORMAT`.

    Raises:
        FileFormatError: It is damaged, or of an unknown schema version.
    """
    return decode_file(path, value, _report, kind="report", schema_version=SCHEMA_VERSION)


def _report(value: Mapping[str, Any]) -> Report:
    version, failure = value["torch_version"], value["failure"]
    failed = None if failure is None else _failure(failure)
    return Report(
        diagnoses=tuple(map(_diagnosis, value["diagnoses"])),
        failure=failed,
        facts=tuple(map(_evidence, value["facts"])),
        scene=None if version is None else Scene(failure=failed, torch_version=_text(version)),
    )


def _failure(value: Mapping[str, Any]) -> Failure:
    return Failure(_text(value["type"]), _text(value["message"]), _source(value["source"]))


def _diagnosis(value: Mapping[str, Any]) -> Diagnosis:
    certainty = value["certainty"]
    if certainty not in get_args(Certainty):
        raise ValueError(f"certainty is {certainty!r}")
    return Diagnosis(
        slug=_text(value["slug"]),
        summary=_text(value["summary"]),
        explanation=_text(value["explanation"]),
        evidence=tuple(map(_evidence, value["evidence"])),
        hints=tuple(Hint(_text(hint["text"]), _text(hint["code"])) for hint in value["hints"]),
        certainty=certainty,
        source=_source(value["source"]),
    )


def _evidence(value: Mapping[str, Any]) -> Evidence:
    node = value["node"]
    return Evidence(
        _text(value["text"]), _source(value["source"]), None if node is None else _number(node)
    )


def _source(value: Mapping[str, Any] | None) -> SourceLine | None:
    if value is None:
        return None
    return SourceLine(_text(value["file"]), _number(value["line"]), _text(value["function"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, not {value!r}")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"expected a whole number, not {value!r}")
    return value
