"""A report as JSON, for other tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graph.creation import SourceLine
from .records import Diagnosis, Evidence, Failure

if TYPE_CHECKING:
    from .report import Report

__all__ = ["FORMAT", "SCHEMA_VERSION", "encode_report"]

FORMAT = "inspect_autograd.report"
SCHEMA_VERSION = 1
"""Rises with every change that a reader would misunderstand."""


def encode_report(report: Report) -> dict[str, Any]:
    """What the report says, in lists, dicts, texts and whole numbers.

    The graph and the scene are left out: they may be large, and the evidence names what matters.
    """
    scene = report.scene
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "torch_version": (scene.torch_version or None) if scene is not None else None,
        "failure": None if report.failure is None else _failure(report.failure),
        "diagnoses": [_diagnosis(diagnosis, report) for diagnosis in report.diagnoses],
        "facts": [_evidence(fact, report) for fact in report.facts],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "type": failure.type,
        "message": failure.message,
        "source": _source(failure.source),
    }


def _diagnosis(diagnosis: Diagnosis, report: Report) -> dict[str, Any]:
    return {
        "slug": diagnosis.slug,
        "summary": diagnosis.summary,
        "explanation": diagnosis.explanation,
        "certainty": diagnosis.certainty,
        "source": _source(diagnosis.source),
        "evidence": [_evidence(item, report) for item in diagnosis.evidence],
        "hints": [{"text": hint.text, "code": hint.code} for hint in diagnosis.hints],
    }


def _evidence(evidence: Evidence, report: Report) -> dict[str, Any]:
    node, graph = evidence.node, report.graph
    is_known = graph is not None and node is not None and 0 <= node < len(graph.nodes)
    return {
        "text": evidence.text,
        "source": _source(evidence.source),
        "node": node,
        "node_name": graph.nodes[node].name if is_known and graph and node is not None else None,
    }


def _source(source: SourceLine | None) -> dict[str, Any] | None:
    if source is None:
        return None
    return {"file": source.file, "line": source.line, "function": source.function}
