"""Checks with the loss alone: forward functions found out from what the graph holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from inspect_autograd.events.vjp_report import VjpReport
from inspect_autograd.live.vjp import check_vjp
from inspect_autograd.live.vjp.operators import OPERATORS


def apply(function: Any, *args: Any) -> Any:
    """`apply` carries no annotations."""
    return function.apply(*args)


class TestCustomFunctions:
    """Where their inputs are looked for."""

    @staticmethod
    def check(loss: Any) -> VjpReport:
        return check_vjp(loss, node="*Scaled*")

    def test_leaves_are_inputs(self) -> None:
        class Scaled(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
                ctx.signs = x.sign(), y.sign()
                return x.abs() + 2 * y.abs()

            @staticmethod
            def backward(ctx: Any, grad: torch.Tensor) -> Any:
                return grad * ctx.signs[0], 2 * grad * ctx.signs[1]

        x, y = (torch.tensor([2.0, -1.0], requires_grad=True) for _ in range(2))
        (check,) = self.check(apply(Scaled, x, y)).checks
        assert (check.status, check.source) == ("right", "its leaves and saved tensors")
        (check,) = self.check(apply(Scaled, x + 1, y)).checks
        assert check.reason == (
            "the value of its argument x is not known; give a function that makes the loss "
            "instead of the loss, or save it"
        )

    def test_what_another_node_saved_is_an_input(self) -> None:
        class Scaled(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
                ctx.factor = 2
                return x * 2

            @staticmethod
            def backward(ctx: Any, grad: torch.Tensor) -> Any:
                return grad * 3

        x = torch.tensor([2.0, -1.0], requires_grad=True)
        # exp saves its result, which is the input of Scaled.
        (check,) = self.check(apply(Scaled, x.exp())).checks
        assert check.diagnosis == "the gradient of argument x is off by the factor 1.5"

    def test_arguments_that_ctx_keeps(self) -> None:
        class Scaled(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
                ctx.factor = factor
                return x * factor

            @staticmethod
            def backward(ctx: Any, grad: torch.Tensor) -> Any:
                return grad * ctx.factor, None

        x = torch.tensor([2.0, -1.0], requires_grad=True)
        (check,) = self.check(apply(Scaled, x, 4.0)).checks
        assert check.status == "right"
        assert check.notes == ("assuming that its argument factor is ctx.factor",)

    def test_arguments_that_nobody_keeps(self) -> None:
        class Scaled(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor, mask: Any, factor: float) -> torch.Tensor:
                ctx.kept = mask * factor
                return torch.mul(x, ctx.kept)

            @staticmethod
            def backward(ctx: Any, grad: torch.Tensor) -> Any:
                return grad * ctx.kept, None, None

        x = torch.tensor([2.0, -1.0], requires_grad=True)
        (check,) = self.check(apply(Scaled, x, 2.0, 3.0)).checks
        assert check.reason == (
            "the value of its argument mask is not known; give a function that makes the loss "
            "instead of the loss"
        )
        (check,) = self.check(apply(Scaled, x, torch.ones(2), 3.0)).checks
        assert check.reason == (
            "which of its arguments are tensors that need no gradient is not known; give a "
            "function that makes the loss instead of the loss"
        )
        assert check_vjp(lambda: apply(Scaled, x, torch.ones(2), 3.0)).is_right


def x_of(*shape: int) -> torch.Tensor:
    """A positive tensor that is no leaf and that only its user may save."""
    values = torch.arange(1.0, torch.Size(shape).numel() + 1).reshape(shape)
    return (values / 5).requires_grad_() + 0


F = torch.nn.functional
INDEX = torch.tensor([[0, 1], [1, 0], [1, 1]])

# One call per entry of the table, named after the node that it makes.
CALLS: dict[str, Callable[[], torch.Tensor]] = {
    "AbsBackward0": lambda: x_of(3).abs(),
    "AddBackward0": lambda: torch.add(x_of(2, 3), x_of(3), alpha=3),
    "AddmmBackward0": lambda: torch.addmm(x_of(2), x_of(3, 4), x_of(4, 2), beta=2, alpha=3),
    "AliasBackward0": lambda: torch.ops.aten.alias(x_of(3)),
    "BaddbmmBackward0": lambda: torch.baddbmm(x_of(1, 2), x_of(2, 3, 4), x_of(2, 4, 2)),
    "BmmBackward0": lambda: torch.bmm(x_of(2, 3, 4), x_of(2, 4, 2)),
    "CatBackward0": lambda: torch.cat([x_of(2, 3), x_of(2, 1)], dim=-1),
    "ClampBackward1": lambda: x_of(5).clamp(0.3, 0.7),
    "ClampMinBackward0": lambda: x_of(5).clamp_min(0.3),
    "CloneBackward0": lambda: x_of(3).clone(),
    "CosBackward0": lambda: x_of(3).cos(),
    "CumsumBackward0": lambda: x_of(2, 3).cumsum(-1),
    "DivBackward0": lambda: x_of(3) / x_of(2, 3),
    "DotBackward0": lambda: torch.dot(x_of(3), x_of(3)),
    "ExpandBackward0": lambda: x_of(3, 1).expand(2, 3, 4),
    "ExpBackward0": lambda: x_of(3).exp(),
    "GatherBackward0": lambda: x_of(3, 2).gather(1, INDEX),
    "GeluBackward0": lambda: F.gelu(x_of(3), approximate="tanh"),
    "IndexBackward0": lambda: x_of(4, 2)[:, torch.tensor([0, 0, 1])],
    "LeakyReluBackward0": lambda: F.leaky_relu(x_of(5) - 0.5, 0.3),
    "LogBackward0": lambda: x_of(3).log(),
    "LogSoftmaxBackward0": lambda: x_of(2, 3).log_softmax(-1),
    "LogsumexpBackward0": lambda: x_of(2, 3).logsumexp((0, 1)),
    "MaskedFillBackward0": lambda: x_of(3).masked_fill(torch.tensor([True, False, True]), 5.0),
    "MeanBackward0": lambda: x_of(2, 3).mean(),
    "MeanBackward1": lambda: x_of(2, 3).mean(-1, keepdim=True),
    "MmBackward0": lambda: x_of(2, 3) @ x_of(3, 4),
    "MseLossBackward0": lambda: F.mse_loss(x_of(3), torch.ones(3), reduction="sum"),
    "MulBackward0": lambda: x_of(2, 3) * x_of(3),
    "MvBackward0": lambda: x_of(2, 3) @ x_of(3),
    "NegBackward0": lambda: -x_of(3),
    "NllLossBackward0": lambda: F.nll_loss(
        x_of(3, 4), torch.tensor([0, 3, 1]), torch.tensor([1.0, 2.0, 3.0, 4.0]), ignore_index=1
    ),
    "PermuteBackward0": lambda: x_of(2, 3, 4).permute(2, -3, 1),
    "PowBackward0": lambda: x_of(3) ** 3,
    "PowBackward1": lambda: x_of(3) ** x_of(2, 3),
    "ReciprocalBackward0": lambda: x_of(3).reciprocal(),
    "ReluBackward0": lambda: F.relu(x_of(5) - 0.5),
    "RepeatBackward0": lambda: x_of(2, 3).repeat(2, 1, 2),
    "RsqrtBackward0": lambda: x_of(3).rsqrt(),
    "RsubBackward1": lambda: 1 - x_of(3),
    "SelectBackward0": lambda: x_of(2, 3)[:, -1],
    "SigmoidBackward0": lambda: x_of(3).sigmoid(),
    "SiluBackward0": lambda: F.silu(x_of(3)),
    "SinBackward0": lambda: x_of(3).sin(),
    "SliceBackward0": lambda: x_of(6)[-5::2],
    "SoftmaxBackward0": lambda: x_of(2, 3).softmax(0),
    "SoftplusBackward0": lambda: F.softplus(x_of(3), beta=2),
    "SqrtBackward0": lambda: x_of(3).sqrt(),
    "SqueezeBackward0": lambda: x_of(1, 3, 1).squeeze(),
    "SqueezeBackward1": lambda: x_of(1, 3, 1).squeeze(-1),
    "StackBackward0": lambda: torch.stack([x_of(2), x_of(2)], dim=-1),
    "SubBackward0": lambda: torch.sub(x_of(2, 3), x_of(3), alpha=3),
    "SumBackward0": lambda: x_of(2, 3).sum(),
    "SumBackward1": lambda: x_of(2, 3).sum((0, -1)),
    "TBackward0": lambda: x_of(2, 3).t(),
    "TanhBackward0": lambda: x_of(3).tanh(),
    "TransposeBackward0": lambda: x_of(2, 3, 4).transpose(0, -1),
    "UnsafeViewBackward0": lambda: torch.matmul(torch.ones(2, 3, 4), x_of(4, 2)),
    "UnsqueezeBackward0": lambda: x_of(2, 3).unsqueeze(-1),
    "ViewBackward0": lambda: x_of(2, 3).view(3, -1),
    "WhereBackward0": lambda: torch.where(torch.tensor([True, False, True]), x_of(3), x_of(3)),
}
NOT_TRIED = {
    "AddBackward1": "PyTorch makes it for an operator that no Python call reaches",
    "ReshapeAliasBackward0": "made by older versions of PyTorch",
}


def test_every_operator_of_the_table_is_tried() -> None:
    assert CALLS.keys() | NOT_TRIED.keys() == OPERATORS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_an_operator_is_rebuilt(name: str) -> None:
    (check,) = check_vjp(CALLS[name](), node=0).checks
    assert check.name == name
    assert (check.status, check.source) == ("right", "what the node saved"), check.reason
    assert all(argument.compared and not argument.left_out for argument in check.arguments)


# Each of these returns what is right for another saved value: it was changed behind the back of
# the version counter.
SAVES = [
    ("AddmmBackward0", "mat1"),
    ("DivBackward0", "other"),
    ("MulBackward0", "self"),
    ("MmBackward0", "mat2"),
    ("BmmBackward0", "self"),
    ("DotBackward0", "tensor"),
]


@pytest.mark.parametrize(("name", "saved"), SAVES)
def test_the_operator_is_checked_with_what_it_saved(name: str, saved: str) -> None:
    # Rebuilt from a recorded call, the inputs are those of the call, so the change shows.
    made: list[torch.Tensor] = []

    def make() -> torch.Tensor:
        made.append(CALLS[name]())
        getattr(made[0].grad_fn, f"_saved_{saved}").data.mul_(2)
        return made[0]

    (check,) = check_vjp(make, node=0).checks
    assert check.status == "wrong"
    assert "is off by the factor" in check.diagnosis or "is wrong" in check.diagnosis


def test_inputs_without_an_edge() -> None:
    x = x_of(2, 3)
    assert check_vjp(x * 3 + 1, node="[AM]*").is_right
    assert check_vjp(torch.ones(3) - 2 / x, node="*Backward0").is_right
    assert check_vjp(torch.ones(5, 2) @ x, node="Mm*").is_right
    assert check_vjp(torch.where(x > 0.5, x, 0.0), node="Where*").is_right


def test_a_list_with_a_member_of_unknown_shape() -> None:
    (check,) = check_vjp(torch.cat([x_of(3), torch.ones(2)]), node=0).checks
    assert check.reason.startswith("the shape of its input tensors[1] is not known")


def test_an_input_that_nobody_saved() -> None:
    x = x_of(3)
    (check,) = check_vjp(torch.maximum(x, x * 2), node=0).checks
    assert check.reason == (
        "its forward function cannot be told from the graph; give a function that makes the loss "
        "instead of the loss"
    )


def test_what_was_modified_in_place() -> None:
    y = x_of(3).sigmoid()
    y += 1
    (check,) = check_vjp(y, node="Sigmoid*").checks
    assert check.reason == (
        "what it saved was modified in place, so a backward pass will refuse it"
    )


def test_what_a_backward_pass_freed() -> None:
    loss = x_of(3).exp().sum()
    loss.backward()
    report = check_vjp(loss)
    reasons = {check.name: check.reason for check in report.not_checked}
    assert reasons["ExpBackward0"] == "a backward pass has freed what it saved"
    # Nothing of a sum is freed.
    assert [check.name for check in report.right] == ["SumBackward0", "AddBackward0"]


def test_what_is_packed_stays_packed() -> None:
    unpacked: list[str] = []

    def unpack(tensor: torch.Tensor) -> torch.Tensor:
        unpacked.append("now")
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
        loss = apply(product(), x_of(3), x_of(3)).exp().sum()
    for outputs in (loss, lambda: loss):
        report = check_vjp(outputs, node="[EP]*")
        assert {check.reason[:23] for check in report.checks} == {"what it saved is packed"}
    assert unpacked == []


def product() -> Any:
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx: Any, grad: torch.Tensor) -> Any:
            x, y = ctx.saved_tensors
            return grad * y, grad * x

    return Product
