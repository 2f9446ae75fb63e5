"""Fixtures of the tests for rendering."""

import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inspect_autograd.render import layout


@pytest.fixture(autouse=True)
def _forget_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier test learned about an engine does not count for this one's fake."""
    monkeypatch.setattr(layout, "_engines_with_fonts", set())


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No `dot` on PATH, so the Graphviz inside pygraphviz is used."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.fixture
def fake_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Puts a `dot` on PATH that is the given Python program; nothing else is on PATH but sh."""
    if os.name == "nt":
        pytest.skip("needs scripts that can be run")

    def install(program: str) -> Path:
        folder = tmp_path / "fake"
        folder.mkdir()
        script = folder / "dot"
        script.write_text(f"#!{sys.executable}\n{program}", encoding="utf-8")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        shell = shutil.which("sh")
        assert shell is not None
        monkeypatch.setenv("PATH", os.pathsep.join([str(folder), str(Path(shell).parent)]))
        if shutil.which("dot") != str(script):
            pytest.skip("cannot put a dot of its own on PATH")
        return script

    return install
