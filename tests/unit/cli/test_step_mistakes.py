"""What `inspect-autograd step` says of wrong commands, of targets, and of nodes that raise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.stepped_code import code, step

__all__ = ["code", "step"]  # fixtures


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
