"""`compare` with whole runs: which step and pass differ first, and what only one of them has."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia

Cli = Callable[..., Any]


def write_run(folder: Path, factors: dict[str, float]) -> Path:
    """A folder of traces of y = factor · x², by the names of the files."""
    folder.mkdir()
    for name, factor in factors.items():
        x = torch.tensor(3.0, requires_grad=True)
        y = factor * x.square()
        with ia.trace(y, params={"x": x}) as trace:
            y.backward()
        trace.save(folder / f"{name}.json")
    return folder


FACTORS = {"step000000-pass0": 1.0, "step000000-pass1": 2.0, "step000010-pass0": 3.0}


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return write_run(tmp_path / "a", FACTORS)


def test_the_same(cli: Cli, a: Path, tmp_path: Path) -> None:
    b = write_run(tmp_path / "b", FACTORS)
    (b / "notes.json").write_text("what else is there does not count")
    ran = cli("compare", a, b)
    assert (ran.code, ran.out) == (0, "Runs are the same: 3 traces, within the tolerances\n")
    data = cli("compare", a, b, "--json").json
    assert data == {
        "a": str(a), "b": str(b), "same": True, "step": None, "number": None, "agreeing": 3,
        "only_a": [], "only_b": [],
    }  # fmt: skip


def test_the_first_pass_that_differs(cli: Cli, a: Path, tmp_path: Path) -> None:
    b = write_run(tmp_path / "b", FACTORS | {"step000000-pass1": 2.5, "step000010-pass0": 9.0})
    ran = cli("compare", a, b)
    assert ran.code == 1
    assert ran.out.startswith(
        "Runs differ first in step 0, pass 1; 1 trace before it agree\n\n"
        "Traces differ first at #0 MulBackward0 (x): returned[0] |2| against |2.5|"
    )
    data = cli("compare", a, b, "--json").json
    assert (data["same"], data["step"], data["number"], data["agreeing"]) == (False, 0, 1, 1)
    assert data["differences"][0]["name"] == "MulBackward0"
    assert cli("compare", a, b, "--rtol", "0.9").code == 0


def test_a_run_that_is_longer(cli: Cli, a: Path, tmp_path: Path) -> None:
    b = write_run(tmp_path / "b", {"step000000-pass0": 1.0, "step000020-pass0": 1.0})
    ran = cli("compare", a, b)
    assert ran.code == 1
    assert ran.out == (
        "Runs agree in all 1 trace that both have\n"
        "only a has step 0, pass 1; step 10, pass 0\n"
        "only b has step 20, pass 0\n"
    )


def test_what_cannot_be_compared(cli: Cli, a: Path, tmp_path: Path) -> None:
    b = write_run(tmp_path / "b", {"step000030-pass0": 1.0})
    ran = cli("compare", a, b)
    assert ran.code == 2
    assert ran.err.startswith("error: the two runs have no step in common: a has step 0, pass 0; ")
    single = b / "step000030-pass0.json"
    for pair in ((a, single), (single, a)):
        ran = cli("compare", *pair)
        assert ran.code == 2
        assert ran.err.startswith(f"error: {a} is a whole run, but {single} is not\n")
    shutil.copy(single, b / "step000040-pass0.json")
    (b / "step000030-pass0.json").write_text("{}")
    assert cli("compare", b, b).code == 2


def test_recordings_and_folders(cli: Cli, tmp_path: Path) -> None:
    """A recording compares with the folder of another run, and tells the line of the node."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.1)
    folder = tmp_path / "folder"
    folder.mkdir()
    with ia.record(stats="basic") as recording:
        for _ in range(2):
            x.square().sum().backward()
            optimizer.step()
    file = recording.save(tmp_path / "recording.json")
    for step, trace in enumerate(recording.traces):
        trace.save(folder / f"step{step:06}-pass0.json")
    assert cli("compare", file, folder).code == 0
    recording.traces[0].save(folder / "step000001-pass0.json")
    ran = cli("compare", folder, file)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert lines[0] == "Runs differ first in step 1, pass 0; 1 trace before it agree"
    assert lines[2].startswith("Traces differ first at #1 PowBackward0")
    assert lines[3].startswith("The node was made by Tensor.square at test_compare_runs.py:")
