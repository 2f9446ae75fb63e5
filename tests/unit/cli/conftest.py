"""Ways to run the command: in this process for speed, or as a process for what only it shows."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a run of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error


Cli = Callable[..., Ran]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call main() with arguments."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def process(tmp_path: Path) -> Cli:
    """Run the command as a process, in an empty folder."""

    def run(*arguments: object, environment: dict[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "inspect_autograd", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file of user code."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


QUADRATIC = """\
import torch
x = torch.arange(4.0, requires_grad=True)
y = 2 * torch.dot(x, x)
"""

MODEL = """\
import torch
from torch import nn

criterion = nn.MSELoss()
model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())

def make_loss():
    return criterion(model(torch.ones(4, 3)), torch.zeros(4, 2))

def make_both():
    return make_loss(), model

def make_named():
    own = nn.Linear(3, 1)
    return own(torch.ones(2, 3)).sum(), own

def needs(batch, *, scale, kind="l2"):
    return batch

def make_model():
    return model

def forgets():
    make_loss()

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
"""


@pytest.fixture
def quadratic(write: Callable[[str, str], Path]) -> Path:
    """A file with x = [0, 1, 2, 3] and y = 2 · dot(x, x)."""
    return write("quadratic.py", QUADRATIC)


@pytest.fixture
def model(write: Callable[[str, str], Path]) -> Path:
    """A file with a model and functions about it."""
    return write("model.py", MODEL)


# -- saved traces ----------------------------------------------------------------------------------


@pytest.fixture
def trace_quadratic(tmp_path: Path) -> Callable[..., Path]:
    """Trace y = factor · dot(x, x) at x = [0, 1, 2, 3], and save the trace.

    At factor 2, by hand: Mul receives 1 and returns 2; Dot returns 2 · x twice, of norm
    2 · sqrt(14) = 7.48; x receives [0, 4, 8, 12], of norm sqrt(224) = 14.97.
    """

    def save(name: str, factor: float = 2.0, **options: Any) -> Path:
        x = torch.arange(4.0, requires_grad=True)
        y = factor * torch.dot(x, x)
        with ia.trace(y, params={"x": x}, **options) as trace:
            y.backward()
        return trace.save(tmp_path / name)

    return save


@pytest.fixture
def trace_file(trace_quadratic: Callable[..., Path]) -> Path:
    """A trace of y = 2 · dot(x, x)."""
    return trace_quadratic("trace.json")


@pytest.fixture
def log_file(trace_quadratic: Callable[..., Path], tmp_path: Path) -> Path:
    """The log of the same."""
    trace_quadratic("of_log.json", log=tmp_path / "trace.jsonl")
    return tmp_path / "trace.jsonl"


@pytest.fixture
def nan_file(tmp_path: Path) -> Path:
    """A trace in which the square root of 0 makes NaN behind torch.where."""
    x = torch.tensor([0.0, 1.0, 4.0], requires_grad=True)
    y = torch.where(x > 0, x.sqrt(), x).sum()
    with ia.trace(y, params={"x": x}) as trace:
        y.backward()
    return trace.save(tmp_path / "nan.json")


@pytest.fixture
def two_passes(tmp_path: Path) -> Path:
    """A trace of the first and the second derivative of x³ at [1, 2]: 3x², 6x."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x**3).sum()
    with ia.trace(y, params={"x": x}) as trace:
        (gradient,) = torch.autograd.grad(y, x, create_graph=True)
        gradient.sum().backward()
    return trace.save(tmp_path / "two.json")


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    """A saved graph."""
    x = torch.arange(4.0, requires_grad=True)
    return ia.capture(2 * torch.dot(x, x), params={"x": x}).save(tmp_path / "graph.json")
