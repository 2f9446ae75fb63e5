"""`edit_gradients` without outputs: the edits are for every pass that starts in the block."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia


def make() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    return x, (3 * x).square().sum()


def test_passes_over_any_graph_are_edited_and_only_inside_the_block() -> None:
    x, loss = make()
    other, other_loss = make()
    with ia.edit_gradients({"Pow*": ia.edits.scale(10.0)}) as edits:
        loss.backward(retain_graph=True)
        (gradient,) = torch.autograd.grad(other_loss, other)
    # The derivative of (3x)² is 18x; what PowBackward0 receives is ten times what it was.
    assert x.grad is not None
    assert x.grad.tolist() == [180.0, 360.0]
    assert gradient.tolist() == [180.0, 360.0]
    x.grad.zero_()
    loss.backward()
    assert x.grad.tolist() == [18.0, 36.0]
    assert str(edits) == "Pow*: scale(10.0): 2 nodes, 2 gradients edited"


def test_a_glob_that_matches_nothing_is_shown_and_no_error() -> None:
    _, loss = make()
    with ia.edit_gradients({"Softmax*": ia.edits.zero()}) as edits:
        loss.backward()
    assert str(edits) == "Softmax*: zero(): 0 nodes, 0 gradients edited"


def test_hooks_go_when_the_pass_fails() -> None:
    x, loss = make()
    handle = x.register_hook(lambda _: 1 / 0)
    with ia.edit_gradients({"Pow*": ia.edits.scale(10.0)}):
        with pytest.raises(ZeroDivisionError):
            loss.backward(retain_graph=True)
        handle.remove()
        loss.backward(retain_graph=True)  # Edited once, not twice.
    assert x.grad is not None
    assert x.grad.tolist() == [180.0, 360.0]


def test_parameters_are_found_by_name() -> None:
    model = nn.Linear(2, 1)
    with ia.edit_gradients({"weight": ia.edits.scale(2.0)}, params=model):
        model(torch.ones(1, 2)).sum().backward()
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [[2.0, 2.0]]
    assert model.bias.grad is not None
    assert model.bias.grad.tolist() == [1.0]


def test_a_leaf_of_two_nested_passes_is_edited_once_in_each() -> None:
    weight = torch.tensor([2.0], requires_grad=True)
    x = torch.tensor([1.0], requires_grad=True)
    inner = checkpoint(lambda value: value * weight, x, use_reentrant=True)
    loss = inner.sum() + weight.sum()
    # d loss / d weight is x = 1 from inside the checkpoint, and 1 from outside of it.
    with ia.edit_gradients({"weight": ia.edits.scale(10.0)}, params={"weight": weight}) as edits:
        loss.backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [20.0]
    assert edits.edits[0].count == 2


def test_a_trace_names_the_edits() -> None:
    _, loss = make()
    with ia.edit_gradients({"Pow*": ia.edits.clip_norm(0.5)}), ia.trace(loss) as trace:
        loss.backward()
    assert trace.edits == ("Pow*: clip_norm(0.5)",)
    received = trace.find("Pow*")[0].received[0]
    assert received is not None
    assert received.l2 == pytest.approx(0.5)


def test_the_engine_is_as_it_was_and_the_graph_goes() -> None:
    before = torch.autograd.graph._engine_run_backward
    x, loss = make()
    kept = weakref.ref(x)
    gc.disable()
    try:
        with ia.edit_gradients({"Pow*": ia.edits.zero()}):
            loss.backward()
            del x, loss
            assert kept() is None
    finally:
        gc.enable()
    assert torch.autograd._engine_run_backward is before  # type: ignore[attr-defined]
