"""The program that is watched is the program that would have run."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import inspect_autograd as ia
from inspect_autograd.live.recording.thread_watch import ThreadWatch
from tests.conformance.reference import assert_same_bits


def places() -> tuple[Any, ...]:
    """Everything that a recording replaces."""
    from torch.optim import optimizer

    return (
        nn.Module.__call__,
        threading.Thread.start,
        vars(torch.autograd.function._SingleLevelFunction).get("apply"),
        vars(torch.autograd.Function).get("apply"),
        torch.autograd._engine_run_backward,  # type: ignore[attr-defined]
        torch._C._len_torch_function_stack(),
        len(optimizer._global_optimizer_pre_hooks),
        len(optimizer._global_optimizer_post_hooks),
    )


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = places()
    yield
    assert places() == before


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(5, 4, 3), nn.BatchNorm1d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(3)
    )


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(16, 8, batch_first=True)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.lstm(x)
        dropped: Tensor = self.drop(hidden)
        return dropped


def train(make: Callable[[], nn.Module], **options: Any) -> list[Tensor]:
    """Two steps; the weights afterwards, and gradients."""
    torch.manual_seed(0)
    model = make()
    x = torch.randn(4, 5, 16)
    model(x)  # Lazy modules get their weights.
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)

    def steps() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()

    if options:
        with ia.record(model, **options):
            steps()
    else:
        steps()
    parameters = list(model.parameters())
    return [*(p.detach() for p in parameters), *(p.grad for p in parameters if p.grad is not None)]


@pytest.mark.parametrize("make", [transformer, convolutional, Recurrent])
@pytest.mark.parametrize("stats", ["off", "meta", "full"])
def test_weights_and_gradients_are_bit_identical(make: Callable[[], nn.Module], stats: str) -> None:
    assert_same_bits(train(make, stats=stats, stack=True), train(make))


def test_exceptions_pass_through_and_the_pass_that_raised_is_there() -> None:
    class Refuses(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:
            raise error

    error = ValueError("no gradient today")
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="today") as caught, ia.record() as recording:
        Refuses.apply(x * 2).sum().backward()  # type: ignore[no-untyped-call]
    assert caught.value is error
    (trace,) = recording.traces
    assert trace.outcome.status == "raised"
    assert trace.outcome.node is not None
    assert trace.graph.nodes[trace.outcome.node].name == "RefusesBackward"
    assert recording.steps[-1].ended_by == "ValueError"


def test_nothing_is_kept_alive() -> None:
    class Witness:
        pass

    gc.collect()
    gc.disable()
    try:
        model = nn.Linear(3, 3)
        with ia.record(model) as recording:
            loss = model(torch.ones(2, 3)).tanh().sum()
            witness = Witness()
            loss.grad_fn.metadata["witness"] = witness
            refs = [weakref.ref(loss), weakref.ref(witness)]
            del witness
            loss.backward()
            del loss
            assert [ref() for ref in refs] == [None, None]  # Inside the block already.
            unused = model(torch.ones(2, 3)).exp()
            unused_ref = weakref.ref(unused)
            del unused
            assert unused_ref() is None
        model_ref = weakref.ref(model)
        del model
        assert model_ref() is None
        assert len(recording.graph) > 3
    finally:
        gc.enable()


def test_modes_of_the_user_see_what_they_would_see() -> None:
    class Sees(TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[str] = []

        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            self.seen.append(getattr(func, "__name__", str(func)))
            return func(*args, **(kwargs or {}))

    def program() -> None:
        x = torch.ones(2, requires_grad=True)
        nn.Linear(2, 2)(x).square().sum().backward()

    with Sees() as plain:
        program()
    with Sees() as around, ia.record():
        program()
    with ia.record(), Sees() as inside:
        program()
    assert around.seen == plain.seen
    assert inside.seen == plain.seen


def test_a_fault_of_ours_does_not_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    model = nn.Linear(2, 2)
    with ia.record(model) as recording:
        monkeypatch.setattr(ThreadWatch, "enter_module", fails)
        loss = model(torch.ones(1, 2)).sum()
        monkeypatch.undo()
        loss.backward()
    assert model.weight.grad is not None
    (note,) = recording.notes
    assert "a fault of ours" in note


def test_a_hundred_thousand_nodes_are_freed_without_a_crash() -> None:
    x = torch.ones(2, requires_grad=True)
    with ia.record(effects=False) as recording:
        y = x
        for _ in range(100_000):
            y = y * 1.0
        y.sum().backward()
        del y
        z = x
        for _ in range(100_000):
            z = z * 1.0
        del z
    assert len(recording.graph) == 100_002


def test_a_forked_or_unwatched_use_of_what_stands_in() -> None:
    kept: list[Any] = []
    with ia.record():
        kept.append(nn.Module.__call__)
        kept.append(torch.autograd.Function.apply)
    model = nn.Linear(2, 2)
    x = torch.ones(1, 2)
    assert torch.equal(kept[0](model, x), model(x))
