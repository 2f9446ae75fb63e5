"""Report: what the rules say about a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..graph.graph import Graph
from .records import Diagnosis, Evidence, Failure
from .scene import Scene

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """What happened, why, where, and how to fix it.

    Attributes:
        diagnoses: What the rules say, the most telling first; empty where nothing was recognised
            (or, without a failure, where nothing is wrong).
        failure: The exception that is explained; None for a report without one.
        facts: What was found, where no rule recognised the failure.
        graph: The graph behind the call, which `Evidence.node` refers to.
        scene: All that the rules were given.
    """

    diagnoses: tuple[Diagnosis, ...]
    failure: Failure | None = None
    facts: tuple[Evidence, ...] = ()
    graph: Graph | None = None
    scene: Scene | None = None

    def __str__(self) -> str:
        from ..render.report_text import render_report

        return render_report(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text("Report(…)" if cycle else str(self))
