"""What `inspect-autograd run` says of the error that ends a script."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.run_processes import RUN, run

pytestmark = pytest.mark.slow  # Every process imports torch.

Write = Callable[[str, str], Path]

STALE = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def train(x):
    first, second = model(x).sum(), model(x).sum()
    first.backward()
    optimizer.step()
    second.backward()


train(torch.randn(4, 2))
"""


def test_the_cause_is_named_with_its_line_below_the_traceback(tmp_path: Path, write: Write) -> None:
    script = write("stale.py", STALE)
    ran = run([*RUN, script.name], tmp_path)
    assert ran.code == 1
    traceback, _, rest = ran.err.partition("\n\n")
    assert traceback.startswith("Traceback (most recent call last):")
    assert "`torch.optim.SGD.step()` changed the parameter model[1].weight" in rest
    line = next(n for n, text in enumerate(STALE.splitlines(), 1) if "optimizer.step()" in text)
    assert f"stale.py:{line}" in rest
    assert "[saved-tensor-modified]" in rest
    report = (tmp_path / "inspect_autograd_out" / "report.txt").read_text(encoding="utf-8")
    assert "[saved-tensor-modified]" in report
    assert f"stale.py:{line}" in report


def test_nothing_is_said_of_errors_that_are_the_scripts_own(tmp_path: Path, write: Write) -> None:
    script = write("own.py", "import torch\nraise ValueError('saved tensor modified in place')\n")
    ran = run([*RUN, script.name], tmp_path)
    assert ran.code == 1
    assert "What to do" not in ran.err
    assert not (tmp_path / "inspect_autograd_out" / "report.txt").exists()
