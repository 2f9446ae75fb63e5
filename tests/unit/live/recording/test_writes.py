"""What a write says: which tensor by what name, at which line, when, and in which thread."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
import torch
from torch import nn

import inspect_autograd as ia


def test_a_write_says_everything() -> None:
    model = nn.BatchNorm1d(3)
    with ia.record({"norm": model}) as recording:
        model(torch.ones(2, 3)).sum().backward()
        model.running_mean.add_(1)  # type: ignore[union-attr]
    write = recording.mutations[-1]
    assert (write.function, write.tensor, write.view_of) == ("Tensor.add_", "norm.running_mean", "")
    assert write.source is not None
    assert (write.source.file, write.source.function) == (
        __file__,
        "test_a_write_says_everything",
    )
    assert write.scope is None
    assert str(write.meta) == "f32[3]"
    assert write.version_after == (write.version_before or 0) + 1
    assert (write.step, write.thread) == (0, "MainThread")
    assert [other.scope for other in recording.mutations[:-1]] == ["norm"] * 3


def test_writes_are_in_order_of_time_and_within_the_recording() -> None:
    x = torch.zeros(2)
    with ia.record(params={"x": x}) as recording:
        for _ in range(5):
            x.add_(1)
    times = [write.time_ns for write in recording.mutations]
    assert len(times) == 5
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= recording.steps[0].duration_ns
    versions = [(w.version_before, w.version_after) for w in recording.mutations]
    assert versions == list(pairwise(range(6)))


def test_the_shape_is_that_at_the_time() -> None:
    x = torch.zeros(2)
    with ia.record(params={"x": x}) as recording:
        x.add_(1)
        x.data = torch.zeros(3, 4)
        x.add_(1)
    assert [str(write.meta) for write in recording.mutations] == [
        "f32[2]",
        "f32[3, 4]",
        "f32[3, 4]",
    ]


def test_views_are_named_by_what_owns_their_memory() -> None:
    x = torch.zeros(4, 4)
    with ia.record(params={"x": x}) as recording:
        x[1].add_(1)
        x.view(-1).add_(1)
        x.detach().add_(1)
    names = [(write.tensor, write.view_of) for write in recording.mutations]
    # The second and the third lie in exactly the same place, so they have its name too.
    assert names == [("", "x"), ("x", "x"), ("x", "x")]


def test_a_tensor_that_is_gone_keeps_the_name_that_it_had() -> None:
    x = torch.zeros(4)
    with ia.record(params={"x": x}) as recording:
        x.data.add_(1)
        torch.zeros(7).add_(1)
        keep = [torch.zeros(7) for _ in range(10)]
    assert [(write.tensor, str(write.meta)) for write in recording.mutations] == [
        ("x", "f32[4]"),
        ("", "f32[7]"),
    ]
    del keep


def test_a_module_that_is_met_later_names_what_was_written_before() -> None:
    layer = nn.Linear(2, 2)
    with ia.record() as recording:
        nn.init.zeros_(layer.weight)
        layer(torch.ones(2)).sum().backward()
    assert [write.tensor for write in recording.mutations] == ["Linear.weight"]


def test_steps_and_threads() -> None:
    x, y = torch.zeros(1), torch.zeros(1)
    with ia.record(params={"x": x, "y": y}) as recording:
        x.add_(1)
        recording.end_step()
        thread = threading.Thread(target=lambda: y.add_(1), name="worker")
        thread.start()
        thread.join()
    assert [(w.tensor, w.step, w.thread) for w in recording.mutations] == [
        ("x", 0, "MainThread"),
        ("y", 1, "worker"),
    ]


@pytest.mark.parametrize("fused", [False, True])
def test_only_parameters_with_a_gradient_are_written_by_an_optimizer(fused: bool) -> None:
    first, second = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], 0.1, fused=fused)
    with ia.record({"first": first, "second": second}) as recording:
        first(torch.ones(1)).backward()
        optimizer.step()
    (write,) = recording.mutations
    assert (write.function, write.tensor) == ("torch.optim.SGD.step", "first.weight")


def test_a_subclass_of_an_optimizer_is_seen_write_by_write() -> None:
    class Noisy(torch.optim.SGD):
        pass

    w = nn.Parameter(torch.ones(2))
    optimizer = Noisy([w], 0.1)
    with ia.record(params={"w": w}) as recording:
        w.sum().backward()
        optimizer.step()
    assert {write.tensor for write in recording.mutations} == {"w"}
    assert {write.source.function for write in recording.mutations if write.source} == {
        "test_a_subclass_of_an_optimizer_is_seen_write_by_write"
    }


def test_a_step_that_raises_does_not_silence_what_comes_after() -> None:
    w = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([w], 0.1)

    def fail() -> float:
        raise ValueError("no")

    with ia.record(params={"w": w}) as recording:
        with pytest.raises(ValueError, match="no"):
            optimizer.step(fail)
        (w * w.detach()).sum().backward()
        w.grad.zero_()  # type: ignore[union-attr]
    assert [cut.reason for cut in recording.cuts] == ["detach"]
    assert [write.function for write in recording.mutations] == ["Tensor.zero_"]


def test_inference_tensors_have_no_versions() -> None:
    with ia.record() as recording, torch.inference_mode():
        x = torch.zeros(2)
        x.add_(1)
        torch.relu(x)
    assert [(w.version_before, w.version_after) for w in recording.mutations] == [(None, None)]
