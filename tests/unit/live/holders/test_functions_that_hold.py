"""graph_holders names the functions whose variables hold a graph, running or not."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Generator

import pytest
import torch

from tests.unit.live.holders.looking import look, new_leaf, without_lines

HERE = "test_functions_that_hold.py"


def make_step(h: torch.Tensor) -> Callable[[], torch.Tensor]:
    def step() -> torch.Tensor:
        return h

    return step


def test_a_closure() -> None:
    leaf = new_leaf()
    step = make_step(leaf * 2)
    text = (
        f"closure variable h of function make_step.<locals>.step ({HERE}), held by "
        f"local variable step of test_a_closure at {HERE}"
    )
    (found,) = look(leaf)
    assert without_lines(found) == text
    del step


def test_a_variable_of_an_outer_function() -> None:
    leaf = new_leaf()
    h = leaf * 2

    def inner() -> list[str]:
        return look(leaf) if h.dim() else []

    found = [without_lines(text) for text in inner()]
    function = "test_a_variable_of_an_outer_function"
    assert f"local variable h of {function} at {HERE}" in found
    assert f"closure variable h of {function}.<locals>.inner at {HERE}" in found


def test_a_default_argument() -> None:
    leaf = new_leaf()

    def step(h: torch.Tensor = leaf * 2) -> torch.Tensor:
        return h

    (found,) = look(leaf)
    assert found.startswith("default argument of function test_a_default_argument.<locals>.step")
    del step


def batches(leaf: torch.Tensor) -> Generator[int, None, None]:
    h = leaf * 2
    yield h.dim()
    del h


def test_a_generator() -> None:
    leaf = new_leaf()
    running = batches(leaf)
    next(running)
    (found,) = look(leaf)
    assert without_lines(found) == (
        f"local variable h of generator batches at {HERE}, held by "
        f"local variable running of test_a_generator at {HERE}"
    )
    assert next(running, None) is None
    assert look(leaf) == []


def test_a_generator_that_is_iterated_over() -> None:
    leaf = new_leaf()
    texts = [text for _ in batches(leaf) for text in look(leaf)]
    assert len(texts) == 1
    assert texts[0].startswith("local variable h of generator batches at")


def test_a_coroutine() -> None:
    leaf = new_leaf()

    class Pause:
        def __await__(self) -> Generator[None, None, None]:
            yield

    async def work() -> None:
        h = leaf * 2
        await Pause()
        del h

    task = work()
    task.send(None)
    (found,) = look(leaf)
    assert found.startswith("local variable h of coroutine test_a_coroutine.<locals>.work at")
    task.close()


def fail(leaf: torch.Tensor) -> None:
    loss = leaf * 2
    raise ValueError(loss.dim())


def test_the_traceback_of_an_exception() -> None:
    leaf = new_leaf()
    error = None
    try:
        fail(leaf)
    except ValueError as caught:
        error = caught
    (found,) = look(leaf)
    first, second = found.split(", held by ")
    assert without_lines(first) == f"local variable loss of fail at {HERE}"
    assert without_lines(second) == (
        "local variable error.__traceback__ of test_the_traceback_of_an_exception at " + HERE
    )
    del error
    assert look(leaf) == []


def test_the_last_traceback_of_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = new_leaf()
    try:
        fail(leaf)
    except ValueError as error:
        monkeypatch.setattr(sys, "last_traceback", error.__traceback__, raising=False)
    (found,) = look(leaf)
    assert found.endswith("held by global last_traceback of module sys")


def test_a_variable_of_another_thread() -> None:
    leaf = new_leaf()
    ready, done = threading.Event(), threading.Event()

    def work() -> None:
        h = leaf * 2
        ready.set()
        done.wait()
        del h

    thread = threading.Thread(target=work, name="worker-7")
    thread.start()
    try:
        assert ready.wait(10)
        (found,) = look(leaf)
    finally:
        done.set()
        thread.join()
    assert found.startswith("local variable h of test_a_variable_of_another_thread.<locals>.work")
    assert found.endswith("in thread worker-7")


def test_a_class_body() -> None:
    leaf = new_leaf()

    class Body:
        h = leaf * 2
        found = look(leaf)
        del h

    assert [without_lines(text) for text in Body.found] == [
        f"local variable h of test_a_class_body.<locals>.Body at {HERE}"
    ]


def test_variables_of_exec() -> None:
    leaf = new_leaf()
    space = {"leaf": leaf, "look": look, "__name__": "made_up"}
    exec("h = leaf * 2\nfound = look(leaf)", space)
    assert space["found"] == ["global h of module made_up (<string>)"]


def test_a_hook_of_a_tensor() -> None:
    leaf, watched = new_leaf(), torch.ones(1, requires_grad=True)
    watched.register_hook(make_hook(leaf * 2))
    (found,) = look(leaf)
    assert found.startswith("closure variable h of function make_hook.<locals>.hook")
    assert "watched._backward_hooks" in found
    del watched


def make_hook(h: torch.Tensor) -> Callable[[torch.Tensor], None]:
    def hook(gradient: torch.Tensor) -> None:
        _ = h

    return hook


def test_a_hook_of_a_node() -> None:
    leaf, watched = new_leaf(), torch.ones(1, requires_grad=True) * 2
    node = watched.grad_fn
    assert node is not None
    node.register_prehook(make_hook(leaf * 2))
    del node
    (found,) = look(leaf)
    assert found.endswith("held by a hook of a tensor or node")
    del watched


def test_a_namespace_that_only_its_functions_and_classes_hold() -> None:
    leaf = new_leaf()
    space = {"leaf": leaf}
    exec("class C:\n    def m(self): pass\ndef f(): pass\nh = leaf * 2", space)
    f = space.pop("f")
    gc.disable()
    try:
        del space
        (found,) = look(leaf)
        assert without_lines(found).startswith("global h of the namespace of function ")
        assert "held by local variable f of test_a_namespace" in found
        del f
        assert look(leaf) == [
            "a reference cycle that gc has not collected yet, through <dict>['h']"
        ]
    finally:
        gc.enable()
