"""Runs a program that fails and explains what it ends with.

The line that a rule is to name has the comment `# guilty`.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.records import Diagnosis
from inspect_autograd.diagnosis.report import Report
from tests.conformance.error_runner import CATALOGUE

__all__ = ["Explained", "cases_of", "each_case", "either_way", "explain_program"]

either_way = pytest.mark.parametrize("record", [False, True], ids=["plain", "recorded"])
"""For tests that take `record`: without a recording, and inside one."""


@dataclass(frozen=True)
class Explained:
    """What a program ended with, and what is said of it."""

    report: Report
    error: BaseException
    guilty: int | None

    @property
    def slugs(self) -> list[str]:
        """Of all diagnoses, in order."""
        return [diagnosis.slug for diagnosis in self.report.diagnoses]

    @property
    def first(self) -> Diagnosis:
        """The first diagnosis."""
        assert self.report.diagnoses, self.report
        return self.report.diagnoses[0]

    @property
    def line(self) -> int | None:
        """The line that the first diagnosis names."""
        return None if self.first.source is None else self.first.source.line

    @property
    def codes(self) -> list[str]:
        """The code of all hints of the first diagnosis that have any."""
        return [hint.code for hint in self.first.hints if hint.code]

    def has(self, text: str) -> bool:
        """Whether a fact of the first diagnosis contains a text."""
        return any(text in fact.text for fact in self.first.evidence)


def explain_program(folder: Path, source: str, *, record: bool = False) -> Explained:
    """Run a program to its error, or to its first warning, and explain that.

    Args:
        folder: Where it is written.
        source: The program, which may take torch and `ia` for imported.
        record: Whether it runs inside `inspect_autograd.record()`.
    """
    source = dedent(source)
    path = folder / "program.py"
    path.write_text(source, encoding="utf-8")
    error, warned = _run(compile(source, str(path), "exec"), record=record)
    ended = error or next((w for w in warned), None)
    assert ended is not None, "the program ended without an error or a warning"
    lines = [n for n, text in enumerate(source.splitlines(), 1) if text.endswith("# guilty")]
    return Explained(ia.explain(ended), ended, lines[0] if lines else None)


def _run(code: object, *, record: bool) -> tuple[BaseException | None, list[Warning]]:
    namespace = {"__name__": "__main__", "torch": torch, "ia": ia}
    error: BaseException | None = None
    with warnings.catch_warnings(record=True) as caught, contextlib.ExitStack() as stack:
        warnings.simplefilter("always")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        # Of some things torch warns once in a process, in which other tests have run.
        stack.callback(torch.set_warn_always, torch.is_warn_always_enabled())
        torch.set_warn_always(True)
        try:
            with ia.record() if record else contextlib.nullcontext():
                exec(code, namespace)  # type: ignore[arg-type]
        except Exception as raised:
            raised.__traceback__ = raised.__traceback__ and raised.__traceback__.tb_next
            error = raised
    return error, [w.message for w in caught if isinstance(w.message, Warning)]


def cases_of(slug: str) -> list[tuple[str, str]]:
    """Key and source of the programs of the catalogue with a slug."""
    cases = json.loads(CATALOGUE.read_text(encoding="utf-8"))["cases"]
    return [(case["key"], case["source"]) for case in cases if case["slug"] == slug]


def each_case(slug: str) -> pytest.MarkDecorator:
    """For tests that take `key` and `source`: every program of the catalogue with a slug."""
    cases = cases_of(slug)
    return pytest.mark.parametrize(("key", "source"), cases, ids=[key for key, _ in cases])
