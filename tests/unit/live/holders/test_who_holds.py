"""graph_holders names who holds a tensor, in programs where that is known."""

from __future__ import annotations

import dataclasses
import functools
from collections import deque, namedtuple
from collections.abc import Callable
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


def with_buffer(y: torch.Tensor) -> nn.Module:
    module = nn.Module()
    module.register_buffer("h", y)
    return module


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
        (lambda y: nn.Sequential(put(nn.ReLU(), "h", y)), "box[0].h"),
        (lambda y: put(nn.Module(), "child", put(nn.ReLU(), "h", y)), "box.child.h"),
        (with_buffer, "box.h"),
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
    # Erfinv, since nodes of exp that other tests left alive in this process are told, too.
    y = (leaf * 2).erfinv()
    edge = torch.autograd.graph.get_gradient_edge(y)
    held = [y.grad_fn if what == "node" else edge]
    del y, edge
    tensors = [
        t for g in ia.graph_holders().graphs for t in g.tensors if t.grad_fn == "ErfinvBackward0"
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
