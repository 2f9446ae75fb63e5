"""Programs that cut a graph off by `detach`, `no_grad`, or a result that carries none."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import inspect_autograd as ia
from tests.conformance.recorded_programs import Scale, parameter, program

# -- cuts by detach and data -----------------------------------------------------------------------


@program
def detach_before_the_loss() -> Any:
    a, b = Scale(), Scale()
    with ia.record({"a": a, "b": b}) as recording:
        hidden = a(torch.ones(2)).detach()  # cut: detach Tensor.detach reaches lost=a.w
        b(hidden).sum().backward()
    return recording


@program
def detach_that_nobody_uses() -> Any:
    a = Scale()
    with ia.record(a) as recording:
        out = a(torch.ones(2))
        out.detach()  # cut: detach Tensor.detach ends
        out.sum().backward()
    return recording


@program
def detach_of_what_has_no_graph() -> Any:
    a = Scale()
    with ia.record(a) as recording:
        x = torch.ones(2).detach()
        a(x).sum().backward()
    return recording


@program
def detach_in_place() -> Any:
    a, b = Scale(), Scale()
    with ia.record({"a": a, "b": b}) as recording:
        hidden = a(torch.ones(2))
        hidden.detach_()  # cut: detach Tensor.detach_ reaches lost=a.w
        b(hidden).sum().backward()
    return recording


@program
def data_of_an_activation() -> Any:
    a, b = Scale(), Scale()
    with ia.record({"a": a, "b": b}) as recording:
        hidden = a(torch.ones(2))
        b(hidden.data).sum().backward()  # cut: data Tensor.data reaches lost=a.w
    return recording


@program
def detach_inside_a_module() -> Any:
    class Cutting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = Scale()

        def forward(self, x: Tensor) -> Tensor:
            inner: Tensor = self.scale(x)
            return inner.detach()  # cut: detach Tensor.detach reaches lost=scale.w in=

    model, w = Cutting(), parameter(1.0, 1.0)
    with ia.record(model, params={"w": w}) as recording:
        (model(torch.ones(2)) * w).sum().backward()
    return recording


@program
def truncated_backpropagation() -> Any:
    cell, hidden = Scale(), torch.ones(2)
    with ia.record(cell) as recording:
        for _ in range(3):
            hidden = cell(hidden)
            hidden.sum().backward()
            hidden = hidden.detach()  # cut: detach Tensor.detach reaches x3
    return recording


@program
def generator_and_critic() -> Any:
    generator, critic = Scale(), Scale()
    noise = torch.ones(2)
    with ia.record({"generator": generator, "critic": critic}) as recording:
        fake = generator(noise)
        critic(fake.detach()).sum().backward()  # cut: detach Tensor.detach reaches
        (-critic(fake)).sum().backward()
    return recording


@program
def generator_that_is_never_reached() -> Any:
    generator, critic = Scale(), Scale()
    with ia.record({"generator": generator, "critic": critic}) as recording:
        fake = generator(torch.ones(2))
        critic(fake.detach()).sum().backward()  # cut: detach Tensor.detach reaches lost=generator.w
    return recording


@program
def straight_through_estimator() -> Any:
    a = Scale()
    with ia.record(a) as recording:
        soft = a(torch.ones(2))
        hard = (soft > 2.5).float()  # cut: not-differentiable Tensor.gt reaches
        out = hard - soft.detach() + soft  # cut: detach Tensor.detach reaches
        out.sum().backward()
    return recording


@program
def one_of_two_ways_is_cut() -> Any:
    a, b = Scale(), Scale()
    with ia.record({"a": a, "b": b}) as recording:
        left, right = a(torch.ones(2)), b(torch.ones(2))
        total = left + right.detach()  # cut: detach Tensor.detach reaches lost=b.w
        total.sum().backward()
    return recording


@program
def only_the_logged_loss_is_detached() -> Any:
    a, total = Scale(), torch.zeros(())
    with ia.record(a) as recording:
        for _ in range(2):
            loss = a(torch.ones(2)).sum()
            loss.backward()
            total += loss.detach()  # cut: detach Tensor.detach left x2; write: Tensor.add_ - 0>1>2
        total.item()
    return recording


# -- no_grad and inference_mode --------------------------------------------------------------------


@program
def frozen_by_mistake() -> Any:
    e, head = nn.Linear(2, 2), Scale()
    with ia.record({"e": e, "head": head}) as recording:
        with torch.no_grad():
            # cut: no_grad torch.nn.functional.linear reaches lost=e.bias,e.weight in=e
            hidden = e(torch.ones(2))
        head(hidden).sum().backward()
    return recording


@program
def frozen_on_purpose() -> Any:
    encoder, head = nn.Linear(2, 2), Scale()
    encoder.requires_grad_(False)
    with ia.record({"encoder": encoder, "head": head}) as recording:
        with torch.no_grad():
            hidden = encoder(torch.ones(2))
        head(hidden).sum().backward()
    return recording


@program
def evaluation_between_steps() -> Any:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with ia.record(model) as recording:
        for _ in range(2):
            model(torch.ones(2)).sum().backward()
            with torch.no_grad():
                # cut: no_grad torch.nn.functional.linear left x2 in=0
                # cut: no_grad torch.nn.functional.linear left x2 in=2
                out = model(torch.ones(2))
                out.sum().item()
    return recording


@program
def evaluation_alone_loses_nothing() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording, torch.no_grad():
        loss = (w * 3).sum()  # cut: no_grad Tensor.mul left
        loss.item()
    return recording


@program
def inference_mode_result() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording, torch.inference_mode():
        out = w * 3  # cut: inference_mode Tensor.mul ends
        out.add_(1)  # write: Tensor.add_ - None>None
    return recording


@program
def no_grad_decorator() -> Any:
    w, v = parameter(1.0), parameter(2.0)

    @torch.no_grad()
    def embed() -> Tensor:
        return w.exp()  # cut: no_grad Tensor.exp reaches lost=w

    with ia.record(params={"w": w, "v": v}) as recording:
        (embed() * v).sum().backward()
    return recording


# -- results that cannot carry a graph -------------------------------------------------------------


@program
def argmax_then_embedding() -> Any:
    a, table = Scale(1.0, 5.0), nn.Embedding(2, 3)
    with ia.record({"a": a, "table": table}) as recording:
        chosen = a(torch.ones(2)).argmax()  # cut: not-differentiable Tensor.argmax reaches lost=a.w
        table(chosen).sum().backward()
    return recording


@program
def where_of_a_comparison() -> Any:
    a = Scale(1.0, -1.0)
    with ia.record(a) as recording:
        x = a(torch.ones(2))
        out = torch.where(x > 0, x, 0.1 * x)  # cut: not-differentiable Tensor.gt reaches
        out.sum().backward()
    return recording


@program
def masked_by_its_own_values() -> Any:
    w = parameter(1.0, -1.0)
    with ia.record(params={"w": w}) as recording:
        mask = w.ge(0)  # cut: not-differentiable Tensor.ge reaches
        w[mask].sum().backward()
    return recording


@program
def mask_of_the_data() -> Any:
    a, x = Scale(), torch.tensor([1.0, -1.0])
    with ia.record(a) as recording:
        out = a(x)[x > 0]
        out.sum().backward()
    return recording


@program
def indices_of_topk_max_and_sort() -> Any:
    w = parameter(3.0, 1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        values, index = w.topk(2)  # cut: not-differentiable Tensor.topk ends
        highest, place = w.max(dim=0)  # cut: not-differentiable Tensor.max reaches
        ordered, order = torch.sort(w)  # cut: not-differentiable torch.sort ends
        (values.sum() + highest + ordered.sum() + place).backward()
    del index, order
    return recording


@program
def cast_to_integers() -> Any:
    w, v = parameter(1.5, 2.5), parameter(1.0, 1.0)
    with ia.record(params={"w": w, "v": v}) as recording:
        whole = w.long()  # cut: not-differentiable Tensor.long reaches lost=w
        again = w.to(torch.int32)  # cut: not-differentiable Tensor.to reaches lost=w
        old = w.type(torch.int16)  # cut: not-differentiable Tensor.type reaches lost=w
        (v * (whole + again + old)).sum().backward()
    return recording


@program
def evenly_up_to_a_value() -> Any:
    w, v = parameter(3.0), parameter(2.0)
    with ia.record(params={"w": w, "v": v}) as recording:
        pair = torch.linspace(0, w[0], 2)  # cut: copy torch.linspace reaches lost=w
        (pair * v).sum().backward()
    return recording


@program
def accuracy_of_a_step() -> Any:
    a, label = Scale(1.0, 5.0), torch.tensor(1)
    with ia.record(a) as recording:
        logits = a(torch.ones(2))
        F.cross_entropy(logits, label).backward()
        right = logits.argmax() == label  # cut: not-differentiable Tensor.argmax left
        right.float().item()
    return recording


@program
def sampling_an_action() -> Any:
    policy = Scale(1.0, 2.0)
    with ia.record(policy) as recording:
        choice = torch.distributions.Categorical(logits=policy(torch.ones(2)))
        action = choice.sample()  # cut: not-differentiable torch.multinomial reaches
        (-choice.log_prob(action)).backward()
    return recording


@program
def function_that_makes_nodes_on_its_way_to_a_mask() -> Any:
    a = Scale()
    with ia.record(a) as recording:
        x = a(torch.ones(2))
        mask = torch.isclose(x, 2 * torch.ones(2))  # cut: not-differentiable torch.isclose reaches
        (x * mask).sum().backward()
    return recording
