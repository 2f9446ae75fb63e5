"""A Report in a file."""

from __future__ import annotations

import os
from pathlib import Path

from ..diagnosis.report import Report
from ..diagnosis.report_json import encode_report
from ..errors import ArgumentError
from ..graph.atomic_write import to_path, write_atomically
from ..graph.json_file import write_json
from .report_html import render_report_html
from .report_text import render_report

__all__ = ["save_report"]

# Without the first line a browser falls back to rules of the last century, and without the second
# it guesses the encoding; `color-scheme` lets it be dark where the reader's system is.
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>inspect_autograd report</title></head>
<body style="font-family: system-ui, sans-serif; line-height: 1.4; margin: 2em">
{}
</body></html>
"""


def save_report(report: Report, path: str | os.PathLike[str]) -> Path:
    """Write a report to a file, which is replaced as a whole if it exists; see `Report.save`.

    Raises:
        ArgumentError: The suffix is none of `.txt`, `.html` and `.json`, or the path cannot be
            written.
    """
    target = to_path(path, "report.txt")
    if target.suffix == ".json":
        return write_json(target, encode_report(report), allow_nan=False)
    if target.suffix == ".txt":
        text = f"{render_report(report, full=True)}\n"
    elif target.suffix == ".html":
        text = _PAGE.format(render_report_html(report))
    else:
        raise ArgumentError(
            f"path is {str(target)!r}; expected a name that ends in .txt, .html or .json",
            remedy="Use .txt or .html to read the report, .json to give it to another program "
            "or to load it again.",
        )
    return write_atomically(target, text.encode("utf-8", "backslashreplace"))
