"""Programs whose values leave PyTorch, that run several threads, or that cut nothing."""

from typing import Any

import torch
from torch import nn

import inspect_autograd as ia
from tests.conformance.recorded_programs import Scale, parameter, program

# -- values that leave PyTorch ---------------------------------------------------------------------


@program
def loss_that_is_logged() -> Any:
    a = Scale()
    with ia.record(a) as recording:
        loss = a(torch.ones(2)).sum()
        loss.backward()
        loss.item()  # cut: Python-value Tensor.item left
        assert f"loss {loss:.1f}" == "loss 5.0"
    return recording


@program
def weight_from_a_python_value() -> Any:
    a, b = Scale(), Scale()
    with ia.record({"a": a, "b": b}) as recording:
        factor = float(a(torch.ones(2)).sum())  # cut: Python-value Tensor.__float__ left lost=a.w
        (factor * b(torch.ones(2))).sum().backward()
    return recording


@program
def list_of_values() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        (w * 2).tolist()  # cut: Python-value Tensor.tolist left
        w.sum().backward()
    return recording


@program
def copy_by_tensor() -> Any:
    w, v = parameter(1.0), parameter(2.0)
    with ia.record(params={"w": w, "v": v}) as recording:
        pair = torch.tensor([w[0], w[0]])  # cut: copy torch.tensor reaches lost=w
        (pair * v).sum().backward()
    return recording


@program
def copy_as_a_new_leaf() -> Any:
    w = parameter(1.0)
    with ia.record(params={"w": w}) as recording:
        loss = torch.tensor([w[0] * 2], requires_grad=True)  # cut: copy torch.tensor reaches lost=w
        loss.sum().backward()
    return recording


@program
def numpy_and_back() -> Any:
    w, v = parameter(1.0, 2.0), parameter(1.0, 1.0)
    with ia.record(params={"w": w, "v": v}) as recording:
        array = (w * 2).detach().numpy()  # cut: detach Tensor.detach reaches lost=w
        (torch.from_numpy(array) * v).sum().backward()
    return recording


@program
def numpy_and_not_back() -> Any:
    w, v = parameter(1.0, 2.0), parameter(1.0, 1.0)
    with ia.record(params={"w": w, "v": v}) as recording:
        array = (w * 2).numpy(force=True)  # cut: Python-value Tensor.numpy left lost=w
        v.sum().backward()
    del array
    return recording


@program
def condition_on_a_value() -> Any:
    w = parameter(1.0)
    with ia.record(params={"w": w}) as recording:
        if (w * 2).sum() > 0:  # cut: not-differentiable Tensor.gt ends
            (w * 3).sum().backward()
    return recording


# -- several threads and losses --------------------------------------------------------------------


@program
def two_threads() -> Any:
    from threading import Thread

    a, b, results = Scale(), Scale(), {}

    def run(name: str, model: nn.Module) -> None:
        out = model(torch.ones(2))
        results[name] = out.detach()  # cut: detach Tensor.detach ends x2
        out.sum().backward()

    with ia.record({"a": a, "b": b}) as recording:
        threads = [Thread(target=run, args=pair) for pair in (("a", a), ("b", b))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return recording


@program
def cut_made_in_another_thread() -> Any:
    from threading import Thread

    a, b, made = Scale(), Scale(), []

    def run() -> None:
        made.append(a(torch.ones(2)).detach())  # cut: detach Tensor.detach reaches lost=a.w

    with ia.record({"a": a, "b": b}) as recording:
        thread = Thread(target=run)
        thread.start()
        thread.join()
        b(made[0]).sum().backward()
    return recording


@program
def gradient_of_some_inputs_only() -> Any:
    w, v = parameter(1.0), parameter(2.0)
    with ia.record(params={"w": w, "v": v}) as recording:
        hidden = w * v
        kept = hidden.detach()  # cut: detach Tensor.detach reaches lost=v
        torch.autograd.grad((hidden * kept).sum(), [w])
    return recording


@program
def taint_through_a_list_and_a_write() -> Any:
    a, b, store = Scale(), Scale(), torch.zeros(2, 2)
    with ia.record({"a": a, "b": b}, params={"store": store}) as recording:
        # cut: detach Tensor.detach reaches lost=a.w
        # write: Tensor.__setitem__ store 0>1
        store[0] = a(torch.ones(2)).detach()
        rows = torch.stack([store[0], store[1]])
        b(rows).sum().backward()
    return recording


# -- what is no cut --------------------------------------------------------------------------------


@program
def shapes_and_new_tensors() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        noise = torch.zeros_like(w) + torch.randn_like(w) + w.new_ones(2) + w.new_full((2,), 3.0)
        noise = noise.view(w.shape).expand(w.size()) + torch.ones(w.shape) * w.numel()
        (w * noise).sum().backward()
        assert "requires_grad=True" in repr(w)
        assert w.is_leaf == (w.grad is not None)
    return recording


@program
def gradients_are_no_cut() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        (w * w).sum().backward()
        assert w.grad is not None
        norm = w.grad.norm() * 2
        norm.item()
    return recording


@program
def state_dict_and_deepcopy() -> Any:
    import copy

    a = Scale()
    with ia.record(a) as recording:
        state = a.state_dict()
        other = copy.deepcopy(a)
        other.load_state_dict(state)  # write: Tensor.copy_ - 0>1
        a(torch.ones(2)).sum().backward()
    return recording


@program
def double_backward() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        (slope,) = torch.autograd.grad((w**3).sum(), w, create_graph=True)
        (slope**2).sum().backward()
    return recording


@program
def broadcast_with_a_constant() -> Any:
    w, x = parameter(1.0), torch.ones(3)
    with ia.record(params={"w": w}) as recording:
        first, second = torch.broadcast_tensors(x, w)
        (first * second).sum().backward()
    return recording
