"""Several processes under torchrun: each has a folder of its own, and folders compare."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.run_processes import run

pytestmark = pytest.mark.slow

SCRIPT = """\
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
model = DistributedDataParallel(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
same = torch.ones(5, 3)
data = torch.randn(5, 3, generator=torch.Generator().manual_seed(rank))
for step in range(3):
    batch = same if step == 0 else data
    loss = nn.functional.mse_loss(model(batch), torch.zeros(5, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
gathered = [None, None]
dist.all_gather_object(gathered, [p.grad.tolist() for p in model.parameters()])
if rank == 0:
    print("averaged alike:", gathered[0] == gathered[1])
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "train.py").write_text(SCRIPT)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    standalone = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    ran = run([*launch, *standalone, "-m", "inspect_autograd", "run", "train.py"], folder)
    assert (ran.code, ran.out) == (0, b"averaged alike: True\n"), ran.err
    # Only the first process speaks.
    assert ran.err.count("inspect-autograd: train.py: 3 backward passes in 3 steps") == 1
    assert "in inspect_autograd_out/rank0\n" in ran.err
    return folder / "inspect_autograd_out"


def test_every_rank_has_a_folder(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["rank0", "rank1"]
    names = [sorted(path.name for path in rank.iterdir()) for rank in folder.iterdir()]
    assert names[0] == names[1]
    assert "step000002-pass0.json" in names[0]


@pytest.mark.parametrize("suffix", ["", "recording.json"])
def test_ranks_differ_in_their_own_gradients(
    cli: Callable[..., Any], folder: Path, suffix: str
) -> None:
    """Step 0 has the same data on both; from step 1 on the losses differ, at their first node."""
    first, second = folder / "rank0" / suffix, folder / "rank1" / suffix
    ran = cli("compare", first, second)
    assert (ran.code, ran.err) == (1, "")
    lines = ran.out.splitlines()
    step = 2 if suffix else 1  # The recording holds the last steps only.
    assert lines[0].startswith(f"Runs differ first in step {step}, pass 0; ")
    if not suffix:
        assert lines[0].endswith("; 1 trace before it agree")
    assert lines[2].startswith("Traces differ first at #0 MseLossBackward0: returned[0] |")
    line = SCRIPT[: SCRIPT.index("    loss =")].count("\n") + 1
    assert lines[3] == f"The node was made by torch.nn.functional.mse_loss at train.py:{line}."


def test_a_rank_is_the_same_as_itself(cli: Callable[..., Any], folder: Path) -> None:
    ran = cli("compare", folder / "rank0", folder / "rank0")
    assert (ran.code, ran.out) == (0, "Runs are the same: 3 traces, within the tolerances\n")


def test_the_folder_of_all_ranks_is_none_of_them(cli: Callable[..., Any], folder: Path) -> None:
    ran = cli("compare", folder, folder / "rank0")
    assert ran.code == 2
    assert ran.err.startswith(f"error: the folder {folder} holds a run of 2 processes\n")
    assert str(folder / "rank0") in ran.err
