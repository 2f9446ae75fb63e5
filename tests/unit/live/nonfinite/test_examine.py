"""Examining a node disturbs nothing: no hook, no user code, no error, no tensor kept."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from inspect_autograd.live.nonfinite import examine as module
from inspect_autograd.live.nonfinite.examine import RULES, examine
from inspect_autograd.live.nonfinite.scene import Finding, Scene, look_at
from tests.conformance.plain_hooks import walk
from tests.unit.live.nonfinite.births import births, f16, f32, first_birth


def hook_on(loss: torch.Tensor, name: str, action: Callable[[Any, Any, Any], None]) -> None:
    """Run the action at the node of this name while the backward pass runs."""
    (node,) = (node for node in walk(loss.grad_fn) if node.name() == name)
    node.register_hook(lambda returned, received: action(node, received, returned))
    loss.backward()


def test_unpack_hooks_do_not_run_and_it_is_said() -> None:
    unpacked = []

    def unpack(packed: torch.Tensor) -> torch.Tensor:
        unpacked.append(1)
        return packed

    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
        loss = f32(0, 1).sqrt().sum()
    seen = first_birth(loss)
    assert unpacked == [1]  # By the formula itself.
    assert seen.rule == ""
    assert seen.text == "No rule explains it. Of what was saved, `result` could not be looked at."
    assert seen.values["result"].startswith("packed by a hook")


def test_a_checkpoint_is_not_computed_again() -> None:
    runs = []

    def block(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return x.sqrt()

    seen = first_birth(checkpoint(block, f32(0, 1), use_reentrant=False).sum())
    assert len(runs) == 2  # Forward, and once for backward.
    assert seen.values["result"].startswith("packed by a hook")


def test_a_rule_that_does_not_need_what_was_packed_still_applies() -> None:
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda packed: packed):
        loss = (f32(1).half().float() * 1.0).sum() * 7e4
    assert first_birth(loss).rule == "half-overflow"


def test_a_sum_of_products_whose_factor_was_packed_is_not_called_an_overflow() -> None:
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda packed: packed):
        loss = (f32(1, 2) * torch.tensor([math.inf, 1])).sum()
    assert first_birth(loss).rule == ""


class Loud(torch.Tensor):
    """A subclass whose code must not run while a node is examined."""

    quiet = False

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not cls.quiet, f"{func} ran"
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


def test_no_code_of_a_subclass_runs() -> None:
    factor = torch.tensor([math.inf, 1.0]).as_subclass(Loud)
    results = []

    def action(node: Any, received: Any, returned: Any) -> None:
        Loud.quiet = True
        try:
            results.append(examine(node, received, returned))
        finally:
            Loud.quiet = False

    hook_on((f32(1, 2) * factor).sum(), "MulBackward0", action)
    assert results[0] is not None
    rule, _, values = results[0]
    assert rule == ""
    assert values["other"] == "not looked at: a Loud that is no plain dense tensor"


def test_modes_do_not_see_it() -> None:
    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    class WatchDispatch(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    seen: list[Any] = []

    def action(node: Any, received: Any, returned: Any) -> None:
        with Watch(), WatchDispatch():  # type: ignore[no-untyped-call]
            seen.clear()
            found = examine(node, received, returned)
            assert seen == []
        assert found is not None
        assert found[0] == "sqrt-at-zero"

    hook_on(f32(0, 1).sqrt().sum(), "SqrtBackward0", action)


def test_nothing_is_recorded_under_create_graph() -> None:
    x = f32(0, 1)
    y = x.sqrt()
    loss = y.sum()
    assert y.grad_fn is not None
    node = y.grad_fn
    seen = []

    def action(returned: Any, received: Any) -> None:
        assert torch.is_grad_enabled()
        before = torch.autograd.graph.get_gradient_edge(x * 1).node._sequence_nr()
        seen.append(examine(node, received, returned))
        after = torch.autograd.graph.get_gradient_edge(x * 1).node._sequence_nr()
        assert after == before + 1
        assert torch.is_grad_enabled()

    node.register_hook(action)
    torch.autograd.grad(loss, x, create_graph=True)
    assert seen[0] is not None
    assert seen[0][0] == "sqrt-at-zero"


def test_the_gradients_are_left_as_they_were() -> None:
    x = f32(0, 4)
    births((x.sqrt() * 3).sum())
    assert x.grad is not None
    assert x.grad.tolist() == [math.inf, 0.75]


def test_no_tensor_is_kept() -> None:
    references = []

    def action(node: Any, received: Any, returned: Any) -> None:
        found = examine(node, received, returned)
        assert found is not None
        assert all(type(value) is str for value in found[2].values())
        references.extend([weakref.ref(received[0]), weakref.ref(returned[0])])
        references.append(weakref.ref(look_at(node, received, returned).saved["result"]))

    gc.disable()
    try:
        hook_on(f32(0, 1).sqrt().sum(), "SqrtBackward0", action)
        assert [reference() for reference in references] == [None, None, None]
    finally:
        gc.enable()


def test_it_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scene: Scene) -> Finding | None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "RULES", {"SqrtBackward0": broken})
    seen = first_birth(f32(0, 1).sqrt().sum())
    assert seen.rule == ""
    assert seen.text == "No rule explains it. What was saved is finite."
    assert examine(None, [], []) is None
    found = examine("no node", [f32(1)], [f32(math.nan)])
    assert found is not None
    assert found[0] == ""


def test_a_freed_graph_is_said_to_be_freed() -> None:
    y = f32(0, 1).sqrt()
    y.sum().backward()
    found = examine(y.grad_fn, [torch.ones(2)], [torch.tensor([math.inf, 0.5])])
    assert found is not None
    assert found[0] == ""
    # The raw SavedVariable of a freed tensor is empty, so nothing is said of what it held.
    assert "result" not in found[2] or "freed" in found[2]["result"]


def test_nothing_to_look_at_gives_nothing() -> None:
    node = f32(1).neg().grad_fn
    assert examine(node, [None], [None]) is None


def test_gradients_of_other_layouts_are_not_looked_at() -> None:
    node = (f32(1) * f32(2)).grad_fn
    sparse = torch.eye(2).to_sparse()
    found = examine(node, [sparse], [torch.tensor([math.nan]), None])
    assert found is not None
    assert "received" not in found[2]
    assert found[2]["returned[0]"] == "f32[1], 1 of 1 is NaN, first at [0]"


def test_inside_a_function_transform() -> None:
    def loss(x: torch.Tensor) -> torch.Tensor:
        return x.sqrt().sum()

    gradient = torch.func.grad(loss)(torch.tensor([0.0, 1.0]))
    assert gradient.tolist() == [math.inf, 0.5]


def test_without_a_rule_the_values_are_there() -> None:
    x = f16(1, 2)
    node = torch.nn.functional.elu(x).grad_fn
    one = torch.ones(2, dtype=torch.half)
    found = examine(node, [one], [torch.tensor([math.inf, 1], dtype=torch.half)])
    assert found is not None
    rule, text, values = found
    assert rule == ""
    assert "The numbers are float16, whose largest is 65504" in text
    assert values["returned"] == "f16[2], 1 of 2 is Inf, first at [0]"


def test_many_kinds_of_nodes_have_a_rule_of_their_own() -> None:
    assert len(RULES) >= 25
    assert all(name.endswith(tuple("0123")) for name in RULES)


def test_at_every_node_of_a_model_it_says_something() -> None:
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    with torch.no_grad():
        layer.linear1.weight[0, 0] = math.nan
    out = layer(torch.randn(2, 3, 8))
    found = births(out.sum())
    assert found
    assert {seen.rule for seen in found} == {"saved-nonfinite"}
