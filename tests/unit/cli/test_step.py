"""`inspect-autograd step` with commands that are given beforehand."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest
import torch

from tests.unit.cli.stepped_code import code, step

__all__ = ["code", "step"]  # fixtures


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
