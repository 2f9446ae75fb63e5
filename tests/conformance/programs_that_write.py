"""Programs that write in place, optimizers among them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import inspect_autograd as ia
from tests.conformance.recorded_programs import Scale, Two, parameter, program

# -- writes ----------------------------------------------------------------------------------------


@program
def in_place_operators() -> Any:
    x = torch.zeros(2, 2)
    with ia.record(params={"x": x}) as recording:
        x.add_(1)  # write: Tensor.add_ x 0>1
        x += 1  # write: Tensor.add_ x 1>2
        x[0] = 5.0  # write: Tensor.__setitem__ x 2>3
        x[0] *= 2  # write: Tensor.mul_ -=x 3>4; Tensor.__setitem__ x 4>5
        x.copy_(torch.ones(2, 2)).fill_(3)  # write: Tensor.copy_ x 5>6; Tensor.fill_ x 6>7
        x.add(1)
        x.t()
    return recording


@program
def in_place_in_a_graph() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        x = w * 2
        x.mul_(3)  # write: Tensor.mul_ - 0>1
        torch.sigmoid_(x)  # write: torch.sigmoid_ - 1>2
        x.sum().backward()
    return recording


@program
def out_argument() -> Any:
    x, y, z = torch.zeros(2), torch.zeros(2), torch.zeros(2, dtype=torch.long)
    with ia.record(params={"x": x, "y": y, "z": z}) as recording:
        torch.add(x, 1, out=y)  # write: torch.add y 0>1
        torch.sort(x, out=(y, z))  # write: torch.sort y 1>2; torch.sort z 0>1
    return recording


@program
def lists_of_tensors() -> Any:
    x, y = torch.zeros(2), torch.zeros(3)
    with ia.record(params={"x": x, "y": y}) as recording:
        # write: torch._foreach_add_ x 0>1
        # write: torch._foreach_add_ y 0>1
        torch._foreach_add_([x, y], 1)
        torch._foreach_add([x, y], 1)
    return recording


@program
def functional_in_place() -> Any:
    x = torch.ones(2)
    with ia.record(params={"x": x}) as recording:
        F.relu(x, inplace=True)  # write: torch.nn.functional.relu x 0>1
        F.relu(x)
        F.dropout(x, 0.5, True, True)  # write: torch.nn.functional.dropout x 1>2
        F.dropout(x, 0.5, training=True)
    return recording


@program
def modules_in_place() -> Any:
    model = nn.Sequential(Scale(), nn.ReLU(inplace=True), nn.Dropout(0.5, inplace=True))
    with ia.record(model) as recording:
        x = model[0](torch.ones(2))
        x = model[1](x)  # write: torch.nn.functional.relu - 0>1 in=1
        x = model[2](x * 1)  # write: torch.nn.functional.dropout - 0>1 in=2
        x.sum().backward()
    return recording


@program
def batch_norm() -> Any:
    norm = nn.BatchNorm1d(2)  # Its buffers were filled once.
    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    with ia.record(norm) as recording:
        # write: Tensor.add_ num_batches_tracked 1>2 in=
        # write: torch.nn.functional.batch_norm running_mean 1>1 in=
        # write: torch.nn.functional.batch_norm running_var 1>1 in=
        norm(x).sum().backward()
        norm.eval()
        norm(x).sum().backward()
    return recording


@program
def initialisation() -> Any:
    layer, w = nn.Linear(2, 2), torch.zeros(2, 2)
    with ia.record(layer, params={"w": w}) as recording:
        nn.init.constant_(layer.bias, 1.0)  # write: torch.nn.init.constant_ bias 1>2
        nn.init.xavier_uniform_(w)  # write: Tensor.uniform_ w 0>1
        nn.init.normal_(w)  # write: torch.nn.init.normal_ w 1>2
    return recording


@program
def through_data() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        (w * w).sum().backward()
        assert w.grad is not None
        w.data.sub_(0.1 * w.grad)  # cut: data Tensor.data ends; write: Tensor.sub_ w=w 0>1
        w.data = torch.zeros(2)  # write: Tensor.data.__set__ w 0>0
    return recording


@program
def gradient_step_by_hand() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        for _ in range(2):
            (w * 2).sum().backward()
            assert w.grad is not None
            with torch.no_grad():
                w.sub_(0.1 * w.grad)  # write: Tensor.sub_ w 0>1>2
            w.grad.zero_()  # write: Tensor.zero_ - 0>1; Tensor.zero_ - 2>3
    return recording


@program
def weight_decay_by_hand() -> Any:
    w = parameter(1.0, 2.0)
    with ia.record(params={"w": w}) as recording:
        (w * w).sum().backward()
        with torch.no_grad():
            w.mul_(0.9)  # write: Tensor.mul_ w 0>1
            w.sub_(0.1 * w)  # cut: no_grad Tensor.mul ends; write: Tensor.sub_ w 1>2
        (w * 2).sum().backward()
    return recording


@program
def moving_average_of_weights() -> Any:
    w, average = parameter(1.0, 2.0), torch.zeros(2)
    with ia.record(params={"w": w, "average": average}) as recording:
        (w * w).sum().backward()
        with torch.no_grad():
            # cut: no_grad Tensor.add_ reaches
            # write: Tensor.mul_ average 0>1
            # write: Tensor.add_ average 1>2
            average.mul_(0.9).add_(w, alpha=0.1)
        ((w - average) ** 2).sum().backward()
    return recording


@program
def clipped_gradients() -> Any:
    w = parameter(3.0, 4.0)
    with ia.record(params={"w": w}) as recording:
        (w * 2).sum().backward()
        nn.utils.clip_grad_norm_([w], 1.0)  # write: torch._foreach_mul_ - 0>1
        # write: torch._foreach_clamp_min_ - 1>2
        # write: torch._foreach_clamp_max_ - 2>3
        nn.utils.clip_grad_value_([w], 0.5)
    return recording


@program
def write_in_a_hook() -> Any:
    a = Scale()

    def halve(module: nn.Module, args: Any, output: Tensor) -> None:
        output.div_(2)  # write: Tensor.div_ - 0>1 in=

    a.register_forward_hook(halve)
    with ia.record(a) as recording:
        a(torch.ones(2)).sum().backward()
    return recording


@program
def write_in_a_gradient_hook() -> Any:
    w, seen = parameter(1.0, 2.0), torch.zeros(2)

    def note(gradient: Tensor) -> None:
        seen.add_(gradient)  # write: Tensor.add_ seen 0>1

    w.register_hook(note)
    with ia.record(params={"w": w, "seen": seen}) as recording:
        (w * 2).sum().backward()
    return recording


# -- optimizers ------------------------------------------------------------------------------------


@program
def sgd() -> Any:
    a = Scale()
    optimizer = torch.optim.SGD(a.parameters(), lr=0.1, momentum=0.9)
    with ia.record(a) as recording:
        for _ in range(2):
            optimizer.zero_grad()
            a(torch.ones(2)).sum().backward()
            optimizer.step()  # write: torch.optim.SGD.step w 0>1>2
    return recording


@program
def zero_grad_without_none() -> Any:
    a = Scale()
    optimizer = torch.optim.SGD(a.parameters(), lr=0.1)
    with ia.record(a) as recording:
        a(torch.ones(2)).sum().backward()
        optimizer.zero_grad(set_to_none=False)  # write: Tensor.zero_ - 0>1
    return recording


@program
def parameter_without_a_gradient() -> Any:
    model = Two()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    with ia.record(model) as recording:
        model.a(torch.ones(2)).sum().backward()
        optimizer.step()  # write: torch.optim.Adam.step a.w 0>1
    return recording


@program
def adam_one_parameter_at_a_time() -> Any:
    model = Two()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, foreach=False)
    with ia.record(model) as recording:
        model(torch.ones(2)).sum().backward()
        optimizer.step()  # write: torch.optim.AdamW.step a.w 0>2; torch.optim.AdamW.step b.w 0>2
    return recording


@program
def adam_all_parameters_at_once() -> Any:
    model = Two()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, foreach=True)
    with ia.record(model) as recording:
        model(torch.ones(2)).sum().backward()
        optimizer.step()  # write: torch.optim.AdamW.step a.w 0>2; torch.optim.AdamW.step b.w 0>2
    return recording


@program
def adam_fused() -> Any:
    model = Two()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    with ia.record(model) as recording:
        model.a(torch.ones(2)).sum().backward()
        optimizer.step()  # write: torch.optim.AdamW.step a.w 0>0
    return recording


@program
def lbfgs_with_a_closure() -> Any:
    w = parameter(1.0)
    optimizer: Any = torch.optim.LBFGS([w], lr=0.1, max_iter=2)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with ia.record(params={"w": w}) as recording:
        optimizer.step(closure)  # write: torch.optim.LBFGS.step w 0>1
    return recording


@program
def optimizer_of_the_user() -> Any:
    w = parameter(1.0)

    class Mine(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__([w], {})

        def step(self, closure: Any = None) -> Any:
            gradient: Any = w.grad
            w.data.add_(gradient, alpha=-0.1)  # write: Tensor.add_ w=w 0>1

    optimizer = Mine()
    with ia.record(params={"w": w}) as recording:
        (w * w).sum().backward()
        optimizer.step()
    return recording
