"""`inspect-autograd run` with scripts that train: files, summary, and what stays as it was."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import inspect_autograd as ia
from tests.unit.cli.run_processes import PYTHON, RUN, Ran, interrupt, run

pytestmark = pytest.mark.slow  # Every process imports torch.

Write = Callable[[str, str], Path]

TRAIN = """\
import argparse, hashlib, os, signal, sys, time
import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--out")
parser.add_argument("--fail", type=int, default=-1)
parser.add_argument("--end", default="")
options = parser.parse_args()

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
digest = hashlib.sha256()


class Refuse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise ArithmeticError("refused")


for step in range(options.steps):
    loss = model(torch.randn(8, 3)).square().sum()
    if step == options.fail:
        loss = Refuse.apply(loss)
    optimizer.zero_grad()
    loss.backward()
    for parameter in model.parameters():
        digest.update(parameter.grad.numpy().tobytes())
    optimizer.step()
print(digest.hexdigest(), [p.sum().item() for p in model.parameters()], options.out, flush=True)
if options.end == "exit":
    os._exit(7)
if options.end == "wait":
    time.sleep(60)
if options.end:
    sys.exit(options.end)
"""


def traces(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("step*.json"))


def steps(folder: Path) -> list[int]:
    return [int(name[4:10]) for name in traces(folder)]


def test_training(write: Write, tmp_path: Path) -> None:
    """The whole of it: nothing of the script changes, and its steps are there afterwards."""
    write("train.py", TRAIN)
    # Options that both know: those behind the script's name are its own.
    words = ["train.py", "--steps", "6", "--out", "theirs", "--end", "done"]
    plain = run([*PYTHON, *words], tmp_path)
    ours = run([*RUN, *words], tmp_path)
    # The text holds a hash of every gradient, and the weights after the last step.
    assert (ours.code, ours.out) == (plain.code, plain.out) == (1, plain.out)
    assert len(ours.out) > 64
    assert plain.err == "done\n"
    assert ours.err.endswith(plain.err)

    folder = tmp_path / "inspect_autograd_out"
    assert traces(folder) == [f"step{step:06}-pass0.json" for step in (0, 1, 2, 5)]
    trace = ia.load(folder / "step000005-pass0.json", ia.Trace)
    assert (trace.outcome.status, trace.stats_level) == ("completed", "basic")
    node = trace.graph.find("Addmm*")[0]
    assert node.scope == "Sequential.3"
    assert node.creation is not None
    assert node.creation.source is not None
    line = TRAIN[: TRAIN.index("    loss = model(")].count("\n") + 1
    assert node.creation.source.short == f"train.py:{line}"
    assert [p.names[0] for p in trace.parameters] == [
        f"Sequential.{name}" for name in ("0.weight", "0.bias", "3.weight", "3.bias")
    ]

    assert "6 backward passes in 6 steps" in ours.err
    assert "steps kept        0–2, 5; the last one was step 5\n" in ours.err
    assert "not finite        nothing, in the steps that were kept\n" in ours.err
    assert "gradient norms    Sequential." in ours.err
    assert "show inspect_autograd_out/step000005-pass0.json --flow module\n" in ours.err
    assert (folder / "summary.txt").read_text() + plain.err == ours.err
    index = json.loads((folder / "run.json").read_text())
    assert (index["state"], index["passes"], index["program"]) == ("finished", 6, "train.py")
    assert sorted([*index["files"], "run.json"]) == sorted(p.name for p in folder.iterdir())


def test_a_backward_pass_that_fails(write: Write, tmp_path: Path) -> None:
    write("train.py", TRAIN)
    words = ["train.py", "--fail", "4"]
    plain = run([*PYTHON, *words], tmp_path)
    ours = run([*RUN, "--pictures=png", "--out", "kept/here", *words], tmp_path)
    assert (ours.code, ours.out) == (plain.code, plain.out) == (1, b"")
    assert ours.err.startswith(plain.err)
    assert "inspect_autograd" not in plain.err + ours.err[: len(plain.err)]
    folder = tmp_path / "kept" / "here"
    assert steps(folder) == [0, 1, 2, 4]
    outcome = ia.load(folder / "step000004-pass0.json", ia.Trace).outcome
    assert (outcome.status, outcome.error) == ("raised", "ArithmeticError")
    assert "ended with        ArithmeticError\n" in ours.err
    assert "it raised ArithmeticError: refused in #0 RefuseBackward\n" in ours.err
    assert json.loads((folder / "run.json").read_text())["state"] == "raised"
    picture = (folder / "step000004-pass0.png").read_bytes()
    assert picture.startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The training, by Python itself."""
    folder = tmp_path_factory.mktemp("plain")
    (folder / "train.py").write_text(TRAIN)
    return run([*PYTHON, "train.py"], folder)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--steps", "1:3"], [1, 2]),
        (["--steps", "::4"], [0, 4]),
        (["--steps", "-2:"], [4, 5]),
        (["--steps", "50:"], []),
    ],
)
def test_steps(
    options: list[str], kept: list[int], plain: Ran, write: Write, tmp_path: Path
) -> None:
    write("train.py", TRAIN)
    assert run([*RUN, "--quiet", *options, "train.py"], tmp_path) == plain
    assert steps(tmp_path / "inspect_autograd_out") == kept


@pytest.mark.parametrize(
    ("end", "number"), [("exit", None), ("wait", signal.SIGTERM), ("wait", signal.SIGINT)]
)
def test_a_script_that_is_cut_off(
    end: str, number: signal.Signals | None, write: Write, tmp_path: Path
) -> None:
    """What was written as the steps ended is there, in whatever way the process ends."""
    write("train.py", TRAIN)

    def go(command: list[str]) -> Ran:
        command = [*command, "train.py", "--end", end]
        return run(command, tmp_path) if number is None else interrupt(command, tmp_path, number)

    plain, ours = go(PYTHON), go([*RUN, "--quiet"])
    assert ours == plain
    assert ours.code == (7 if number is None else -number)
    folder = tmp_path / "inspect_autograd_out"
    assert steps(folder)[:3] == [0, 1, 2]
    state = json.loads((folder / "run.json").read_text())["state"]
    if number == signal.SIGINT:  # Python goes on from there, and so do we.
        assert (state, steps(folder)) == ("raised", [0, 1, 2, 5])
    else:
        assert state == "running"
    for name in traces(folder):
        assert ia.load(folder / name, ia.Trace).outcome.status == "completed"


def test_a_second_run_replaces_the_first(write: Write, tmp_path: Path) -> None:
    write("train.py", TRAIN)
    folder = tmp_path / "out"
    assert run([*RUN, "--out", "out", "--quiet", "train.py"], tmp_path).code == 0
    (folder / "mine.txt").write_text("stays")
    assert run([*RUN, "--out", "out", "--steps", "1", "train.py"], tmp_path).code == 0
    assert steps(folder) == [1]
    assert (folder / "mine.txt").read_text() == "stays"


NAN = """\
import os
os.environ["MKL_NUM_THREADS"] = "1"
import sys
assert "torch" not in sys.modules
def late():
    import torch
    w = torch.tensor([4.0, 1.0], requires_grad=True)
    for step in range(5):
        w.grad = None
        (w - step).sqrt().sum().backward()
    print("done")
late()
os.chdir("/")
"""


def test_nonfinite_without_an_optimizer(write: Write, tmp_path: Path) -> None:
    """w - step is 0 first in step 1, where the derivative of the square root is infinite."""
    write("nan.py", NAN)
    ran = run([*RUN, "--steps", "nonfinite", "nan.py"], tmp_path)
    assert (ran.code, ran.out) == (0, b"done\n")
    assert steps(tmp_path / "inspect_autograd_out") == [1]
    assert "NOT FINITE        first in step 1: Inf was born at #1 SqrtBackward0" in ran.err
    # The script has left the folder, but whoever started it has not.
    assert "inspect-autograd show inspect_autograd_out/step000001-pass0.json\n" in ran.err


WORKERS = """\
import sys
import torch
from torch.utils.data import DataLoader, Dataset

class Numbers(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        w = torch.ones(3, requires_grad=True)
        (w * i).sum().backward()
        return w.grad

if __name__ == "__main__":
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for batch in DataLoader(Numbers(), batch_size=4, num_workers=2,
                            multiprocessing_context=sys.argv[1]):
        model(batch).sum().backward()
        optimizer.step()
    print("done")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_data_loader_workers(method: str, write: Write, tmp_path: Path) -> None:
    write("workers.py", WORKERS)
    ran = run([*RUN, "--steps", ":", "workers.py", method], tmp_path)
    assert (ran.code, ran.out) == (0, b"done\n")
    assert ran.err.count("inspect-autograd: ") == 1
    assert "note              2 worker processes of the script were not recorded\n" in ran.err
    # Those of the main process alone: the workers compute gradients too.
    assert steps(tmp_path / "inspect_autograd_out") == [0, 1]


THREADS = """\
import threading, time
import torch

def train():
    time.sleep(0.3)
    w = torch.ones(2, requires_grad=True)
    w.sum().backward()

threading.Thread(target=train).start()
"""


def test_a_thread_that_outlives_the_main_module(write: Write, tmp_path: Path) -> None:
    write("threads.py", THREADS)
    ran = run([*RUN, "threads.py"], tmp_path)
    assert (ran.code, ran.out) == (0, b"")
    assert "1 backward pass in 1 step" in ran.err
    assert steps(tmp_path / "inspect_autograd_out") == [0]


def test_our_own_failure_is_one_line(write: Write, tmp_path: Path) -> None:
    """A folder that turns into a file is nobody's fault but costs the script nothing."""
    write("train.py", TRAIN.replace("torch.manual_seed", "open('out', 'w')\ntorch.manual_seed"))
    ran = run([*RUN, "--out", "out", "--quiet", "train.py", "--steps", "2"], tmp_path)
    plain = run([*PYTHON, "train.py", "--steps", "2"], tmp_path)
    assert (ran.code, ran.out) == (0, plain.out)
    assert ran.err.startswith("inspect-autograd: could not write step 0: FileExistsError: ")
    assert all(line.startswith("inspect-autograd: ") for line in ran.err.splitlines())
    assert "Traceback" not in ran.err


def test_no_backward_pass(write: Write, tmp_path: Path) -> None:
    write("script.py", "import torch\nprint(torch.ones(2).sum().item())")
    ran = run([*RUN, "script.py"], tmp_path)
    assert (ran.code, ran.out) == (0, b"2.0\n")
    assert "script.py ran no backward pass, so nothing was kept" in ran.err
    assert not (tmp_path / "inspect_autograd_out").exists()
