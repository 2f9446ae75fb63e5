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
