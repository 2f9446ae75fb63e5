"""The commands of the prompt: what they show, and what they change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.errors import BreakpointQuitError


def lines_of(
    capsys: pytest.CaptureFixture[str],
    loss: torch.Tensor,
    glob: str,
    *commands: str,
    **options: Any,
) -> list[str]:
    """What is printed at a stop, without the headline and what was received there."""
    capsys.readouterr()
    with ia.break_on(glob, prompt=commands, **options):
        loss.backward()
    return capsys.readouterr().out.splitlines()[2:]


def exp_program() -> tuple[torch.Tensor, torch.Tensor]:
    """x = 0, 0 and loss = sum(2 exp(x)): the gradient is 2, 2."""
    x = torch.zeros(2, requires_grad=True)
    return x, (2 * x.exp()).sum()


def test_what_is_shown_at_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    with ia.break_on(nonfinite=True, prompt=["continue"]):
        (3 * x.sqrt()).sum().backward()
    assert capsys.readouterr().out == (
        "stopped after #2 SqrtBackward0 in pass 0: "
        "the first NaN or Inf of this pass, which it returned\n"
        "  received  g0  f32[2] |4.24|\n"  # The norm of (3, 3).
        "  returned  r0  f32[2] |inf| Inf\n"
        "(backward) continue\n"
    )


def test_print(capsys: pytest.CaptureFixture[str]) -> None:
    _, loss = exp_program()
    assert lines_of(
        capsys,
        loss,
        "Exp*",
        "print received",
        "p g0.sum().item()",
        "p round(norm, 3)",
        "p saved['result'] is result, result.tolist()",
        "p [node.name for _ in g0]",
        "p returned",
        "p torch.ones(1)",
    ) == [
        "(backward) print received",
        "(tensor([2., 2.]),)",
        "(backward) p g0.sum().item()",
        "4.0",
        "(backward) p round(norm, 3)",
        "2.828",
        "(backward) p saved['result'] is result, result.tolist()",
        "(True, [1.0, 1.0])",
        "(backward) p [node.name for _ in g0]",
        "['ExpBackward0', 'ExpBackward0']",
        "(backward) p returned",
        "None",
        "(backward) p torch.ones(1)",
        "tensor([1.])",
    ]


def test_attributes_of_the_node_have_names(capsys: pytest.CaptureFixture[str]) -> None:
    loss = torch.ones(2, 3, requires_grad=True).softmax(-1).sum()
    assert lines_of(capsys, loss, "Softmax*", "print dim")[1] == "-1"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("print", "*** there is no expression"),
        ("print 1/0", "*** ZeroDivisionError: division by zero"),
        ("print foo", "*** NameError: name 'foo' is not defined"),
        ("print g0 +", "*** SyntaxError: "),
        ("foo", "*** 'foo' is not a command"),
        ("next 3", "*** next is followed by '3'; expected nothing after it"),
        ("set", "*** SLOT is ''; expected a number or g0"),
        ("set r0 1", "*** SLOT is 'r0'; expected a number or g0"),
        ("set 1 g0", "*** slot is 1; the node received slots 0 to 0"),
        ("set 0 'a'", "*** the value is of type str; expected a tensor or a number"),
        ("set 0 torch.ones(3)", "*** the value has shape [3]; expected [2]"),
        ("set 0 g0.double()", "*** the value has dtype torch.float64; expected torch.float32"),
        ("set 0", "*** there is no expression"),
    ],
)
def test_a_command_that_fails_changes_nothing(
    capsys: pytest.CaptureFixture[str], command: str, message: str
) -> None:
    x, loss = exp_program()
    assert lines_of(capsys, loss, "Exp*", command)[1].startswith(message)
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]


def test_set_what_a_node_receives(capsys: pytest.CaptureFixture[str]) -> None:
    x, loss = exp_program()
    shown = lines_of(capsys, loss, "Exp*", "set 0 torch.tensor([3., 4.])", "set g0 2 * g0", "p g0")
    assert shown == [
        "(backward) set 0 torch.tensor([3., 4.])",
        "  received  g0  f32[2] |5|",
        "(backward) set g0 2 * g0",
        "  received  g0  f32[2] |10|",
        "(backward) p g0",
        "tensor([6., 8.])",
    ]
    assert x.grad is not None
    assert x.grad.tolist() == [6, 8]


def test_set_a_number_fills_the_gradient(capsys: pytest.CaptureFixture[str]) -> None:
    x, loss = exp_program()
    lines_of(capsys, loss, "Exp*", "set 0 7")
    assert x.grad is not None
    assert x.grad.tolist() == [7, 7]


def test_set_what_a_node_returned() -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    with ia.break_on(nonfinite=True, prompt=["set r0 torch.nan_to_num(r0, posinf=1.0)", "c"]):
        (4 * x.sqrt()).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 1]  # 4 / (2 sqrt(4)) = 1


def test_second_derivatives_go_through_what_is_set() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    with ia.break_on("Pow*", prompt=["set 0 g0 * g0 * 5"]):
        one = torch.tensor(1.0, requires_grad=True)
        (first,) = torch.autograd.grad(x**3, x, one, create_graph=True)
    # 5 g² · 3 x² with g = 1 and x = 2; by g: 10 g · 3 x².
    assert first.item() == 60
    assert torch.autograd.grad(first, one)[0].item() == 120


def test_a_missing_gradient_cannot_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> Any:
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            return gradients[0]

    first, _ = Two.apply(torch.ones(2, requires_grad=True))  # type: ignore[no-untyped-call]
    shown = lines_of(capsys, first.sum(), "Two*", "set 1 g0", "set 0 1")
    assert shown[0] == "  received  g1  None"
    assert shown[2] == "*** slot 1 holds None: no gradient was received there"
    assert shown[-2:] == ["  received  g0  f32[2] |1.41|", "  received  g1  None"]


def test_where_without_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    _, loss = exp_program()
    shown = lines_of(capsys, loss, "Exp*", "where")
    assert shown[1:3] == [
        "#2 ExpBackward0",
        "  forward   not recorded; `with ia.record(model) as recording:` around it would tell",
    ]
    assert shown[3].startswith("  backward  test_prompt.py:")
    assert shown[3].endswith(" in lines_of: loss.backward()")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.inner(x).tanh()
        return y


@pytest.mark.parametrize("is_open", [True, False])
def test_where_with_a_recording(capsys: pytest.CaptureFixture[str], is_open: bool) -> None:
    model = Net()
    with ia.record({"net": model}) as recording:
        loss = model(torch.ones(1, 2)).sum()
        shown = lines_of(capsys, loss, "Tanh*", "where") if is_open else []
    if not is_open:
        shown = lines_of(capsys, loss, "Tanh*", "where")
    assert recording is not None
    assert shown[1] == "#1 TanhBackward0"
    assert shown[2].startswith("  forward   test_prompt.py:")
    assert shown[2].endswith(" in Net.forward: y: torch.Tensor = self.inner(x).tanh()")
    assert shown[3] == "  module    net"


def test_where_under_anomaly_mode(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.autograd.set_detect_anomaly(True, check_nan=False):
        _, loss = exp_program()
        shown = lines_of(capsys, loss, "Exp*", "where")
    assert shown[2].endswith(" in exp_program: return x, (2 * x.exp()).sum()")


def test_the_nodes_around(capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    loss = (y.sin() * y.cos()).sum()
    assert lines_of(
        capsys, loss, "Exp*", "list", "up", "up 1", "up", "down 0", "down", "up 7", params={"x": x}
    ) == [
        "(backward) list",
        "  up 0    #2 SinBackward0",
        "  up 1    #3 CosBackward0",
        "  ->      #4 ExpBackward0  receives f32[2]",
        "  down 0  #5 AccumulateGrad of x",
        "(backward) up",
        "*** several are there; expected a node that sends a gradient: a number from 0 to 1",
        "  What to do: list shows them.",
        "(backward) up 1",
        "#3 CosBackward0",
        "(backward) up",
        "#1 MulBackward0",
        "(backward) down 0",
        "#2 SinBackward0",
        "(backward) down",
        "#4 ExpBackward0  (the pass stands here)",
        "(backward) up 7",
        "*** '7' is no node that sends a gradient: a number from 0 to 1",
        "  What to do: list shows them.",
    ]


def test_an_empty_line_repeats_a_move_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    x, loss = exp_program()
    shown = lines_of(capsys, loss, "Exp*", "set 0 2 * g0", "", "up", "")
    assert shown[-3:] == ["#1 MulBackward0", "(backward) ", "#0 SumBackward0"]
    assert x.grad is not None
    assert x.grad.tolist() == [4, 4]


def test_saved_tensors_of_this_node_and_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    x = torch.ones(2, requires_grad=True)
    loss = x.exp().sin().sum()
    assert lines_of(capsys, loss, "Sin*", "saved", "down", "saved", "up", "up", "saved") == [
        "(backward) saved",
        "  self  f32[2]  8 B",
        "(backward) down",
        "#2 ExpBackward0",
        "(backward) saved",
        "  result  f32[2]  8 B",
        "(backward) up",
        "#1 SinBackward0  (the pass stands here)",
        "(backward) up",
        "#0 SumBackward0",
        "(backward) saved",
        "  it saved no tensor",
    ]


def test_what_cannot_be_reached_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    y = torch.ones(2, requires_grad=True).exp().sin()
    edge = torch.autograd.graph.get_gradient_edge(y)
    # From the edge alone the way goes down only.
    assert lines_of(capsys, y.sum(), "Sin*", "down", "saved", outputs=edge)[2:] == [
        "(backward) saved",
        "  result  f32[2]  8 B",
    ]
    y = torch.ones(2, requires_grad=True).exp().sin()
    edge = torch.autograd.graph.get_gradient_edge(y)
    assert lines_of(capsys, y.sum(), "Exp*", "up", "saved", outputs=edge)[-1] == (
        "*** #0 SinBackward0 cannot be reached from here any more"
    )


def test_no_unpack_hook_runs(capsys: pytest.CaptureFixture[str]) -> None:
    unpacked = []

    def unpack(value: Any) -> Any:
        unpacked.append(1)
        return value[0]

    x = torch.ones(2, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: (tensor,), unpack):
        loss = x.exp().sum()
    commands = ["saved", "p saved", "next", "quit"]
    with pytest.raises(BreakpointQuitError), ia.break_on("Exp*", prompt=commands):
        loss.backward()
    assert len(unpacked) == 1  # ExpBackward0 itself.
    shown = capsys.readouterr().out.splitlines()
    assert shown[3:6] == [
        "  result  packed by a hook, which is not run",
        "(backward) p saved",
        "{}",
    ]


def test_no_checkpoint_is_recomputed(capsys: pytest.CaptureFixture[str]) -> None:
    runs = []

    def inner(x: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return x.exp()

    x = torch.ones(2, requires_grad=True)
    loss = checkpoint(inner, x, use_reentrant=False).sum()
    lines_of(capsys, loss, "Exp*", "saved", "p saved", "where", "list")
    assert len(runs) == 2  # Once forward, once for the pass itself.


def test_the_end_of_the_commands_runs_on_without_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    _, loss = exp_program()
    with ia.break_on("*", prompt=["c", "p 1"]) as block:
        loss.backward()
        exp_program()[1].backward()
    assert block.stop_count == 2
    assert capsys.readouterr().out.splitlines()[-1] == "1"


def test_quit_leaves_the_pass_and_nothing_behind() -> None:
    x, loss = exp_program()
    message = "before node #2 ExpBackward0(.|\n)*Set gradients to None"
    with pytest.raises(BreakpointQuitError, match=message), ia.break_on("Exp*", prompt=["quit"]):
        loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2]
