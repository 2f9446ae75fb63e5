"""`inspect-autograd step` with commands that are given beforehand."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

CODE = """\
import torch
import torch.utils.checkpoint

x = torch.tensor([1.0, 2.0], requires_grad=True)
h = x.sin()
loss = (h * h).sum() + x.sum()
both = h * h

def spoiled():
    h = x.exp()
    loss = (h * 3).sum()
    with torch.no_grad():
        h.mul_(2)
    return loss

class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        raise ValueError("no\\nreason")

def fails():
    return Fails.apply(x).sum()

def hooked():
    w = torch.ones(2, requires_grad=True)
    w.register_hook(print)
    return w.sum()

def of_complex():
    z = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    return (z * z).sum()

def strided():
    parts = [torch.ones(2), torch.ones(3)]
    return torch.nested.nested_tensor(parts, requires_grad=True) * 2

def jagged():
    parts = [torch.ones(2), torch.ones(3)]
    nested = torch.nested.nested_tensor(parts, requires_grad=True, layout=torch.jagged)
    return nested * 2

def checkpointed():
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    start = torch.ones(1, 2, requires_grad=True)
    return torch.utils.checkpoint.checkpoint(model, start, use_reentrant=True).sum(), model

def no_graph():
    return torch.ones(2).sum()

def chain():
    h = x
    for _ in range(100_000):
        h = h + 1
    return h.sum()
"""
# Ids of `loss`: 0 add, 1 sum of the square, 2 sum of x, 3 mul, 4 x, 5 sin.


@pytest.fixture
def code(write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    return str(write("stepped.py", CODE))


@pytest.fixture
def step(cli: Any, code: str) -> Callable[..., str]:
    """What commands print on `loss`, each without the line that repeats it."""

    def run(commands: str, *options: str, name: str = "loss") -> str:
        ran = cli("step", f"{code}:{name}", "--commands", commands, *options)
        assert (ran.code, ran.err) == (0, "")
        printed: str = ran.out
        return printed.rpartition("(step) ")[2].partition("\n")[2]

    return run


def test_a_whole_session(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:loss", "--commands", "next 2; until Sin*; quit; next")
    assert (ran.code, ran.err) == (0, "")
    assert (
        ran.out
        == f"""\
{code}:loss: 6 nodes, 1 leaf; help shows the commands
> #0 AddBackward0          ready, runs next
    #1 SumBackward0        not reached
      #3 MulBackward0      not reached
    #2 SumBackward0        not reached
      #4 AccumulateGrad x  not reached
after 0 of 6 steps
  queue    #0 AddBackward0
  held     1 gradient, 4 B
  leaves   0 of 1
(step) next 2
step 1: #2 SumBackward0
  made at {code}:6 in <module>
  received f32[] |1| = 1 from #0 AddBackward0
  returned f32[2] |1.41| = 1 1 to #4 AccumulateGrad x
  #0 AddBackward0          done in step 0
>   #2 SumBackward0        done in step 1
      #4 AccumulateGrad x  waiting, 1 of 2 arrived
after 2 of 6 steps
  queue    #1 SumBackward0
  waits    #4 AccumulateGrad x for 1 of 2 gradients, from #5 SinBackward0
  held     2 gradients, 4 B
  leaves   0 of 1
(step) until Sin*
step 4: #5 SinBackward0
  made at {code}:5 in <module>
  received f32[2] |2.48| = 1.683 1.819, the sum of
    f32[2] |1.24| = 0.8415 0.9093 from #3 MulBackward0
    f32[2] |1.24| = 0.8415 0.9093 from #3 MulBackward0
  returned f32[2] |1.18| = 0.9093 -0.7568 to #4 AccumulateGrad x
  ready now: #4 AccumulateGrad x
  #1 SumBackward0            done in step 2
    #3 MulBackward0          done in step 3
>     #5 SinBackward0        done in step 4
        #4 AccumulateGrad x  ready, runs next
after 5 of 6 steps
  queue    #4 AccumulateGrad x
  held     1 gradient, 8 B
  leaves   0 of 1
(step) quit
"""
    )


def test_the_gradient_is_that_of_backward(step: Any) -> None:
    # d/dx (sin² x + x) = sin 2x + 1
    expected = torch.sin(2 * torch.tensor([1.0, 2.0])) + 1
    shown = step("run; print grads['x'].tolist()")
    assert torch.allclose(torch.tensor(eval(shown)), expected)
    assert step("run; grads") == f"#4 AccumulateGrad x  f32[2] |{expected.norm():.3g}|\n"
    assert step("next; grads") == "#4 AccumulateGrad x  none yet\n"
    assert step("run; next") == (
        "the pass is over after 6 steps; grads shows the gradients, back goes back\n"
    )


def test_back(step: Any) -> None:
    shown = step("run; back 4")
    assert shown.startswith("step 1: #2 SumBackward0\n")
    assert "after 2 of 6 steps" in shown
    assert step("next; back 7").startswith("> #0 AddBackward0          ready, runs next\n")


def test_looking_at_the_pass(step: Any) -> None:
    assert step("next 2; peek x") == (
        "#4 AccumulateGrad x: waiting\n"
        "  received f32[2] |1.41| = 1 1 from #2 SumBackward0\n"
        "  waits for 1 gradient from #5 SinBackward0\n"
    )
    assert step("next 2; waiting") == step("next 2; peek #4")
    assert step("waiting") == "no node waits for a gradient\n"
    assert step("next; queue") == (
        "#2 SumBackward0: ready\n"
        "  received f32[] |1| = 1 from #0 AddBackward0\n"
        "#1 SumBackward0: ready\n"
        "  received f32[] |1| = 1 from #0 AddBackward0\n"
    )
    assert step("run; queue") == "the queue is empty: the pass is over\n"
    assert step("next 2; order 2") == (
        "   2  #1 SumBackward0\n   3  #3 MulBackward0\n      … and 2 more\n"
    )
    assert step("run; order") == "nothing is left to run: the pass is over\n"


def test_looking_at_a_node(step: Any, code: str) -> None:
    shown = step("node Sin*")
    assert shown.startswith("#5 SinBackward0\n\nkind      an operation of PyTorch\n")
    assert "stepped.py:5 in <module>" in shown
    assert "self  f32[2]  8 B  memory of x" in shown
    assert step("node 3; saved") == "  other  f32[2]  8 B\n  self  f32[2]  8 B\n"
    assert step("next; where") == (
        "#0 AddBackward0\n  stepped.py:6 in <module>: loss = (h * h).sum() + x.sum()\n"
    )
    assert step("node x; where") == (
        "#4 AccumulateGrad x\n  a leaf: no line made its AccumulateGrad\n"
    )
    assert step("node Sin*; source").splitlines()[3:6] == [
        "     4  x = torch.tensor([1.0, 2.0], requires_grad=True)",
        ">    5  h = x.sin()",
        "     6  loss = (h * h).sum() + x.sum()",
    ]


def test_going_up_and_down(step: Any) -> None:
    assert (
        step("down 1; graph 1")
        == step("node 2; graph 1")
        == (
            "  #0 AddBackward0          ready, runs next\n"
            ">   #2 SumBackward0        not reached\n"
            "      #4 AccumulateGrad x  not reached\n"
        )
    )
    assert step("down 1; up; print node.id") == "0\n"
    # A step puts the eye back on what ran.
    assert step("down 1; next 3; print node.id") == "1\n"


def test_print(step: Any) -> None:
    assert step("next; print received, r1, len(parts)") == ("((tensor(1.),), tensor(1.), 1)\n")
    assert step("node Sin*; print saved['self'] is stepper.inputs[0]") == "True\n"
    assert step("node Sin*; print self.tolist()") == "[1.0, 2.0]\n"
    assert step("print 'a;b\\n'").rstrip("\n") == "a;b"
    assert step("print torch.is_grad_enabled()") == "False\n"


def test_inputs(step: Any) -> None:
    assert step("order", "--inputs", "Sin*") == (
        "   0  #0 AddBackward0\n"
        "   1  #1 SumBackward0\n"
        "   2  #3 MulBackward0\n"
        "not run, only taken when its gradient is there: #5 SinBackward0\n"
        "pruned: 2 of 6 nodes\n"
    )
    assert "after 4 of 4 steps" in step("run", "--inputs", "Sin*")


def test_inputs_are_taken_where_their_gradient_arrives(step: Any) -> None:
    shown = step("run; print grads['#5 SinBackward0'].tolist()", "--inputs", "Sin*")
    expected = 2 * torch.sin(torch.tensor([1.0, 2.0]))  # d/dh sum(h²) = 2h
    assert torch.allclose(torch.tensor(eval(shown)), expected)
    assert step("peek x", "--inputs", "Sin*").startswith("#4 AccumulateGrad x: pruned")
    assert "after 6 of 6 steps" in step("run", "--inputs", "x")


def test_what_is_not_one_number_needs_a_gradient(cli: Any, code: str, step: Any) -> None:
    ran = cli("step", f"{code}:both", "--commands", "run")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        f"error: {code}:both has 2 numbers (shape [2]); a backward pass starts from one real "
    )
    assert "--gradient ones" in ran.err
    shown = step("next; print received[0].tolist()", "--gradient", "ones", name="both")
    assert shown == "[1.0, 1.0]\n"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("of_complex", "is of type torch.complex64"),
        ("strided", "is a nested tensor"),
        ("jagged", "is a nested tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_other_outputs_that_no_pass_starts_from(cli: Any, code: str, name: str, found: str) -> None:
    ran = cli("step", f"{code}:{name}", "--commands", "run")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {code}:{name} {found}; a backward pass starts from one real")
    if name == "of_complex":
        ran = cli("step", f"{code}:{name}", "--gradient", "ones", "--commands", "run; grads")
        # |2 z| at z = 1, twice
        assert ran.out.endswith("c64[2] |2.83|\n")


def test_leaves_inside_a_checkpoint_have_their_names(step: Any) -> None:
    shown = step("run; grads", name="checkpointed")
    # The weight receives the input, 1, for each of its four numbers; so does the bias, once.
    assert [line.split()[0] for line in shown.splitlines()] == ["#2", "bias", "weight"]
    assert shown.splitlines()[2].split()[1:] == ["f32[2,", "2]", "|2|"]


def test_hooks_are_noted(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:hooked", "--commands", "run")
    assert ran.out.splitlines()[1].endswith("has hooks, which backward() runs and step() does not")


def test_a_hundred_thousand_nodes(step: Any) -> None:
    shown = step("until #99999; run; grads", name="chain")
    assert shown == "#100001 AccumulateGrad x  f32[2] |1.41|\n"


def test_an_example_of_the_demo(cli: Any) -> None:
    target = "inspect_autograd.cli.examples:transformer_loss"
    ran = cli("step", target, "--commands", "next 40; where")
    assert ran.code == 0
    assert ran.out.endswith("  module TextClassifier.encoder.layers.5.self_attn\n")


# -- data ------------------------------------------------------------------------------------------


def test_data(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:loss", "--json", "--commands", "next 2; peek 0")
    assert (ran.code, ran.err) == (0, "")
    data = ran.json
    first, second = data["commands"]
    assert (first["command"], first["step"]["node"], first["step"]["index"]) == ("next 2", 2, 1)
    assert first["step"]["returned"][0]["gradient"]["values"] == [1.0, 1.0]
    assert second["output"][0] == "#0 AddBackward0: executed in step 0"
    assert data["state"]["queue"] == [1]
    assert data["state"]["waiting"] == [
        {"node": 4, "arrived": 1, "missing": 1, "missing_from": [5]}
    ]
    assert data["gradients"] == [{"name": "#4 AccumulateGrad x", "gradient": None}]


# -- where commands come from ----------------------------------------------------------------------


def test_commands_from_a_pipe(cli: Any, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("next\n# no more\nprint node.id; quit\nfoo\n"))
    ran = cli("step", f"{code}:loss")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith("(step) print node.id\n0\n(step) quit\n")


def test_a_wrong_command_in_a_pipe(cli: Any, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("next\nfoo\nnext\n"))
    ran = cli("step", f"{code}:loss")
    assert ran.code == 2
    assert ran.err.startswith("error: 'foo': 'foo' is not a command")
    assert ran.out.endswith("(step) foo\n")


def test_without_stdin(cli: Any, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli("step", f"{code}:loss").code == 0


def test_a_closed_pipe(code: str) -> None:
    command = f'"{sys.executable}" -m inspect_autograd step "{code}:loss" --commands "run;help"'
    shell = f"({command}; echo $? >&2) | true"
    done = subprocess.run(
        shell, shell=True, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == "141\n"


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (
            "next; foo",
            "--commands: 'foo': 'foo' is not a command; expected one of next, ",
        ),
        ("next 0", "'next 0': N is '0'; expected a whole number above 0"),
        ("back x", "'back x': N is 'x'; expected a whole number above 0"),
        ("until", "'until': it names no node"),
        ("until Foo*", "'until Foo*': 'Foo*' matches none of the 6 nodes"),
        ("until #6", "'until #6': there is no node #6; ids go from #0 to #5"),
        ("run; until Sin*", "no node that matches 'Sin*' is still to run: #5 SinBackward0 is done"),
        ("peek Sum*", "'Sum*' matches 2 nodes: #1 SumBackward0, #2 SumBackward0"),
        ("up", "'up': there is no node that sends a gradient here"),
        ("down", "'down': several are there; expected a node that a gradient goes to"),
        ("print", "'print': there is no expression"),
        ("print received", "'print received': NameError: name 'received' is not defined"),
        ("print 1 +", "SyntaxError"),
        ("help foo", "'help foo': 'foo' is not a command"),
    ],
)
def test_a_wrong_command(cli: Any, code: str, commands: str, message: str) -> None:
    ran = cli("step", f"{code}:loss", "--commands", commands)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert cli("step", f"{code}:loss", "--json", "--commands", commands).error["exit_code"] == 2


def test_a_wrong_script_runs_nothing(cli: Any, code: str) -> None:
    assert cli("step", f"{code}:loss", "--commands", "next; foo").out == ""


def test_pruned_nodes_are_not_waited_for(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:loss", "--inputs", "Sin*", "--commands", "until x")
    assert ran.code == 2
    assert "is still to run: #4 AccumulateGrad x is pruned\n" in ran.err


def test_inputs_that_are_not_there(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:loss", "--inputs", "y", "--commands", "run")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: --inputs 'y' matches none of the 6 nodes")


def test_a_target_without_a_graph(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:no_graph", "--commands", "run")
    assert (ran.code, ran.out) == (2, "")
    assert f"{code}:no_graph" in ran.err
    ran = cli("step", f"{code}:nope", "--commands", "run")
    assert ran.code == 2
    assert "there is no 'nope' in" in ran.err
    assert cli("step", code, "--commands", "run").code == 2


def test_a_saved_graph_cannot_be_run(cli: Any, graph_file: Path, trace_file: Path) -> None:
    for path, kind in ((graph_file, "graph"), (trace_file, "trace")):
        ran = cli("step", path, "--commands", "run")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == (
            f"error: {path} is a {kind} of plain records; expected Python code, as its nodes are "
            "run one at a time\n"
            "  What to do: Name the code that makes the loss: train.py:make_loss.\n"
        )


def test_a_node_that_raises(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:spoiled", "--commands", "run; queue")
    assert ran.code == 1
    assert ran.out.endswith("(step) run\n")
    assert ran.err.startswith("RuntimeError: one of the variables needed for gradient")
    assert "error: #2 ExpBackward0 raised RuntimeError in step 2\n" in ran.err
    assert "Traceback" not in ran.err
    error = cli("step", f"{code}:spoiled", "--json", "--commands", "run").error
    assert (error["type"], error["exit_code"]) == ("RuntimeError", 1)


def test_a_function_that_raises_shows_the_users_own_lines(cli: Any, code: str) -> None:
    ran = cli("step", f"{code}:fails", "--commands", "run")
    assert ran.code == 1
    assert f'File "{code}", line 23, in backward' in ran.err
    assert "run_node" not in ran.err
