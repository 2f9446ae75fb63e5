"""graph_holders leaves the program as it was, runs none of its code, and keeps nothing."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.live.holders.frames import read_locals
from tests.unit.live.holders.looking import graphs_of, look, new_leaf, tensors_of


def test_references_are_as_many_as_before() -> None:
    leaf = new_leaf()
    y = leaf * 2
    box = [y]
    node = y.grad_fn
    values: list[Any] = [leaf, y, box, node]
    before = [sys.getrefcount(value) for value in values]
    found = ia.graph_holders()
    assert [sys.getrefcount(value) for value in values] == before
    assert len(graphs_of(found, leaf)) == 1


def switch(enabled: bool) -> None:
    if enabled:
        gc.enable()
    else:
        gc.disable()


@pytest.mark.parametrize("enabled", [True, False])
def test_a_graph_is_freed_right_after(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    switch(enabled)
    try:
        leaf = new_leaf()
        y = leaf * 2
        box = {"y": [y]}
        gone = weakref.ref(y)
        found = ia.graph_holders()
        assert gc.isenabled() is enabled
        assert len(graphs_of(found, leaf)) == 1
        del y
        box.clear()
        assert gone() is None
    finally:
        switch(was_enabled)


def test_gradients_are_the_same() -> None:
    leaf = new_leaf()
    (wanted,) = torch.autograd.grad((leaf.exp() * 3).sum(), leaf)
    y = (leaf.exp() * 3).sum()
    ia.graph_holders()
    y.backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, wanted)


def test_the_records_hold_no_torch_object() -> None:
    leaf = new_leaf()
    y = leaf * 2
    queue: list[Any] = [ia.graph_holders()]
    seen: dict[int, Any] = {}
    while queue:
        value = queue.pop()
        if id(value) not in seen and not isinstance(value, type):
            seen[id(value)] = value
            queue += gc.get_referents(value)
    modules = {type(value).__module__.partition(".")[0] for value in seen.values()}
    assert modules == {"builtins", "inspect_autograd"}
    assert not any(type(value).__name__.endswith("Backward0") for value in seen.values())
    assert len(seen) > 10
    del y


class Tripwire:
    """Every way into it fails the test."""

    fired: list[str] = []  # noqa: RUF012

    def __init__(self, held: Any) -> None:
        object.__setattr__(self, "held", held)

    def __getattribute__(self, name: str) -> Any:
        Tripwire.fired.append(f"__getattribute__ {name}")
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        Tripwire.fired.append("__repr__")
        return "tripwire"

    def __eq__(self, other: object) -> bool:
        Tripwire.fired.append("__eq__")
        return self is other

    def __hash__(self) -> int:
        Tripwire.fired.append("__hash__")
        return 1

    def __len__(self) -> int:
        Tripwire.fired.append("__len__")
        return 1

    def __bool__(self) -> bool:
        Tripwire.fired.append("__bool__")
        return True


class TrippingMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        Tripwire.fired.append(f"meta {name}")
        return type.__getattribute__(cls, name)

    def __hash__(cls) -> int:
        Tripwire.fired.append("meta __hash__")
        return 1

    def __eq__(cls, other: object) -> bool:
        Tripwire.fired.append("meta __eq__")
        return cls is other

    def __instancecheck__(cls, instance: object) -> bool:
        Tripwire.fired.append("meta __instancecheck__")
        return False


class TrippingDict(dict[Any, Any]):
    def __getitem__(self, key: object) -> Any:
        Tripwire.fired.append("__getitem__")
        return dict.__getitem__(self, key)

    def items(self) -> Any:
        Tripwire.fired.append("items")
        return dict.items(self)

    def __iter__(self) -> Any:
        Tripwire.fired.append("__iter__")
        return dict.__iter__(self)


class TrippingList(list[Any]):
    def __iter__(self) -> Any:
        Tripwire.fired.append("list __iter__")
        return list.__iter__(self)


class Odd(torch.Tensor):
    """A tensor that sees everything that is done with it."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        Tripwire.fired.append(f"__torch_function__ {func}")
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]

    @property
    def shape(self) -> Any:  # type: ignore[override]
        Tripwire.fired.append("shape")
        return torch.Size([0])

    @property
    def grad_fn(self) -> Any:  # type: ignore[override]
        Tripwire.fired.append("grad_fn")
        return None


def test_no_code_of_the_user_runs() -> None:
    leaf = new_leaf()
    odd = (leaf * 2).as_subclass(Odd)
    meta = TrippingMeta("Tripping", (), {"__slots__": ("held",)})()
    meta.held = leaf * 2
    boxes = [
        Tripwire(leaf * 2),
        TrippingDict({Tripwire(0): leaf * 2}),
        TrippingList([leaf * 2]),
        Tripwire(TrippingDict(x=TrippingList([leaf * 2]))),
    ]
    Tripwire.fired.clear()
    found = ia.graph_holders()
    fired = list(Tripwire.fired)
    assert fired == []
    expressions = [t.holders[0].expression for t in tensors_of(found, leaf)]
    assert sorted(expressions) == [
        "boxes[0].held",
        "boxes[1][<Tripwire>]",
        "boxes[2][0]",
        "boxes[3].held['x'][0]",
        "meta.held",
        "odd",
    ]
    del odd, boxes


def test_variables_of_frames_are_read_without_a_trace() -> None:
    """Until Python 3.12 reading them would keep them alive until the function ends."""
    leaf = new_leaf()

    def call() -> list[str]:
        return look(leaf)

    y = leaf * 2
    gone = weakref.ref(y)
    assert len(call()) == 1
    del y
    assert gone() is None


def test_the_dict_of_locals_that_somebody_looks_at_is_left_alone() -> None:
    held = object()
    snapshot = locals()
    assert dict(read_locals(sys._getframe()))["held"] is held
    assert snapshot["held"] is held


def test_a_debugger_keeps_its_variables() -> None:
    seen = []

    def trace(frame: Any, event: str, argument: object) -> Any:
        if frame.f_code is work.__code__:
            seen.append(len(read_locals(frame)))
        return trace

    def work() -> int:
        value = 3
        other = value + 1
        return value + other

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = work()
    finally:
        sys.settrace(before)
    assert result == 7
    assert max(seen) >= 2


def test_while_other_threads_make_graphs() -> None:
    leaf = new_leaf()
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        box: dict[int, Any] = {}
        try:
            step = 0
            while not stop.is_set():
                step += 1
                box[step % 50] = (leaf * step).exp()
                if step % 7 == 0:
                    box.clear()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        found = [ia.graph_holders() for _ in range(3)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    # The product, while a thread is about to take its exponential; or all three nodes.
    assert {g.node_count for one in found for g in graphs_of(one, leaf)} <= {2, 3}


def test_the_outcome_is_the_same_every_time() -> None:
    leaf = new_leaf()
    losses = [leaf * step for step in range(5)]
    other = {"x": leaf.exp(), "y": losses[0]}
    first, second = (graphs_of(ia.graph_holders(), leaf) for _ in range(2))
    assert first == second
    del other
