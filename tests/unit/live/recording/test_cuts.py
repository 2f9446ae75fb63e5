"""What a cut says: its place, its parameters, what is lost, and how it is followed."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import time
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import inspect_autograd as ia
from inspect_autograd.live.stepping_stones import drain
from tests.conformance.reference import assert_same_bits


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(2, 2)
        self.out = nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.body(x).detach())
        return out


def test_a_cut_in_a_module_says_everything() -> None:
    model = Head()
    with ia.record(model) as recording:
        for _ in range(3):
            model(torch.ones(4, 2)).sum().backward()
    (cut,) = recording.cuts
    assert (cut.reason, cut.function, cut.scope, cut.count) == ("detach", "Tensor.detach", "", 3)
    assert cut.source is not None
    assert (cut.source.function, cut.source.file) == ("Head.forward", __file__)
    assert str(cut.meta) == "f32[4, 2]"
    assert cut.parameters == cut.lost == ("body.bias", "body.weight")
    assert (cut.reaches_loss, cut.step) == (True, 0)


def test_lost_cuts_come_first_then_by_time() -> None:
    w, v = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with ia.record(params={"w": w, "v": v}) as recording:
        (w * 1).detach()
        kept = (w * 2).data
        lost = (v * 3).detach()
        (w * lost + kept).sum().backward()
    assert [(cut.reason, cut.lost) for cut in recording.cuts] == [
        ("detach", ("v",)),
        ("detach", ()),
        ("data", ()),
    ]


def test_a_leaf_without_a_name_is_described() -> None:
    w = torch.ones(2, requires_grad=True)
    with ia.record(params={"w": w}) as recording:
        for _ in range(3):
            other = torch.ones(3, requires_grad=True)
            (w.sum() + (other * w.sum()).detach().sum()).backward()
    (cut,) = recording.cuts
    assert cut.parameters == ("f32[3] leaf", "w")
    assert cut.lost == ("f32[3] leaf",)
    assert cut.count == 3


def test_of_two_leaves_that_look_alike_one_is_lost() -> None:
    first, second = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with ia.record() as recording:
        (first + (first * second).detach()).sum().backward()
    assert recording.cuts[0].parameters == ("f32[2] leaf",)
    assert recording.cuts[0].lost == ("f32[2] leaf",)


def test_names_that_are_met_later_count() -> None:
    model = nn.Linear(2, 2)
    with ia.record() as recording:
        model.weight.sum().detach()
        model(torch.ones(2)).sum().backward()
    assert recording.cuts[0].parameters == ("Linear.weight",)


def test_inside_the_block_it_shows_what_has_happened_so_far() -> None:
    w, v = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with ia.record(params={"w": w, "v": v}) as recording:
        hidden = (w * 2).detach()
        assert (recording.cuts[0].lost, recording.cuts[0].reaches_loss) == ((), False)
        (hidden * v).sum().backward()
        assert (recording.cuts[0].lost, recording.cuts[0].reaches_loss) == (("w",), True)
        (w * v).sum().backward()
        assert recording.cuts[0].lost == ()


def test_a_failed_backward_counts_as_a_loss() -> None:
    w = torch.ones(2, requires_grad=True)
    with ia.record(params={"w": w}) as recording:
        loss = (w * 2).sum().detach()
        with pytest.raises(RuntimeError, match="does not require grad"):
            loss.backward()
        other = torch.tensor((w * 2).sum().item())
        with pytest.raises(RuntimeError, match="does not require grad"):
            other.backward()
    detached, left = recording.cuts
    assert (detached.reason, detached.reaches_loss, detached.lost) == ("detach", True, ("w",))
    assert (left.reason, left.reaches_loss, left.lost) == ("Python value", None, ("w",))


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_cut_inside_of_a_checkpoint(use_reentrant: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    w, v = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)

    def run(x: Tensor) -> Tensor:
        return x * v + (x * w).detach()

    with ia.record(params={"w": w, "v": v}) as recording:
        x = v * 1
        checkpoint(run, x, use_reentrant=use_reentrant).sum().backward()
    (cut,) = recording.cuts
    assert (cut.reason, cut.reaches_loss, cut.lost) == ("detach", True, ("w",))
    # A reentrant checkpoint records no graph in forward, so the recomputation makes the cut. The
    # other one stops to recompute once all that was saved is there, which is before the cut.
    assert cut.count == 1


def test_limit_drops_the_cuts_and_writes_of_old_steps() -> None:
    model, buffer = nn.Linear(2, 2), torch.zeros(2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with ia.record(model, params={"buffer": buffer}, limit=2) as recording:
        for step in range(5):
            out = model(torch.ones(2))
            out.sum().backward()
            if step == 0:
                out.data.sum()
            buffer.add_(out.detach())
            optimizer.step()
    kept = [step.index for step in recording.steps]
    (cut,) = recording.cuts
    assert (cut.reason, cut.count, cut.step) == ("detach", len(kept), kept[0])
    assert {write.step for write in recording.mutations} == set(kept)


def test_leaves_that_are_gone_do_not_add_up() -> None:
    w = torch.ones(2, requires_grad=True)
    with ia.record(params={"w": w}) as recording:
        for _ in range(20):
            noise = torch.ones(2, requires_grad=True)
            (w * noise).detach()
            w.sum().backward()
            recording.end_step()
    (cut,) = recording.cuts
    assert (cut.count, cut.parameters) == (20, ("f32[2] leaf", "w"))


def test_tensors_and_graphs_go_when_the_program_drops_them() -> None:
    model = Head()
    gc.collect()
    gc.disable()
    try:
        with ia.record(model, limit=1) as recording:
            x = torch.ones(1, 2)
            hidden = model.body(x)
            loss = model.out(hidden.detach() + (hidden > 0).float()).sum()
            loss.item()
            loss.backward()
            array = hidden.detach().numpy()
            refs = [weakref.ref(value) for value in (x, hidden, loss, array)]
            function: Any = Witness
            node = function.apply(hidden)
            refs.append(weakref.ref(node.grad_fn.witness))
            del x, hidden, loss, array, node
            recording.end_step()
            assert [ref() for ref in refs] == [None] * 5
        assert len(recording.steps) == 1
    finally:
        gc.enable()


class Witness(torch.autograd.Function):
    """Its node has an attribute whose life tells when the node goes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.witness = nn.Module()
        return x * 1

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def test_nothing_of_a_recording_is_left_after_it() -> None:
    model = Head()
    gc.collect()
    gc.disable()
    try:
        with ia.record(model) as recording:
            model(torch.ones(1, 2)).sum().backward()
            model.body.weight.data.mul_(2)
        ref = weakref.ref(model.body.weight)
        del model
        assert ref() is None
        assert len(recording.cuts) == 2
    finally:
        gc.enable()


def lstm_with_a_cut_per_step(steps: int) -> float:
    """Seconds that the forward pass takes."""
    w, cell = torch.ones(1, requires_grad=True), torch.zeros(1)
    hidden = torch.zeros(1)
    with ia.record(params={"w": w}):
        begin = time.thread_time()
        for _ in range(steps):
            gate = torch.sigmoid(hidden * w)
            cell = cell * gate + torch.tanh(hidden + w)
            hidden = torch.tanh(cell) * gate
            hidden.detach()
        seconds = time.thread_time() - begin
        drain()
    return seconds


def test_a_cut_per_time_step_takes_linear_time() -> None:
    lstm_with_a_cut_per_step(50)
    short = min(lstm_with_a_cut_per_step(300) for _ in range(3))
    # Eight times as long; in quadratic time it would be 64 times.
    assert lstm_with_a_cut_per_step(2400) < 20 * short


@pytest.mark.parametrize("cuts", ["once", "often"])
def test_a_deep_graph_with_cuts_is_freed(cuts: str) -> None:
    program = f"""
    import torch, inspect_autograd as ia
    from inspect_autograd.live.stepping_stones import drain
    w = torch.ones(1, requires_grad=True)
    with ia.record(params={{"w": w}}) as recording:
        x = w
        for step in range(120_000):
            x = x + 1
            if {cuts == "often"} and step % 100 == 0:
                x.detach()
        x.detach()
        del x
        drain()
    print(sum(cut.count for cut in recording.cuts), recording.cuts[0].parameters)
    """
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"{1201 if cuts == 'often' else 1} ('w',)"


def cutting_program() -> list[Tensor]:
    """Gradients of a program with many cuts and writes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(inplace=True))
    x = torch.randn(5, 3)
    hard = (model(x) > 0.2).float()
    out = model(x)
    with torch.no_grad():
        target = model(x) * 0.5 + out.mean().item()
    loss = ((out + hard - out.detach()) * out.argmax(1, keepdim=True) - target).square().sum()
    loss.backward()
    for parameter in model.parameters():
        parameter.data -= 0.1 * (parameter.grad if parameter.grad is not None else 0)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return [*gradients, *(p.detach().clone() for p in model.parameters()), *model.buffers()]


def test_gradients_and_weights_have_the_same_bits() -> None:
    plain = cutting_program()
    with ia.record(stats="off") as recording:
        recorded = cutting_program()
    assert recording.notes == ()
    assert len(recording.cuts) >= 5
    assert_same_bits(recorded, plain)


class Names(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("make", [Names, Operators])
def test_modes_of_the_user_see_the_same_calls(make: Any) -> None:
    with make() as plain:
        cutting_program()
    with make() as outer, ia.record(stats="off", saved=False):
        cutting_program()
    with ia.record(stats="off", saved=False), make() as inner:
        cutting_program()
    assert outer.seen == plain.seen
    assert inner.seen == plain.seen


class Tagged(torch.Tensor):
    """A subclass that says which of its functions are called."""

    calls: list[str] = []  # noqa: RUF012  one list for all, as the functions are class methods

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(str(getattr(func, "__name__", func)))
        inherited: Any = super().__torch_function__
        return inherited(func, types, args, kwargs)


def test_code_of_a_subclass_is_not_run_by_us() -> None:
    def run() -> list[str]:
        Tagged.calls.clear()
        w = torch.ones(2, requires_grad=True)
        x = w.as_subclass(Tagged)
        (x.detach() * x).sum().backward()
        return list(Tagged.calls)

    plain = run()
    with ia.record() as recording:
        recorded = run()
    assert recorded == plain
    assert [cut.reason for cut in recording.cuts] == ["detach"]


def test_exceptions_of_the_program_pass_through() -> None:
    w = torch.ones(2, requires_grad=True)
    with ia.record(params={"w": w}) as recording:
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            w.add_(1)
        with pytest.raises(RuntimeError, match="size of tensor"):
            torch.zeros(2).add_(torch.zeros(3))
        with pytest.raises(RuntimeError, match="requires grad"):
            (w * 2).numpy()
    assert (recording.cuts, recording.mutations, recording.notes) == ((), (), ())


def test_effects_can_be_left_out() -> None:
    w = torch.ones(2, requires_grad=True)
    with ia.record(params={"w": w}, effects=False) as recording:
        (w.detach() + w).sum().backward()
        torch.zeros(2).add_(1)
    assert (recording.cuts, recording.mutations) == ((), ())


def test_recordings_inside_of_each_other_both_see_it() -> None:
    w, v = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    with ia.record(params={"v": v, "w": w}) as outer:
        other = torch.ones(3, requires_grad=True)
        (other * 2).sum().detach()  # So that the bits of the two recordings differ.
        with ia.record(params={"w": w, "v": v}) as inner:
            hidden = (v * w).sum()
            hidden.detach()
            (v * hidden.detach()).sum().backward()
    assert [cut.lost for cut in inner.cuts] == [("w",), ()]
    assert [cut.parameters for cut in inner.cuts] == [("v", "w")] * 2
    assert sorted(cut.parameters for cut in outer.cuts) == [("f32[3] leaf",)] + [("v", "w")] * 2
