"""graph_holders names who holds a tensor, in programs where that is known."""

from __future__ import annotations

import dataclasses
import functools
import sys
import threading
from collections import deque, namedtuple
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from tests.unit.live.holders.looking import look, new_leaf, tensors_of, without_lines

HERE = "test_who_holds.py"
THIS = f"module {__name__} ({HERE})"
kept: Any = None


class Slotted:
    __slots__ = ("held",)


class Plain:
    shared: Any = None

    def __init__(self) -> None:
        self.held: Any = None


@dataclasses.dataclass
class State:
    step: int
    hidden: torch.Tensor


@dataclasses.dataclass(slots=True)
class SlottedState:
    hidden: torch.Tensor


Pair = namedtuple("Pair", ["first", "second"])


class Unhashable(dict[str, Any]):
    """A subclass of dict."""


def make(way: Callable[[torch.Tensor], Any], leaf: torch.Tensor) -> Any:
    return way(leaf * 2)


def put(holder: Any, name: str, value: Any) -> Any:
    setattr(holder, name, value)
    return holder


@pytest.mark.parametrize(
    ("way", "expression"),
    [
        (lambda y: y, "box"),
        (lambda y: [0, 0, 0, y], "box[3]"),
        (lambda y: (y, 0), "box[0]"),
        (lambda y: {"loss": y}, "box['loss']"),
        (lambda y: {("a", 1): y}, "box[('a', 1)]"),
        (lambda y: {nn.Linear: y}, "box[<type>]"),
        (lambda y: {y: 1}, "box (a key)"),
        (lambda y: {y}, "box (a member)"),
        (lambda y: deque([1, y]), "box[1]"),
        (lambda y: Unhashable(x=y), "box['x']"),
        (lambda y: Pair(0, y), "box.second"),
        (lambda y: put(Slotted(), "held", y), "box.held"),
        (lambda y: put(Plain(), "held", y), "box.held"),
        (lambda y: put(Plain(), "held", {"a": [y]}), "box.held['a'][0]"),
        (lambda y: State(1, y), "box.hidden"),
        (SlottedState, "box.hidden"),
        (lambda y: put(nn.Linear(2, 2), "hidden", y), "box.hidden"),
        (lambda y: nn.Sequential(put(nn.ReLU(), "h", y)), "box._modules['0'].h"),
        (lambda y: put(torch.ones(1), "note", y), "box.note"),
        (lambda y: [[[[[[y]]]]]], "box[0][0][0][0][0][0]"),
        (lambda y: functools.partial(print, y), "box.args[0]"),
        (lambda y: put(Plain(), "held", y).__init__, "box.__self__.held"),
    ],
)
def test_a_local_variable_leads_to_it(way: Callable[[torch.Tensor], Any], expression: str) -> None:
    leaf = new_leaf()
    box = make(way, leaf)
    (tensor,) = tensors_of(ia.graph_holders(), leaf)
    function = "test_a_local_variable_leads_to_it"
    texts = [without_lines(holder.text).partition(" (attribute")[0] for holder in tensor.holders]
    assert texts == [f"local variable {expression} of {function} at {HERE}"]
    (holder,) = tensor.holders
    assert (holder.kind, holder.expression) == ("local", expression)
    assert holder.source is None or holder.source.function == function
    del box


def test_nobody_is_named_once_it_is_dropped() -> None:
    leaf = new_leaf()
    box = [leaf * 2]
    assert len(look(leaf)) == 1
    del box
    assert look(leaf) == []


def test_the_class_of_an_attribute() -> None:
    leaf = new_leaf()
    model = nn.Sequential(nn.LSTM(2, 2))
    put(model[0], "hidden", leaf * 2)
    (holder,) = tensors_of(ia.graph_holders(), leaf)[0].holders
    assert holder.owner == "LSTM"
    assert holder.text.endswith("(attribute of LSTM)")


def test_a_global() -> None:
    global kept  # noqa: PLW0603  this is what is tested
    leaf = new_leaf()
    kept = {"losses": [leaf * 2]}
    assert look(leaf) == [f"global kept['losses'][0] of {THIS}"]
    kept = leaf * 2
    assert look(leaf) == [f"global kept of {THIS}"]
    kept = None
    assert look(leaf) == []


def test_an_attribute_of_a_class() -> None:
    leaf = new_leaf()
    Plain.shared = [leaf * 2]
    try:
        assert look(leaf) == [f"class attribute Plain.shared[0] of module {__name__}"]
    finally:
        Plain.shared = None


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


def test_several_holders_are_all_told() -> None:
    global kept  # noqa: PLW0603  this is what is tested
    leaf = new_leaf()
    kept = y = leaf * 2
    other = [y]
    found = {without_lines(text) for text in look(leaf)}
    function = f"of test_several_holders_are_all_told at {HERE}"
    assert found == {
        f"local variable y {function}",
        f"local variable other[0] {function}",
        f"global kept of {THIS}",
    }
    kept = None
    del other


def test_more_holders_are_counted() -> None:
    leaf = new_leaf()
    y = leaf * 2
    lists = [[y] for _ in range(9)]
    (tensor,) = tensors_of(ia.graph_holders(), leaf)
    assert len(tensor.holders) == 4
    assert tensor.more_holders == 6
    del lists


@pytest.mark.parametrize("what", ["node", "edge"])
def test_a_node_that_python_holds(what: str) -> None:
    leaf = new_leaf()
    y = (leaf * 2).exp()
    edge = torch.autograd.graph.get_gradient_edge(y)
    held = [y.grad_fn if what == "node" else edge]
    del y, edge
    tensors = [
        t for g in ia.graph_holders().graphs for t in g.tensors if t.grad_fn == "ExpBackward0"
    ]
    (tensor,) = tensors
    assert (tensor.what, tensor.meta) == ("node", None)
    (holder,) = tensor.holders
    assert holder.expression == ("held[0]" if what == "node" else "held[0].node")
    del held


def test_a_node_of_a_graph_that_is_held_is_not_told_again() -> None:
    leaf = new_leaf()
    y = (leaf * 2).exp()
    ia.capture(y)  # All nodes have their Python objects now.
    (tensor,) = tensors_of(ia.graph_holders(), leaf)
    assert tensor.grad_fn == "ExpBackward0"
    del y


class Keep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        ctx.other = other
        return x * 2

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * 2, None


def test_an_attribute_of_ctx() -> None:
    leaf, other = new_leaf(), new_leaf()
    y = Keep.apply(leaf, other * 2)  # type: ignore[no-untyped-call]
    assert look(other) == ["ctx.other of a node KeepBackward"]
    del y


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


def test_a_temporary_value() -> None:
    leaf = new_leaf()
    found = [leaf * 2, look(leaf)][1]
    assert found == ["an expression that is being evaluated, or C++ code"]


def test_a_value_saved_by_another_graph() -> None:
    leaf, other = new_leaf(), new_leaf()

    class Save(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                ctx.save_for_backward(other * 2)
            return x * 2

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return gradients[0] * 2

    y = Save.apply(leaf)  # type: ignore[no-untyped-call]
    assert look(other) == ["saved by a node of another graph"]
    del y
