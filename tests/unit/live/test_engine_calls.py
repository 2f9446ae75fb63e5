from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import torch

from inspect_autograd.live import engine_calls
from inspect_autograd.live.engine_calls import EngineCall, unwatch, watch
from inspect_autograd.live.private_torch import engine_entry, set_engine_entry

ORIGINAL = engine_entry()


@pytest.fixture(autouse=True)
def entry_is_put_back() -> Iterator[None]:
    yield
    assert engine_entry() is ORIGINAL


class Notes:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[EngineCall] = []
        self.ends: list[tuple[object, BaseException | None, Sequence[Any]]] = []

    def begin(self, call: EngineCall) -> object:
        self.calls.append(call)
        return len(self.calls)

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        self.ends.append((token, error, results))


@pytest.fixture
def notes() -> Iterator[Notes]:
    watcher = Notes()
    watch(watcher)
    yield watcher
    unwatch(watcher)


def make() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.ones(3, requires_grad=True)
    return x, (x * 2).sum()


def test_begin_and_end(notes: Notes) -> None:
    x, loss = make()
    (gradient,) = torch.autograd.grad(loss, x)
    (call,) = notes.calls
    assert call.call == "grad"
    assert call.outputs == (loss,)
    assert call.inputs == (x,)
    assert call.is_implicit == (True,)
    assert (call.retain_graph, call.create_graph) == (False, False)
    assert [float(g) for g in call.gradients if g is not None] == [1.0]
    assert call.place is not None
    assert (call.place.file, call.place.function) == (__file__, "test_begin_and_end")
    ((token, error, results),) = notes.ends
    assert (token, error) == (1, None)
    assert results[0] is gradient


def test_given_gradients(notes: Notes) -> None:
    _, loss = make()
    two = torch.tensor(2.0)
    loss.backward(retain_graph=True)
    loss.backward(two, retain_graph=True)
    torch.autograd.backward([loss, loss], [None, two], retain_graph=True)
    torch.autograd.backward(loss, two, retain_graph=True)
    assert [call.is_implicit for call in notes.calls] == [
        (True,),
        (False,),
        (True, False),
        (False,),
    ]
    assert all(call.call == "backward" and call.inputs is None for call in notes.calls)


def test_variables_of_the_user_are_not_taken_for_arguments(notes: Notes) -> None:
    _, loss = make()
    grad_tensors = [torch.tensor(5.0)]  # The name that `torch.autograd.backward` uses.
    loss.backward()
    assert notes.calls[0].is_implicit == (True,)
    del grad_tensors


def test_error(notes: Notes) -> None:
    _, loss = make()
    loss.backward()
    with pytest.raises(RuntimeError) as caught:
        (loss * torch.ones((), requires_grad=True)).backward(torch.ones(5))
    # This one never reached the engine.
    assert len(notes.calls) == len(notes.ends) == 1
    x = torch.ones(3, requires_grad=True)
    y = x.exp().sum()
    y.backward()
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    assert notes.ends[-1][1] is caught.value


def test_watcher_that_fails_does_no_harm() -> None:
    class Fails:
        ended = False

        def begin(self, call: EngineCall) -> object:
            raise ValueError("begin")

        def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
            self.ended = token is None
            raise ValueError("end")

    watcher = Fails()
    watch(watcher)
    x, loss = make()
    loss.backward()
    unwatch(watcher)
    assert x.grad is not None
    assert watcher.ended


def test_several_watchers() -> None:
    first, second = Notes(), Notes()
    watch(first)
    watch(second)
    _, loss = make()
    loss.backward(retain_graph=True)
    unwatch(first)
    assert engine_entry() is not ORIGINAL
    loss.backward(retain_graph=True)
    unwatch(second)
    assert engine_entry() is ORIGINAL
    unwatch(second)  # Once more does nothing.
    loss.backward()
    assert (len(first.calls), len(second.calls)) == (1, 2)


def test_watcher_that_is_dropped() -> None:
    watcher = Notes()
    watch(watcher)
    del watcher
    gc.collect()
    assert engine_entry() is ORIGINAL


def test_somebody_wraps_our_function() -> None:
    """It must stay then, and goes on telling later watchers."""
    first = Notes()
    watch(first)
    ours = engine_entry()

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    set_engine_entry(wrapper)
    unwatch(first)
    assert engine_entry() is wrapper
    second = Notes()
    watch(second)
    _, loss = make()
    loss.backward()
    assert (len(first.calls), len(second.calls)) == (0, 1)
    set_engine_entry(ours)  # The wrapper is taken off again.
    unwatch(second)


def test_somebody_puts_the_original_back() -> None:
    first = Notes()
    watch(first)
    set_engine_entry(partial(ORIGINAL))
    unwatch(first)
    set_engine_entry(ORIGINAL)
    second = Notes()
    watch(second)
    _, loss = make()
    loss.backward()
    unwatch(second)
    assert len(second.calls) == 1


def test_our_function_still_works_when_nobody_watches() -> None:
    watcher = Notes()
    watch(watcher)
    kept = engine_entry()
    unwatch(watcher)
    x, loss = make()
    kept((loss,), (torch.ones(()),), False, False, (), allow_unreachable=True, accumulate_grad=True)
    assert x.grad is not None
    assert watcher.calls == []


def test_watching_ends_while_another_thread_runs_a_pass() -> None:
    """The function to go on to must be there whenever the last watcher leaves."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        _, loss = make()
        try:
            while not stop.is_set():
                loss.backward(retain_graph=True)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(2000):
        watcher = Notes()
        watch(watcher)
        unwatch(watcher)
    stop.set()
    thread.join()
    assert errors == []


def test_nothing_is_left_behind() -> None:
    assert engine_calls._original is None
    assert engine_calls._watchers == []
