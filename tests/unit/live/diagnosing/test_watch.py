"""Trainings with one known fault each, and what a watch finds."""

import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import optimizer as torch_optimizer

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, InspectAutogradError
from inspect_autograd.live import engine_calls
from inspect_autograd.live.private_torch import engine_entry, plain_engine_entry

X = torch.linspace(-1, 1, 15).reshape(5, 3)


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def train(
    model: nn.Module,
    loss_of: Callable[[int], torch.Tensor],
    *,
    steps: int = 12,
    **options: Any,
) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with ia.watch(model, optimizer, **options) as watch:
        for step in range(1, steps + 1):
            optimizer.zero_grad()
            loss_of(step).backward()
            optimizer.step()
    return watch


def slugs(watch: Any) -> list[str]:
    return [finding.slug for finding in watch.findings]


# -- gradients -------------------------------------------------------------------------------------


def test_a_gradient_that_is_not_finite_is_said_once() -> None:
    model = make_model()
    watch = train(model, lambda step: model(X).sum() * (float("nan") if step > 4 else 1.0))
    (found,) = watch.findings
    assert found.slug == "non-finite-gradient"
    assert found.summary.startswith("In step 5 4 of 4 gradients were not finite (NaN): 0.weight")
    assert "The loss was nan already" in found.explanation


def test_a_gradient_that_only_the_backward_pass_spoils() -> None:
    model = make_model()

    def loss_of(step: int) -> torch.Tensor:
        out: torch.Tensor = model(X).sum() * 0
        return out.abs().sqrt() if step == 3 else model(X).sum()

    (found,) = train(model, loss_of, steps=3).findings
    assert "The loss was finite (0), so the backward pass made it" in found.explanation


def test_parameters_that_never_get_a_gradient() -> None:
    model = make_model()
    watch = train(model, lambda _: model[2](torch.ones(4)).sum())
    (found,) = watch.findings
    assert found.slug == "parameter-without-gradient"
    assert "2 of 4 parameters that the optimizer holds got no gradient in the first 3 steps" in (
        found.summary
    )


def test_a_parameter_that_is_used_now_and_then_is_fine() -> None:
    model = make_model()
    watch = train(
        model, lambda step: model(X).sum() if step % 3 == 0 else model[2](torch.ones(4)).sum()
    )
    assert watch.findings == ()


def test_layers_that_are_dead() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[0].get_parameter("bias").fill_(-100.0)
    (found,) = train(model, lambda _: model(X).square().sum()).findings
    assert found.slug == "zero-gradient"
    assert "0.weight and 0.bias" in found.summary


def test_gradients_that_explode() -> None:
    model = make_model()
    (found,) = train(model, lambda step: model(X).sum() * (1e6 if step == 8 else 1)).findings
    assert found.slug == "exploding-gradients"
    assert found.summary.startswith("In step 8 the norm of all gradients was")
    assert "1e+06 times" in found.summary


def test_gradients_that_vanish() -> None:
    model = make_model()
    (found,) = train(model, lambda step: model(X).sum() * (1e-6 if step >= 8 else 1)).findings
    assert found.slug == "vanishing-gradients"
    assert found.summary.startswith("Since step 8 ")


def test_one_batch_with_nothing_to_learn_from_is_fine() -> None:
    model = make_model()
    assert train(model, lambda step: model(X).sum() * (step != 8)).findings == ()


def test_a_training_that_converges_is_fine() -> None:
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with ia.watch(model, optimizer) as watch:
        for _ in range(200):
            optimizer.zero_grad()
            model(X).square().mean().backward()
            optimizer.step()
    assert watch.findings == ()
    assert model.bias.grad is not None
    assert abs(model.bias.grad.item()) < 1e-6


def test_every_so_many_steps() -> None:
    def run(steps: int) -> Any:
        model = make_model()
        bad = float("nan")
        return train(
            model, lambda s: model(X).sum() * (bad if s == 5 else 1), steps=steps, every=4
        ).findings

    assert run(7) == ()
    assert run(8)[0].summary.startswith("In step 8 ")


def test_sparse_gradients_are_passed_over() -> None:
    model = nn.Embedding(5, 2, sparse=True)
    watch = train(model, lambda _: model(torch.tensor([1, 2])).sum())
    assert watch.findings == ()
    assert watch.steps == 12


# -- graphs ----------------------------------------------------------------------------------------


def test_a_hidden_state_that_is_never_detached() -> None:
    cell = nn.RNNCell(3, 3)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    hidden = torch.zeros(1, 3)
    with ia.watch(cell, optimizer) as watch:
        for _ in range(9):
            hidden = cell(X[:1], hidden)
            hidden.sum().backward(retain_graph=True)
    (found,) = watch.findings
    assert found.slug == "graph-growing"
    assert "11 nodes in pass 1, 53 in pass 8" in found.summary


@pytest.mark.parametrize("collect", ["list", "sum"])
def test_losses_that_are_kept(collect: str) -> None:
    model = make_model()
    kept: list[torch.Tensor] = []
    total = torch.zeros(())

    def loss_of(_: int) -> torch.Tensor:
        nonlocal total
        loss: torch.Tensor = model(X).square().mean()
        if collect == "list":
            kept.append(loss)
        else:
            total = total + loss
        return loss

    (found,) = train(model, loss_of).findings
    assert found.slug == "loss-graph-kept"
    assert "the graphs of 8 earlier losses are still alive (of steps 1 to 8)" in found.summary


def test_graphs_are_left_alone_where_that_is_wanted() -> None:
    model = make_model()
    kept: list[torch.Tensor] = []

    def loss_of(_: int) -> torch.Tensor:
        kept.append(model(X).square().mean())
        return kept[-1]

    assert train(model, loss_of, graphs=False).findings == ()
    assert not kept[0].grad_fn.metadata  # type: ignore[union-attr]


def test_a_deep_graph() -> None:
    model = nn.Linear(1, 1)

    def loss_of(_: int) -> torch.Tensor:
        loss: torch.Tensor = model(torch.ones(1)).sum()
        for _ in range(60_000):
            loss = loss + 1
        return loss

    watch = train(model, loss_of, steps=2)
    gc.collect()
    assert watch.findings == ()


# -- loss scaling ----------------------------------------------------------------------------------


def scaled(factor: float, steps: int = 12) -> Any:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0)
    with ia.watch(model, optimizer, scaler=scaler) as watch:
        for step in range(steps):
            optimizer.zero_grad()
            loss = model(X).sum() * (float("inf") if step < factor else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return watch


def test_steps_that_a_scaler_leaves_out() -> None:
    watch = scaled(100)
    (found,) = watch.findings
    assert found.slug == "amp-steps-skipped"
    assert "has left out 5 optimizer steps in a row" in found.summary
    assert watch.steps == 0


def test_a_few_steps_left_out_at_the_beginning_are_fine() -> None:
    watch = scaled(3)
    assert watch.findings == ()
    assert watch.steps == 9


# -- nothing changes, and nothing stays ------------------------------------------------------------


def test_gradients_and_parameters_are_bit_identical() -> None:
    def run(watched: bool) -> list[torch.Tensor]:
        model = make_model()
        optimizer = torch.optim.AdamW(model.parameters())
        grads: list[torch.Tensor] = []

        def loop() -> None:
            for _ in range(6):
                optimizer.zero_grad()
                model(X).square().mean().backward()
                grads.extend(p.grad.clone() for p in model.parameters() if p.grad is not None)
                optimizer.step()

        if watched:
            with ia.watch(model, optimizer):
                loop()
        else:
            loop()
        return [*grads, *(p.detach() for p in model.parameters())]

    for one, other in zip(run(True), run(False), strict=True):
        assert torch.equal(one, other)


def hooks() -> tuple[int, int, int]:
    return (
        len(torch_optimizer._global_optimizer_pre_hooks),
        len(torch_optimizer._global_optimizer_post_hooks),
        len([ref for ref in engine_calls._watchers if ref() is not None]),
    )


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(fails: bool) -> None:
    before = hooks()
    model = make_model()
    if fails:
        with pytest.raises(ZeroDivisionError):
            train(model, lambda step: model(X).sum() / (1 // (step < 3)))
    else:
        train(model, lambda _: model(X).sum())
    assert hooks() == before
    assert engine_entry() is plain_engine_entry()
    parameter = model[0].weight
    assert not parameter._backward_hooks
    assert not getattr(parameter, "_post_accumulate_grad_hooks", None)


def test_the_model_is_not_kept_alive_afterwards() -> None:
    def run() -> tuple[Any, Any]:
        model = make_model()
        with ia.watch(model) as watch:
            for _ in range(4):
                model(X).sum().backward()
        return watch, weakref.ref(model[0].weight)

    gc.disable()
    try:
        watch, gone = run()
        assert gone() is None
    finally:
        gc.enable()
    assert watch.steps == 2


def test_no_graph_is_kept_alive_inside() -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters())
    with ia.watch(model, optimizer):
        inputs = X.clone()
        gone = weakref.ref(inputs)
        model(inputs).sum().backward(retain_graph=True)
        gc.disable()
        try:
            del inputs
            assert gone() is None
        finally:
            gc.enable()
        optimizer.step()


def test_two_watches_of_two_models() -> None:
    one, other = make_model(), make_model()
    with ia.watch(other) as second:
        first = train(one, lambda step: one(X).sum() * (float("nan") if step == 4 else 1))
    assert slugs(first) == ["non-finite-gradient"]
    assert slugs(second) == []
    assert second.steps == 10  # passes, since none of its optimizers stepped


def test_inside_a_recording() -> None:
    model = make_model()
    with ia.record(model) as recording:
        watch = train(model, lambda step: model(X).sum() * (float("nan") if step == 2 else 1))
    assert slugs(watch) == ["non-finite-gradient"]
    assert len(recording.traces) == 12
    assert {m.function for m in recording.mutations} == {"torch.optim.SGD.step"}


def test_a_check_that_fails_itself_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("inspect_autograd.live.diagnosing.training_watch.launch_norms", fail)
    model = make_model()
    watch = train(model, lambda _: model(X).sum())
    assert watch.findings == ()
    (fact,) = watch.report.facts
    assert fact.text == (
        "a check failed itself (ZeroDivisionError: ours), which is a fault of inspect_autograd"
    )


# -- how it is told --------------------------------------------------------------------------------


def test_findings_are_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters())
    with caplog.at_level(logging.WARNING), ia.watch(model, optimizer) as watch:
        (model(X).sum() * float("inf")).backward()
        optimizer.step()
        (record,) = caplog.records
        assert len(watch.findings) == 1
    assert record.name == "inspect_autograd.watch"
    assert record.getMessage().startswith("found in step 1:\nIn step 1 4 of 4 gradients")
    assert "non-finite-gradient" in str(watch.report)
    assert repr(watch) == "<watch of 1 step: non-finite-gradient>"


def test_a_watch_is_for_one_block() -> None:
    watch = ia.watch(make_model())
    with watch, pytest.raises(InspectAutogradError, match="entered already"):
        watch.__enter__()
    with pytest.raises(InspectAutogradError, match="entered already"):
        watch.__enter__()


def test_wrong_arguments() -> None:
    with pytest.raises(ArgumentTypeError, match="model is of type int"):
        ia.watch(1)
    with pytest.raises(ArgumentTypeError, match="optimizer is of type int"):
        ia.watch(make_model(), 1)
    with pytest.raises(ArgumentTypeError, match="every is True of type bool"):
        ia.watch(make_model(), every=True)
    with pytest.raises(ArgumentError, match="every is 0"):
        ia.watch(make_model(), every=0)
