"""Which files of which steps are there, while a script runs and when it is over."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.cli.run_files import RunFolder, find_trace_files
from inspect_autograd.cli.run_plan import RunPlan
from inspect_autograd.cli.run_progress import Progress
from inspect_autograd.cli.run_steps import parse_steps
from inspect_autograd.live.recording.steps import StepNotes

Drive = Callable[..., RunPlan]


def trace(value: float = 4.0) -> ia.Trace:
    x = torch.tensor(value, requires_grad=True)
    y = x.sqrt()
    with ia.trace(y, params={"x": x}) as trace:
        y.backward()
    return trace


@pytest.fixture
def make_plan(tmp_path: Path) -> Drive:
    def make(steps: str) -> RunPlan:
        folder = RunFolder(tmp_path / "out", "train.py")
        return RunPlan(parse_steps(steps), folder, Progress(is_on=False), has_values=True)

    return make


def tell(plan: RunPlan, index: int, *values: float) -> None:
    """A step has ended in which the square root was taken of these."""
    step = StepNotes(index, 0)
    step.traces = [trace(value) for value in values]
    step.pass_count = len(values)
    plan.ended(step)


def there(plan: RunPlan) -> list[tuple[int, int]]:
    return [*find_trace_files(plan.folder.path)] if plan.folder.path.exists() else []


def test_steps_by_number_are_written_as_they_end(make_plan: Drive) -> None:
    plan = make_plan("0:2,5")
    tell(plan, 0, 1.0, 2.0)
    assert there(plan) == [(0, 0), (0, 1)]
    for index in range(1, 8):
        tell(plan, index, 1.0)
    assert there(plan) == [(0, 0), (0, 1), (1, 0), (5, 0)]
    assert (plan.steps, plan.passes, plan.kept, plan.last_step) == (8, 9, [0, 1, 5], 7)
    plan.finish()
    assert there(plan) == [(0, 0), (0, 1), (1, 0), (5, 0)]
    assert [plan.wants(index) for index in (0, 2, 5, 6)] == [True, False, True, False]


def test_of_the_last_steps_no_more_files_than_wanted(make_plan: Drive) -> None:
    plan = make_plan("-2:")
    for index in range(6):
        assert plan.wants(index)
        tell(plan, index, 1.0)
        written = there(plan)
        assert len(written) <= 2
        assert all(step > index - 2 for step, _ in written)
    tell(plan, 6)  # What follows the last optimizer.step() is no step of its own.
    plan.finish()
    assert there(plan) == [(4, 0), (5, 0)]
    assert sorted(plan.kept) == [4, 5]


def test_the_first_of_the_last_steps_is_written_at_once(make_plan: Drive) -> None:
    """In case that the process is killed: then there is something."""
    plan = make_plan("-1:")
    tell(plan, 0, 1.0)
    assert there(plan) == [(0, 0)]


def test_a_step_that_is_wanted_by_number_too_stays(make_plan: Drive) -> None:
    plan = make_plan(":1,-1:")
    for index in range(4):
        tell(plan, index, 1.0)
    plan.finish()
    assert there(plan) == [(0, 0), (3, 0)]


def test_the_first_step_that_is_not_finite(make_plan: Drive) -> None:
    plan = make_plan("nonfinite")
    for index, value in enumerate([1.0, 4.0, 0.0, 0.0]):
        assert plan.wants(index) == (index < 3)
        tell(plan, index, value)
    assert there(plan) == [(2, 0)]
    assert plan.first_finding is not None
    assert (plan.first_finding.step, plan.first_finding.report.what) == (2, "Inf")


def test_what_cannot_be_written_is_noted_once(make_plan: Drive, tmp_path: Path) -> None:
    plan = make_plan(":")
    (tmp_path / "out").write_text("a file")
    for index in range(3):
        tell(plan, index, 0.0)
    assert [*plan.failures.values()] == [0]
    assert plan.first_finding is not None  # It is told all the same.
    assert plan.steps == 3


def test_a_folder_that_is_no_longer_empty(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, "a.py")
    first.write_trace(trace(), 3, 0)
    (tmp_path / "step000009-pass0.json").write_text("not of ours")
    second = RunFolder(tmp_path, "b.py")
    assert (tmp_path / "step000003-pass0.json").exists()  # Until there is something new.
    second.write_trace(trace(), 4, 0)
    assert [*find_trace_files(tmp_path)] == [(4, 0), (9, 0)]
    # An index that names files elsewhere was not written by us.
    (tmp_path / "out").mkdir()
    text = (tmp_path / "run.json").read_text().replace("step000004", "../step000009")
    (tmp_path / "out" / "run.json").write_text(text)
    RunFolder(tmp_path / "out", "c.py").write_trace(trace(), 0, 0)
    assert (tmp_path / "step000009-pass0.json").exists()


def test_progress_becomes_rare(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("sys.__stderr__", __import__("sys").stderr)
    progress = Progress(is_on=True)
    told = []
    for second in range(200):
        now = 100.0 + second
        progress.tell(step=second, passes=second + 1, files=2, recording=second < 50)
        if capfd.readouterr().err:
            told.append(second)
    assert told == [10, 30, 70, 150]
    now += 1000
    progress.tell(step=7, passes=9, files=2, recording=False)
    line = "inspect-autograd: step 7, 9 backward passes, 2 traces kept, 1199 s, not recording\n"
    assert capfd.readouterr().err == line
    Progress(is_on=False).tell(step=1, passes=1, files=1, recording=True)
    assert capfd.readouterr().err == ""
