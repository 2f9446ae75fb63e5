"""Report: what the rules say about a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from ..graph.graph import Graph
from .records import Diagnosis, Evidence, Failure
from .report_json import encode_report
from .scene import Scene

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """What happened, why, where, and how to fix it.

    `print(report)` shows it, a notebook shows it by itself.

    Attributes:
        diagnoses: What the rules say, the most telling first; empty where nothing was recognised
            (or, without a failure, where nothing is wrong).
        failure: The exception that is explained; None for a report without one.
        facts: What was found, where no rule recognised the failure, and what else is worth
            knowing: that a rule failed itself, for example.
        graph: The graph behind the call, which `Evidence.node` refers to.
        scene: All that the rules were given.
    """

    diagnoses: tuple[Diagnosis, ...]
    failure: Failure | None = None
    facts: tuple[Evidence, ...] = ()
    graph: Graph | None = None
    scene: Scene | None = None

    # Records do not know renderers; these lazy imports are the methods that users expect here.

    def to_text(self, *, width: int = 88, full: bool = False) -> str:
        """The report as plain text.

        Args:
            width: Longest line, in columns. Code is never broken, so that it can be pasted.
            full: Show every diagnosis in full, and all evidence. Else all but the first are in
                short.
        """
        from ..render.report_text import render_report

        return render_report(self, width=width, full=full)

    def to_note(self) -> str:
        """At most 12 lines, to be read below a traceback."""
        from ..render.report_text import render_note

        return render_note(self)

    def to_html(self) -> str:
        """A fragment of HTML that can stand in any page, light or dark."""
        from ..render.report_html import render_report_html

        return render_report_html(self)

    def to_json(self) -> dict[str, Any]:
        """What the report says as a dict of strict JSON, with a `schema_version`."""
        return encode_report(self)

    def print(self, file: TextIO | None = None, *, full: bool = False) -> None:
        """Print the report, in colours if it goes to a terminal.

        Args:
            file: Where to; `sys.stdout` by default.
            full: As for `to_text`.
        """
        import sys

        from ..render.report_rich import render_report_for_terminal

        render_report_for_terminal(self, sys.stdout if file is None else file, full=full)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the report to a file, which is replaced as a whole if it exists.

        Args:
            path: Its suffix says what is written: `.txt` and `.html` for reading, `.json` what
                `to_json` gives, which `load` reads back.

        Returns:
            The path.

        Raises:
            ArgumentError: The suffix is none of these, or the path cannot be written.
        """
        from ..render.report_file import save_report

        return save_report(self, path)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        what = "no failure" if self.failure is None else self.failure.type
        found = ", ".join(d.slug for d in self.diagnoses[:5]) or "no diagnosis"
        more = f", … {len(self.diagnoses)} in all" if len(self.diagnoses) > 5 else ""
        return f"<Report of {what}: {found}{more}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return self.to_html()

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        """What `rich.print(report)` shows."""
        from ..render.report_rich import rich_lines
        from ..render.report_view import view_report

        yield from rich_lines(view_report(self))
