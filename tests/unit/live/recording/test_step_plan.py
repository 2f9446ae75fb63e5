"""Steps that somebody outside has chosen: the others cost nothing and leave nothing."""

import os
import sys
from collections.abc import Iterable

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.live.recording.recorder import Recorder
from inspect_autograd.live.recording.steps import StepNotes


class Plan:
    """Wants these steps, and notes what it is told."""

    def __init__(self, wanted: Iterable[int]) -> None:
        self.wanted = {*wanted}
        self.told: list[tuple[int, int, int]] = []
        self.modules: dict[int, int] = {}

    def wants(self, index: int) -> bool:
        return index in self.wanted

    def ended(self, step: StepNotes) -> None:
        self.told.append((step.index, step.pass_count, len(step.traces)))
        self.modules[step.index] = sum(len(chunk.modules) for chunk in step.chunks.values())


def recorder_of(plan: Plan, limit: int | None = None) -> Recorder:
    return Recorder(
        (),
        params=None,
        stats="basic",
        saved=True,
        effects=True,
        limit=limit,
        stack=False,
        plan=plan,
    )


def modes() -> int:
    return torch._C._len_torch_function_stack()


def train(plan: Plan, *, optimizer: bool = True, steps: int = 6) -> tuple[ia.Recording, list[int]]:
    """Train, and note how many function modes are on while each step computes."""
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    watched = []
    with recorder_of(plan) as recording:
        for _ in range(steps):
            loss = model(torch.ones(4, 3)).sum()
            watched.append(modes())
            loss.backward()
            if optimizer:
                sgd.step()
                sgd.zero_grad()
    assert modes() == 0
    assert recording.notes == ()
    return recording, watched


def test_only_wanted_steps_are_watched() -> None:
    plan = Plan({2, 4})
    recording, watched = train(plan)
    assert watched == [0, 0, 1, 0, 1, 0]
    assert plan.told == [
        (0, 1, 0),
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 0),
        (4, 1, 1),
        (5, 1, 0),
        (6, 0, 0),
    ]
    assert [step.index for step in recording.steps] == [2, 4]
    assert [plan.modules[index] for index in range(6)] == [0, 0, 4, 0, 4, 0]
    for trace in recording.traces:
        (node,) = trace.graph.find("ReluBackward0")
        assert node.scope == "Sequential.1"
        assert node.creation is not None
        assert node.creation.function == "torch.nn.functional.relu"
        assert len(trace) == len(trace.graph)
    assert {span.step for span in recording.modules} == {2, 4}
    assert {write.step for write in recording.mutations} == {2, 4}


def test_no_step_is_wanted() -> None:
    recording, watched = train(Plan(()))
    assert watched == [0] * 6
    assert (recording.steps, recording.traces, recording.modules) == ((), (), ())


def test_without_an_optimizer_the_forward_pass_of_a_wanted_step_is_there() -> None:
    plan = Plan({1, 4})
    recording, watched = train(plan, optimizer=False)
    assert (watched[1], watched[4]) == (1, 1)
    told = {index: traces for index, _, traces in plan.told}
    assert (told[1], told[4]) == (1, 1)
    assert sum(passes for _, passes, _ in plan.told) == 6
    for step in recording.steps:
        if step.index in plan.wanted:
            (trace,) = (recording.traces[index] for index in step.traces)
            (node,) = trace.graph.find("ReluBackward0")
            assert node.scope == "Sequential.1"


def test_gradients_are_the_same_with_any_plan() -> None:
    def weights(plan: Plan | None) -> list[float]:
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)

        def step() -> None:
            model(torch.ones(2, 3)).square().sum().backward()
            sgd.step()

        if plan is None:
            for _ in range(4):
                step()
        else:
            with recorder_of(plan):
                for _ in range(4):
                    step()
        return [value for p in model.parameters() for value in p.flatten().tolist()]

    plain = weights(None)
    assert weights(Plan({1, 3})) == plain
    assert weights(Plan(())) == plain


def test_what_a_plan_raises_is_noted_and_not_passed_on() -> None:
    class Fails(Plan):
        def ended(self, step: StepNotes) -> None:
            raise OSError("disk full")

    with recorder_of(Fails({0, 1})) as recording:
        x = torch.ones(2, requires_grad=True)
        sgd = torch.optim.SGD([x], lr=0.1)
        for _ in range(2):
            x.sum().backward()
            sgd.step()
    assert len(recording.traces) == 2
    assert any("3 times" in note and "disk full" in note for note in recording.notes)


def test_writes_behind_the_last_step_are_a_step() -> None:
    """Else something would refer to a step that is not there."""
    with ia.record() as recording:
        x = torch.ones(2, requires_grad=True)
        sgd = torch.optim.SGD([x], lr=0.1)
        x.sum().backward()
        sgd.step()
        torch.zeros(3).add_(1)
    assert {write.step for write in recording.mutations} == {0, 1}
    assert [step.index for step in recording.steps] == [0, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python warns of forks beside threads")
def test_a_forked_process_is_not_recorded() -> None:
    model = nn.Linear(2, 1)
    plan = Plan(range(10))
    with recorder_of(plan):
        before = modes()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                # No backward pass: PyTorch's engine itself cannot run one behind a fork.
                model(torch.ones(1, 2))
                is_silent = modes() == 0 and plan.told == []
                torch.optim.SGD(model.parameters(), lr=0.1).step()
                code = 0 if is_silent and plan.told == [] else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert modes() == before == 1
