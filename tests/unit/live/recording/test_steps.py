"""Where a step ends, and which steps are kept."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

import inspect_autograd as ia


def train(steps: int, *, limit: int | None = None, accumulate: int = 1) -> ia.Recording:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with ia.record(model, limit=limit) as recording:
        for _ in range(steps):
            for _ in range(accumulate):
                model(torch.ones(3, 2)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    return recording


def test_a_step_ends_with_the_optimizer() -> None:
    recording = train(3)
    assert [(step.index, step.ended_by, step.traces) for step in recording.steps] == [
        (0, "optimizer.step()", (0,)),
        (1, "optimizer.step()", (1,)),
        (2, "optimizer.step()", (2,)),
    ]
    assert all(step.duration_ns > 0 for step in recording.steps)


def test_accumulated_gradients_are_one_step_once_an_optimizer_is_known() -> None:
    recording = train(3, accumulate=2)
    # In the first round nobody can know yet that an optimizer will come.
    assert [step.traces for step in recording.steps] == [(0,), (1,), (2, 3), (4, 5)]


def test_without_an_optimizer_the_next_forward_pass_begins_a_step() -> None:
    model = nn.Linear(2, 1)
    with ia.record(model) as recording:
        for _ in range(3):
            model(torch.ones(3, 2)).sum().backward()
    assert [step.traces for step in recording.steps] == [(0,), (1,), (2,)]
    assert [span.call for span in recording.modules] == [0, 0, 0]


def test_a_step_can_be_ended_by_hand() -> None:
    x = torch.ones(2, requires_grad=True)
    with ia.record() as recording:
        x.sum().backward()
        recording.end_step()
        x.exp().sum().backward()
    assert [step.ended_by for step in recording.steps] == [
        "recording.end_step()",
        "the end of the block",
    ]
    with pytest.raises(ia.InspectAutogradError, match="outside the block"):
        recording.end_step()


def test_only_the_last_steps_are_kept() -> None:
    recording = train(5, limit=2)
    assert [step.index for step in recording.steps] == [3, 4]
    assert recording.data.dropped_steps == 3
    assert len(recording.traces) == 2
    (addmm,) = recording.graph.find("Addmm*")
    assert addmm.source is not None


def test_a_node_of_a_step_that_was_dropped_says_so() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.0)
    with ia.record(model, limit=1) as recording:
        hidden: Tensor = model(torch.ones(1, 2)).tanh()
        optimizer.step()
        optimizer.step()
        hidden.sum().backward()
    tanh = recording.graph.find("Tanh*")[0]
    assert tanh.creation is not None
    assert "not kept" in tanh.creation.reason


def test_the_memory_of_a_loop_is_bounded() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    traces: list[weakref.ref[ia.Trace]] = []
    with ia.record(model, limit=2) as recording:
        for _ in range(6):
            model(torch.ones(3, 2)).sum().backward()
            optimizer.step()
            traces += [weakref.ref(trace) for trace in recording.traces[-1:]]
        gc.collect()
        alive = [trace for trace in traces if trace() is not None]
    assert len(alive) == 2


def test_an_optimizer_that_hands_its_step_on_does_one_step() -> None:
    class Decayed(torch.optim.SGD):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            super().step(closure)

    model = nn.Linear(2, 1)
    torch.optim.SGD(model.parameters(), 0.1)  # From now on SGD.step itself runs the hooks.
    optimizer = Decayed(model.parameters(), 0.1)
    with ia.record(model) as recording:
        for _ in range(2):
            model(torch.ones(3, 2)).sum().backward()
            optimizer.step()
    assert [step.traces for step in recording.steps] == [(0,), (1,)]


def test_lbfgs_runs_its_passes_inside_a_step() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = (model(torch.ones(3, 2)) - 1).square().sum()
        loss.backward()
        return loss

    with ia.record(model) as recording:
        optimizer.step(closure)
    assert len(recording.traces) >= 1
    for trace in recording.traces:
        (addmm,) = trace.graph.find("Addmm*")
        assert addmm.scope == ""


def test_a_step_that_raises_leaves_the_recording_whole() -> None:
    class Fails(torch.optim.SGD):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            raise ValueError("no step today")

    Fails.__module__ = "torch.optim.fails"  # As an optimizer of torch that fails.
    model = nn.Linear(2, 1)
    optimizer = Fails(model.parameters(), 0.1)
    with ia.record(model) as recording:
        model(torch.ones(3, 2)).sum().backward()
        with pytest.raises(ValueError, match="no step today"):
            optimizer.step()
        model(torch.ones(3, 2)).sum().backward()
    (addmm,) = recording.graph.find("Addmm*")
    assert addmm.source is not None
    assert torch._C._len_torch_function_stack() == 0


def test_without_a_backward_pass_there_is_no_graph_and_no_memory_to_ask_for() -> None:
    with ia.record() as recording:
        torch.ones(2, requires_grad=True).exp()
    for ask in (lambda: recording.graph, recording.saved_memory):
        with pytest.raises(ia.InspectAutogradError, match="no backward pass ran in its block"):
            ask()
