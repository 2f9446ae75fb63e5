"""`inspect-autograd doctor`, also where something is missing."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inspect_autograd.cli import doctor_graphviz, doctor_torch
from inspect_autograd.cli.doctor_check import Check
from inspect_autograd.render.engine import Engine, EngineError
from inspect_autograd.render.layout import lay_out

PRIVATE_TORCH = Path(__file__).parents[3] / "inspect_autograd" / "live" / "private_torch.py"


def states(checks: list[dict[str, Any]]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in checks}


def test_all_is_well(cli: Any) -> None:
    ran = cli("doctor")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert [line for line in lines if line in ("Python", "PyTorch", "Graphviz")] == [
        "Python",
        "PyTorch",
        "Graphviz",
    ]
    assert lines[-1] == "Graphs can be captured and drawn."


def test_as_json(cli: Any) -> None:
    ran = cli("doctor", "--json")
    assert ran.code == 0
    assert ran.json["works"] is True
    found = states(ran.json["checks"])
    for name in ("python", "torch", "capture", "private names", "engine", "png", "svg", "pdf"):
        assert found[name] == "ok", name


@pytest.mark.parametrize(
    ("missing", "failed", "remedy"),
    [
        (["torch"], "torch", "pip install torch"),
        (["pygraphviz"], "engine", "pip install pygraphviz"),
        (["rich", "graphviz", "pandas"], None, "pip install rich"),
    ],
)
def test_what_is_missing_is_reported(missing: list[str], failed: str | None, remedy: str) -> None:
    code = (
        "import os, sys\n"
        f"sys.modules.update(dict.fromkeys({missing!r}))\n"
        "os.environ['PATH'] = ''\n"
        "from inspect_autograd.cli.main import main\n"
        "sys.exit(main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    assert done.returncode == (0 if failed is None else 1)
    assert remedy in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last == (
        "Graphs can be captured and drawn."
        if failed is None
        else f"Graphs cannot be captured and drawn: {failed} failed."
    )


def test_optional_packages_are_optional(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("networkx", "pandas", "torchviz"):
        monkeypatch.setitem(sys.modules, name, None)
    ran = cli("doctor", "--json")
    assert ran.code == 0
    found = states(ran.json["checks"])
    assert [found[name] for name in ("networkx", "pandas", "torchviz")] == ["optional"] * 3


def test_every_private_name_is_looked_for() -> None:
    text = PRIVATE_TORCH.read_text(encoding="utf-8")
    used = set(re.findall(r"(?:torch|node|tensor|storage|raw)\.(_[a-zA-Z]\w*)", text))
    used |= set(re.findall(r'getattr\(\w+, "(_[a-zA-Z]\w*)"', text))
    used |= {f"{prefix}self" for prefix in re.findall(r'PREFIX = "(_\w+_)"', text)}
    assert {"_sequence_nr", "_raw_saved_self"} <= used
    parts = {part for name in doctor_torch.PRIVATE_NAMES for part in name.split(".")}
    # Of the compiler it is only asked whether it has been imported.
    assert used - parts == {"_dynamo"}


def test_a_private_name_that_is_gone_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"node._gone": "something is not known", "node._sequence_nr": "-", "torch._no.x": "y"}
    monkeypatch.setattr(doctor_torch, "PRIVATE_NAMES", names)
    *_, check = doctor_torch.check_torch()
    assert check.state == "limited"
    assert check.detail == (
        "1 of 3 that we rely on are there; without node._gone, something is not known; "
        "without torch._no.x, y"
    )


def graphviz_checks(monkeypatch: pytest.MonkeyPatch, *engines: Engine) -> dict[str, Check]:
    monkeypatch.setattr(doctor_graphviz, "find_engines", lambda: iter(engines))
    return {check.name: check for check in doctor_graphviz.check_graphviz()}


def test_an_engine_that_fails_is_a_limit_while_another_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Engine("broken", (sys.executable, "-c", "raise SystemExit(3)"), separate_options=True)
    checks = graphviz_checks(monkeypatch, broken)
    assert checks["engine"].state == "limited"
    assert checks["engine"].detail == "broken: it failed with exit status 3"
    # lay_out() looks for engines itself.
    assert checks["png"].state == "ok"


def test_letters_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"missing": "3 1", "Latin": "1 1", "Chinese": "3 1", "Japanese": "4 1", "Korean": "3 1"}
    plain = "\n".join(f"node {name} 0 0 {size} label" for name, size in sizes.items())
    monkeypatch.setattr(doctor_graphviz, "_draw", lambda *_: plain)
    check = graphviz_checks(monkeypatch, Engine("any", ("any",), separate_options=True))["letters"]
    assert check.state == "optional"
    assert check.detail == "Latin, Japanese; there is no font for Chinese, Korean"
    assert "fonts-noto-cjk" in check.remedy


def test_letters_that_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(_: Engine, __: str, output_format: str) -> str:
        if output_format == "plain":
            raise EngineError("no plain")
        return "<!-- Generated by graphviz version 12.2.1 (2024) -->"

    monkeypatch.setattr(doctor_graphviz, "_draw", draw)
    checks = graphviz_checks(monkeypatch, Engine("any", ("any",), separate_options=True))
    assert checks["engine"].detail == "any, version 12.2.1"
    assert checks["letters"].detail == "cannot be measured: no plain"


def test_a_format_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_autograd.errors import LayoutError

    def fail(source: str, output_format: str, *, timeout: float, boxes: int) -> object:
        if output_format == "svg":
            return lay_out(source, output_format, timeout=timeout, boxes=boxes)
        raise LayoutError("no cairo", remedy="Install it.")

    monkeypatch.setattr(doctor_graphviz, "lay_out", fail)
    checks = {check.name: check for check in doctor_graphviz.check_graphviz()}
    assert {name: checks[name].state for name in ("png", "svg", "pdf")} == {
        "png": "failed",
        "svg": "ok",
        "pdf": "limited",
    }
    assert (checks["png"].detail, checks["png"].remedy) == ("no cairo", "Install it.")
