"""saved_memory of live tensors: what it keeps and changes, and what it refuses."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, NoGraphError
from inspect_autograd.live import saved_memory as live_saved_memory


def test_it_is_what_the_captured_graph_says() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    loss = model(torch.ones(2, 3)).sum()
    graph = ia.capture(loss, params=model)
    assert ia.saved_memory(loss, params=model) == graph.saved_memory()
    for by in ("op", "node", "scope"):
        assert ia.saved_memory(loss, params=model, by=by) == graph.saved_memory(by)
    cut = ia.saved_memory({"loss": loss}, params=model, by="scope", depth=1)
    assert cut == graph.saved_memory("scope", depth=1)
    assert cut.scopes == "inferred"
    # The input; the result of tanh, which the second layer keeps too; the weight of that.
    assert (cut.activation_bytes, cut.parameter_bytes) == (2 * 3 * 4 + 2 * 4 * 4, 4 * 4)


def test_backward_frees_what_was_counted() -> None:
    x = torch.ones(5, requires_grad=True)
    loss = x.exp().sum()
    assert ia.saved_memory(loss).total_bytes == 20
    loss.backward()
    after = ia.saved_memory(loss)
    assert (after.total_bytes, after.tensors) == (0, 1)


def test_the_memory_is_what_is_freed_with_the_graph() -> None:
    freed: list[int] = []
    x = torch.ones(64, requires_grad=True)
    y = x.exp()
    z = y.sin().sum()
    weakref.finalize(y.untyped_storage(), freed.append, y.untyped_storage().nbytes())
    memory = ia.saved_memory(z, params={"x": x})
    assert memory.activation_bytes == 256
    del y
    gc.disable()
    try:
        del z
    finally:
        gc.enable()
    assert freed == [256], "the SavedMemory keeps nothing alive"
    assert memory.activation_bytes == 256


def test_no_hook_runs() -> None:
    ran: list[str] = []

    def unpack(tensor: Tensor) -> Tensor:
        ran.append("unpack")
        return tensor

    x = torch.ones(5, requires_grad=True)
    with saved_tensors_hooks(lambda tensor: tensor, unpack):
        y = x.exp()
    y.register_hook(lambda gradient: ran.append("hook"))
    memory = ia.saved_memory(y)
    assert (memory.tensors, memory.total_bytes, ran) == (1, 0, [])


def test_a_deep_graph() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y.sin()
    memory = ia.saved_memory(y, params={"x": x}, by="node")
    assert len(memory.rows) == 100_000
    # Every sine keeps its input, the first one the named x.
    assert (memory.activation_bytes, memory.parameter_bytes) == (99_999 * 8, 8)
    assert len(str(memory).splitlines()) <= 60


def test_by_line_is_refused_before_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    def capture(*_: Any, **__: Any) -> None:
        raise AssertionError("walked")

    monkeypatch.setattr(live_saved_memory, "capture", capture)
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError) as caught:
        ia.saved_memory(x.sin(), by="line")
    assert "with inspect_autograd.record(model) as recording:" in str(caught.value)
    assert 'recording.saved_memory(by="line")' in str(caught.value)
    with pytest.raises(ArgumentError, match="by is 'lines'"):
        ia.saved_memory(x.sin(), by="lines")
    with pytest.raises(ArgumentError, match="depth is 1, but by is 'op'"):
        ia.saved_memory(x.sin(), depth=1)


def test_by_line_of_a_recording() -> None:
    model = nn.Linear(2, 2)
    with ia.record(model) as recording:
        y = model(torch.ones(3, 2))
        loss = y.exp().sum()
        loss.backward()
    rows = recording.saved_memory(by="line").rows
    first = test_by_line_of_a_recording.__code__.co_firstlineno
    found = [(row.source.line - first, row.activation_bytes) for row in rows if row.source]
    # The result of exp, which is nearer to the loss, and the input of the layer.
    assert found == [(4, 24), (3, 24)]
    scopes = recording.saved_memory(by="scope")
    assert scopes.scopes == "recorded"
    assert [(row.scope, row.activation_bytes) for row in scopes.rows] == [(None, 24), ("", 24)]


@pytest.mark.parametrize(
    ("outputs", "error", "text"),
    [
        (torch.ones(2), NoGraphError, "outputs"),
        (3, ArgumentTypeError, "outputs is of type int and holds no tensor"),
    ],
)
def test_outputs_without_a_graph(outputs: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        ia.saved_memory(outputs)
