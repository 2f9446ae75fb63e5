"""Programs with which nothing is wrong, of which nothing may be said."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia

Program = tuple[Callable[[], torch.Tensor], nn.Module, torch.optim.Optimizer]


def transformer() -> Program:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(2, 5, 16)
    return (
        lambda: model(x).square().mean(),
        model,
        torch.optim.AdamW(model.parameters(), 1e-3),
    )


def cnn() -> Program:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    )
    x, y = torch.randn(8, 3, 8, 8), torch.arange(8) % 2
    return (
        lambda: nn.functional.cross_entropy(model(x), y),
        model,
        torch.optim.SGD(model.parameters(), 0.01),
    )


class LoRA(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(6, 6).requires_grad_(False)
        self.a = nn.Parameter(torch.randn(2, 6))
        self.b = nn.Parameter(torch.zeros(6, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.base(x) + x @ self.a.T @ self.b.T
        return out


def lora() -> Program:
    model = nn.Sequential(LoRA(), nn.Tanh(), LoRA())
    x = torch.randn(4, 6)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return lambda: model(x).square().mean(), model, optimizer


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.rnn = nn.GRU(8, 8, batch_first=True)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.rnn(self.embedding(tokens))[0])
        return out


def tied() -> Program:
    model = Tied()
    tokens = torch.arange(22).reshape(2, 11) % 11
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    return (
        lambda: nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()),
        model,
        optimizer,
    )


def normed() -> Program:
    model = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
        nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)),
    )
    x = torch.randn(3, 4)
    return (
        lambda: model(x).square().mean(),
        model,
        torch.optim.SGD(model.parameters(), 0.01),
    )


def mixed() -> Program:
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 1))
    x = torch.randn(3, 4)

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out: torch.Tensor = model(x).float().square().mean()
        return out

    return loss, model, torch.optim.AdamW(model.parameters(), 1e-3)


PROGRAMS = [transformer, cnn, lora, tied, normed, mixed]


def check(loss: torch.Tensor | None, model: nn.Module, optimizer: Any) -> None:
    assert ia.diagnose(loss, model, optimizer).diagnoses == ()


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_found_at_any_time_of_a_step(program: Callable[[], Program]) -> None:
    torch.manual_seed(0)
    compute, model, optimizer = program()
    check(None, model, optimizer)
    for _ in range(2):
        loss = compute()
        check(loss, model, optimizer)
        loss.backward()
        check(loss, model, optimizer)
        optimizer.step()
        check(None, model, optimizer)
        optimizer.zero_grad()
        check(None, model, optimizer)


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_found_while_it_trains(program: Callable[[], Program]) -> None:
    torch.manual_seed(0)
    compute, model, optimizer = program()
    with ia.watch(model, optimizer) as watch:
        for _ in range(25):
            optimizer.zero_grad()
            compute().backward()
            optimizer.step()
    assert watch.findings == ()
    assert watch.steps == 25


@pytest.mark.parametrize("program", PROGRAMS)
def test_after_a_pass_only_what_is_frozen_has_no_gradient(program: Callable[[], Program]) -> None:
    torch.manual_seed(0)
    compute, model, _ = program()
    with ia.record(model) as recording:
        loss = compute()
        loss.backward()
    frozen = sum(not p.requires_grad for p in model.parameters())
    for seen in (None, recording):
        why = ia.why_no_grad(loss, model, recording=seen)
        assert why.counts == ({"frozen": frozen} if frozen else {})
        assert why.with_gradient == len(list(model.parameters())) - frozen


def gan_losses(
    generator: nn.Module, critic: nn.Module
) -> Iterator[tuple[str, Callable[[], torch.Tensor]]]:
    noise, real = torch.randn(6, 3), torch.randn(6, 4)
    yield "critic", lambda: critic(generator(noise).detach()).mean() - critic(real).mean()
    yield "generator", lambda: -critic(generator(noise)).mean()


def test_a_gan_with_two_optimizers() -> None:
    torch.manual_seed(0)
    models = nn.ModuleDict(
        {
            "generator": nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4)),
            "critic": nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)),
        }
    )
    optimizers = {name: torch.optim.Adam(m.parameters(), 1e-3) for name, m in models.items()}
    losses = dict(gan_losses(models["generator"], models["critic"]))
    with ia.watch(models) as watch:
        for _ in range(15):
            for name, compute in losses.items():
                loss = compute()
                check(loss, models[name], optimizers[name])
                if name == "critic":
                    check(loss, models, optimizers[name])
                optimizers[name].zero_grad()
                loss.backward()
                optimizers[name].step()
    assert watch.findings == ()
    assert watch.steps == 30


def test_accumulated_gradients_and_losses_of_a_step() -> None:
    torch.manual_seed(0)
    compute, model, optimizer = cnn()
    with ia.watch(model, optimizer) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            losses = [compute() / 4 for _ in range(4)]
            for loss in losses:
                loss.backward()
            optimizer.step()
    assert watch.findings == ()


def test_an_optimizer_with_a_closure() -> None:
    torch.manual_seed(0)
    compute, model, _ = mixed()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = compute()
        loss.backward()
        return loss

    with ia.watch(model, optimizer) as watch:
        for _ in range(6):
            optimizer.step(closure)
    assert watch.findings == ()
    assert watch.steps == 6


def test_a_loop_without_an_optimizer() -> None:
    torch.manual_seed(0)
    compute, model, _ = cnn()
    with ia.watch(model) as watch:
        for _ in range(10):
            compute().backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    assert parameter.grad is not None
                    parameter.sub_(0.01 * parameter.grad)
                    parameter.grad = None
    assert watch.findings == ()
    assert watch.steps == 8  # the first two passes may have been followed by an optimizer


def test_sequences_of_varying_length() -> None:
    torch.manual_seed(0)
    cell = nn.RNNCell(2, 2)
    optimizer = torch.optim.SGD(cell.parameters(), 0.01)
    with ia.watch(cell, optimizer) as watch:
        for length in (2, 3, 5, 6, 9, 7, 4, 8, 3, 5, 9, 12, 2, 3, 4, 20):
            hidden = torch.zeros(1, 2)
            for _ in range(length):
                hidden = cell(torch.ones(1, 2), hidden)
            optimizer.zero_grad()
            hidden.sum().backward()
            optimizer.step()
    assert watch.findings == ()


def test_several_processes(tmp_path: Any) -> None:
    import torch.distributed as dist

    torch.manual_seed(0)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/it", rank=0, world_size=1)
    try:
        model = nn.parallel.DistributedDataParallel(
            nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        )
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        with ia.watch(model, optimizer) as watch:
            for _ in range(3):
                loss = model(torch.ones(2, 3)).square().mean()
                check(loss, model, optimizer)
                loss.backward()
                assert ia.why_no_grad(loss, model).missing == ()
                optimizer.step()
        assert watch.findings == ()
    finally:
        dist.destroy_process_group()


def test_nothing_of_it_depends_on_the_context() -> None:
    compute, model, optimizer = cnn()
    loss = compute()
    for context in (torch.no_grad(), torch.inference_mode(), nullcontext()):
        with context:
            check(loss, model, optimizer)
