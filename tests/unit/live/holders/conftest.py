"""Fixtures of the tests for what keeps graphs alive."""

from collections.abc import Callable
from typing import Any

import pytest

import inspect_autograd as ia


@pytest.fixture(autouse=True)
def _plenty_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on how fast the machine is; those about the limit give their own."""
    search: Callable[..., Any] = getattr(ia.graph_holders, "__wrapped__", ia.graph_holders)
    defaults: Any = search.__kwdefaults__
    monkeypatch.setitem(defaults, "max_seconds", 300.0)
