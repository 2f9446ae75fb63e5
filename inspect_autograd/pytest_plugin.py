"""The plugin of pytest: explain tests that fail with an error of PyTorch's autograd.

A failing test whose exception a rule recognises gets a section with the report. It comes with the
package; `--no-inspect-autograd` turns it off for a run, `-p no:inspect_autograd` altogether.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

__all__ = ["pytest_addoption", "pytest_runtest_makereport"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that turns it off."""
    parser.getgroup("inspect_autograd").addoption(
        "--no-inspect-autograd",
        action="store_true",
        default=False,
        help="Do not explain tests that fail with an error of PyTorch's autograd.",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the section."""
    report = yield
    # A program that did not import torch has no such error, and must not pay for importing it.
    has_torch = "torch" in sys.modules
    is_off = item.config.getoption("no_inspect_autograd", default=False)
    if report.failed and has_torch and not is_off and call.excinfo is not None:
        text = _explain(call.excinfo.value)
        if text:
            report.sections.append(("inspect_autograd", text))
    return report


def _explain(error: BaseException) -> str:
    """The report; empty where there is nothing to say, or where the traceback shows it already."""
    from .live.carried import is_explained
    from .live.post_mortem.explain import explain

    try:
        if not isinstance(error, Exception) or is_explained(error):
            return ""
        found = explain(error)
        return str(found) if found.diagnoses else ""
    except Exception:  # A test must not fail in another way for our sake.
        return ""
