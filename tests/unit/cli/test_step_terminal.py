"""`inspect-autograd step` typed to in a real terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.pseudo_terminal import Terminal

PROMPT = "(step) "

CODE = """\
import time
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
loss = (x.sin() * 3).sum()

class Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, grad):
        print("running", flush=True)
        time.sleep(0.05)
        return grad

def slow():
    h = x
    for _ in range(1000):
        h = Slow.apply(h)
    return h.sum()

class Fails(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        raise ValueError("no\\nreason")

def fails():
    return Fails.apply(x).sum()
"""


@pytest.fixture
def open_terminal(write: Callable[[str, str], Path]) -> Iterator[Callable[..., Terminal]]:
    path = write("typed.py", CODE)
    opened: list[Terminal] = []

    def start(name: str, **environment: str) -> Terminal:
        arguments = ["-m", "inspect_autograd", "step", f"{path}:{name}"]
        sized = {"COLUMNS": "200", "NO_COLOR": "", **environment}
        opened.append(Terminal(arguments, PROMPT, sized))
        return opened[-1]

    yield start
    for terminal in opened:
        with terminal:
            pass


def test_a_session(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("loss")
    shown = terminal.read_until(PROMPT)
    assert shown.splitlines()[0].endswith("4 nodes, 1 leaf; help shows the commands")
    assert terminal.type("next").startswith("step 0: #0 SumBackward0\n")
    # Enter does it once more.
    assert terminal.type("").startswith("step 1: #1 MulBackward0\n")
    assert terminal.type("print r0") == "tensor([3., 3.])\n"
    # But not what only shows something.
    assert terminal.type("") == ""
    assert terminal.type("foo").startswith("*** 'foo' is not a command; expected one of next, ")
    assert terminal.type("peek *").startswith("*** '*' matches 4 nodes: #0 SumBackward0, ")
    assert terminal.type("run").splitlines()[-4:] == [
        "after 4 of 4 steps",
        "  queue    empty: the pass is over",
        "  held     0 gradients, 0 B",
        "  leaves   1 of 1, the last one #3 AccumulateGrad x",
    ]
    # 3 cos 1 = 1.62, 3 cos 2 = -1.25
    assert terminal.type("print grads['x']") == "tensor([ 1.6209, -1.2484])\n"
    assert terminal.type("back").startswith("step 2: #2 SinBackward0\n")
    assert terminal.send("quit\n") == "quit\n"
    assert terminal.close() == 0


def test_ctrl_d_leaves(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("loss")
    terminal.read_until(PROMPT)
    assert terminal.send("\x04").strip() == ""
    assert terminal.close() == 0


def test_ctrl_c_at_the_prompt_begins_a_new_line(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("loss")
    terminal.read_until(PROMPT)
    terminal.interrupt()
    terminal.read_until(PROMPT)
    assert terminal.type("print node.id") == "0\n"
    assert terminal.send("quit\n") == "quit\n"
    assert terminal.close() == 0


def test_ctrl_c_stops_a_run_between_two_nodes(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("slow")
    terminal.read_until(PROMPT)
    terminal.write("run\n")
    terminal.read_until("running\n")
    terminal.interrupt()
    shown = terminal.read_until(PROMPT)
    taken = int(shown.split("interrupted after ")[1].split()[0])
    assert 0 < taken < 1000
    assert f"after {taken} of 1002 steps" in shown
    # It goes on where it stood.
    assert f"\nstep {taken}: " in terminal.type("next")


def test_ctrl_c_ends_an_expression(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("loss")
    terminal.read_until(PROMPT)
    terminal.write("print print('busy', flush=True), sum(0 for _ in iter(int, 1))\n")
    terminal.read_until("busy\n")
    terminal.interrupt()
    assert terminal.read_until(PROMPT).endswith(f"*** interrupted\n{PROMPT}")
    assert terminal.type("print node.id") == "0\n"


def test_an_error_of_a_node_is_one_line(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("fails")
    terminal.read_until(PROMPT)
    assert terminal.type("run") == ("*** #1 FailsBackward raised ValueError in step 1: no\n")
    assert terminal.type("print node.name") == "SumBackward0\n"


def test_colours(open_terminal: Callable[..., Terminal]) -> None:
    bold = "\x1b[1m"
    coloured = open_terminal("loss", TERM="xterm").read_until(PROMPT)
    assert bold in coloured
    plain = open_terminal("loss", TERM="xterm", NO_COLOR="1").read_until(PROMPT)
    assert "\x1b[" not in plain


def test_nothing_is_wrapped(open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("slow", COLUMNS="30")
    terminal.read_until(PROMPT)
    shown = terminal.type("next 3")
    assert max(map(len, shown.splitlines())) <= 30
    assert "  received … SlowBackward\n" in shown
