"""Who is asked: a real terminal, a notebook's field, or nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.pseudo_terminal import Terminal

PROMPT = "(backward) "

PROGRAM = """\
import torch
import inspect_autograd as ia

x = torch.tensor([0.0, 4.0], requires_grad=True)
with ia.record() as recording:
    loss = (3 * x.sqrt()).sum()
with ia.break_on("Sqrt*"):
    loss.backward()
print("gradient", x.grad.tolist())
"""


@pytest.fixture
def terminal(program: Path) -> Iterator[Terminal]:
    with Terminal([program], PROMPT) as terminal:
        yield terminal


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def test_a_session_in_a_terminal(terminal: Terminal) -> None:
    assert terminal.read_until(PROMPT).splitlines()[:-1] == [
        "stopped before #2 SqrtBackward0 in pass 0: 'Sqrt*'",
        "  received  g0  f32[2] |4.24|",
    ]
    assert terminal.type("where").splitlines() == [
        "#2 SqrtBackward0",
        "  forward   train.py:6 in <module>: loss = (3 * x.sqrt()).sum()",
        "  backward  train.py:8 in <module>: loss.backward()",
    ]
    assert terminal.type("print g0, result") == "(tensor([3., 3.]), tensor([0., 2.]))\n"
    assert terminal.type("set 0 torch.tensor([0., 8.])") == "  received  g0  f32[2] |8|\n"
    # 8 / (2 sqrt(4)) = 2, and 0 times Inf is NaN.
    assert terminal.send("continue\n").splitlines()[-1] == "gradient [nan, 2.0]"
    assert terminal.close() == 0


def test_the_end_of_the_input_runs_on(terminal: Terminal) -> None:
    terminal.read_until(PROMPT)
    assert terminal.send("\x04").splitlines()[-1] == "gradient [inf, 0.75]"
    assert terminal.close() == 0


def test_an_interrupt_at_the_prompt_ends_the_program(terminal: Terminal) -> None:
    terminal.read_until(PROMPT)
    terminal.interrupt()
    shown = terminal.read_until(None)
    assert shown.splitlines()[-1] == "KeyboardInterrupt"
    assert terminal.close() != 0


def test_quit_in_a_terminal(terminal: Terminal) -> None:
    terminal.read_until(PROMPT)
    shown = terminal.send("quit\n")
    assert "BreakpointQuitError: the backward pass was left at a breakpoint" in shown
    assert terminal.close() == 1


def run(program: str, text: str | None = None) -> tuple[str, str]:
    """Standard output and error of a program without a terminal."""
    finished = subprocess.run(
        [sys.executable, "-c", program],
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return finished.stdout, finished.stderr


def test_without_a_terminal_stops_are_reported(program: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(program)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert finished.stdout == "gradient [inf, 0.75]\n"
    assert finished.stderr.splitlines() == [
        "stopped before #2 SqrtBackward0 in pass 0: 'Sqrt*'",
        "  received  g0  f32[2] |4.24|",
        "  forward   train.py:6 in <module>: loss = (3 * x.sqrt()).sum()",
        "  backward  train.py:8 in <module>: loss.backward()",
    ]


MANY = """\
import torch
import inspect_autograd as ia
x = torch.ones(2, requires_grad=True)
with ia.break_on("Exp*"):
    for _ in range(13):
        x.exp().sum().backward()
"""


def test_the_number_of_reports_is_bounded() -> None:
    _, shown = run(MANY)
    assert len(re.findall("^stopped before #1 ExpBackward0", shown, re.MULTILINE)) == 10
    assert shown.splitlines()[-1] == "break_on: 3 more stops are not shown"


def test_a_program_without_standard_streams() -> None:
    close = "import sys; out = sys.stdout; sys.stdin = sys.stderr = None\n"
    shown, _ = run(close + MANY + "print(x.grad.tolist()[0] > 35, file=out)")  # 13 e
    assert shown == "True\n"


def test_a_terminal_without_unicode() -> None:
    latin = "import sys; sys.stdout.reconfigure(encoding='ascii')\n"
    many = MANY.replace('"Exp*"', '"Exp*", prompt=["print chr(8230)", "c"]')
    assert "\\u2026\n" in run(latin + many)[0]


NOTEBOOK = """\
import sys, types
# What an IPython kernel has: `get_ipython().kernel`, and an `input` that asks the browser.
kernel = types.SimpleNamespace(kernel=object())
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: kernel)
"""


def test_in_a_notebook_input_asks() -> None:
    shown, _ = run(NOTEBOOK + MANY, "print g0.tolist()\n")
    assert "(backward) [1.0, 1.0]\n" in shown
    # The end of the input then runs on without a further stop.
    assert shown.count("stopped before") == 1


def test_in_a_notebook_that_is_run_as_a_whole_nobody_answers() -> None:
    refuse = """\
import builtins
def refuse(prompt):
    raise NotImplementedError("raw_input was called, but this frontend does not support it")
builtins.input = refuse
"""
    shown, reported = run(NOTEBOOK + refuse + MANY)
    assert shown.count("stopped before") == 1  # That was the question.
    assert reported.count("stopped before") == 9
