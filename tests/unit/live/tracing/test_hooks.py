from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import inspect_autograd as ia
from inspect_autograd.graph.graph import Graph
from inspect_autograd.live.tracing.arguments import check_keep
from inspect_autograd.live.tracing.hooks import Hooks, remove_all
from inspect_autograd.live.tracing.passes import OpenPass, PassBook
from inspect_autograd.live.tracing.recorder import ALL_UNMEASURED, Recorder


def chain() -> tuple[Tensor, list[Any], Callable[[], Graph]]:
    loss = (torch.ones(3, requires_grad=True) * 2).sum()
    nodes = [loss.grad_fn]
    for node in nodes:
        nodes += [other for other, _ in node.next_functions if other is not None]  # type: ignore[union-attr]
    return loss, nodes, lambda: ia.capture(loss)


def hook_count(node: Any) -> int:
    """How many hooks of Python a node has."""
    count = 0
    for register in (node.register_prehook, node.register_hook):
        handle = register(lambda *_: None)
        count += len(handle.hooks_dict_ref()) - 1
        handle.remove()
    return count


def new() -> tuple[Hooks, Recorder]:
    recorder = Recorder(None, PassBook())
    return Hooks(recorder, check_keep(None)), recorder


def test_put_and_remove() -> None:
    _, nodes, graph = chain()
    hooks, _ = new()
    hooks.put(enumerate(nodes), graph)
    assert [hook_count(node) for node in nodes] == [2, 2, 2]
    remove_all(hooks.handles)
    assert [hook_count(node) for node in nodes] == [0, 0, 0]
    assert hooks.handles == []


def test_hooks_of_others_stay() -> None:
    _, nodes, graph = chain()
    nodes[1].register_hook(lambda *_: None)
    (first, _), (second, _) = new(), new()
    first.put(enumerate(nodes), graph)
    second.put(enumerate(nodes), graph)
    remove_all(first.handles)
    assert [hook_count(node) for node in nodes] == [2, 3, 2]
    remove_all(second.handles)
    assert [hook_count(node) for node in nodes] == [0, 1, 0]


def test_interrupt_while_hooks_are_taken_off() -> None:
    _, nodes, graph = chain()
    hooks, _ = new()
    hooks.put(enumerate(nodes), graph)

    class Interrupts:
        interrupts = 3

        def remove(self) -> None:
            if self.interrupts:
                self.interrupts -= 1
                raise KeyboardInterrupt

    hooks.handles.insert(3, Interrupts())
    with pytest.raises(KeyboardInterrupt):
        remove_all(hooks.handles)
    assert [hook_count(node) for node in nodes] == [0, 0, 0]


def test_interrupt_while_hooks_are_put() -> None:
    """Also where torch has a hook already whose handle never came back to us."""
    _, nodes, graph = chain()
    nodes[1].register_hook(lambda *_: None)
    (hooks, recorder), (other, _) = new(), new()
    other.put(enumerate(nodes), graph)
    register = recorder.register

    def interrupt(id: int, node: Any, *, keep: bool) -> list[Any]:
        handles = register(id, node, keep=keep)
        if id == 1:
            raise KeyboardInterrupt
        return handles

    recorder.register = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        hooks.put(enumerate(nodes), graph)
    assert [hook_count(node) for node in nodes] == [4, 3, 2]
    remove_all(hooks.handles)
    assert [hook_count(node) for node in nodes] == [2, 3, 2]
    remove_all(other.handles)


def test_rows() -> None:
    loss, nodes, graph = chain()
    book = PassBook()
    recorder = Recorder(None, book)
    hooks = Hooks(recorder, check_keep(None))
    hooks.put(enumerate(nodes), graph)
    opened = book.announce(OpenPass(-1, "backward", None, 0), belongs=True)
    loss.backward()
    remove_all(hooks.handles)
    short = recorder.flat[:7]
    assert short[0] == 0
    assert short[1] == opened.graph_task
    assert short[3] <= short[4]
    assert short[5:] == [ALL_UNMEASURED] * 2
    assert recorder.running == {}


def test_listener_that_fails_is_noted_and_does_no_harm() -> None:
    loss, nodes, graph = chain()
    book = PassBook()
    recorder = Recorder(None, book)

    def listen(row: Any) -> None:
        raise ValueError("no room")

    recorder.listener = listen
    hooks = Hooks(recorder, check_keep(None))
    hooks.put(enumerate(nodes), graph)
    book.announce(OpenPass(-1, "backward", None, 0), belongs=True)
    loss.backward()
    remove_all(hooks.handles)
    assert recorder.failures == {"ValueError: no room": 3}
    assert len(recorder.flat) > 0
