"""Fixtures of the tests for what keeps graphs alive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inspect_autograd as ia


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests go first: each looks at all objects of the process, which grow with every test.

    After some thousand tests, every call takes several times as long.
    """
    here = Path(__file__).parent
    items.sort(key=lambda item: here not in item.path.parents)


@pytest.fixture(autouse=True)
def _plenty_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on how fast the machine is; those about the limit give their own."""
    search: Callable[..., Any] = getattr(ia.graph_holders, "__wrapped__", ia.graph_holders)
    defaults: Any = search.__kwdefaults__
    monkeypatch.setitem(defaults, "max_seconds", 300.0)
