"""`inspect-autograd step`: run a backward pass one node at a time, in a terminal."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..errors import InspectAutogradError
from .result import Result, Say, UsageError, UserCodeError

if TYPE_CHECKING:
    from ..events.engine_state import EngineState, StepRecord
    from .step_session import Session, Shown
    from .step_terminal import Screen

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Run the backward pass of what the code of TARGET makes, one node at a time: the step just run, the
nodes around it, the queue, the nodes that wait, and all values.

The nodes are the real ones, and the order is that of PyTorch's engine. Hooks of the program do not
run, no .grad is touched, and nothing is freed. Type help at the prompt for the commands; Enter does
the last step once more, Ctrl-C stops a run, Ctrl-D leaves.
"""

EPILOG = """\
examples:
  inspect-autograd step train.py:make_loss
  inspect-autograd step train.py:make_loss --inputs "encoder.*"
  inspect-autograd step train.py:outputs --gradient ones
  inspect-autograd step train.py:loss --commands "next 3; until Mul*; queue; grads"
  inspect-autograd step train.py:loss --commands steps.txt
  echo "run; grads" | inspect-autograd step train.py:loss
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a tensor or function in Python code (train.py:loss, package.module:make_loss)",
    )
    parser.add_argument(
        "--commands",
        metavar="COMMANDS|FILE",
        help="carry out these, separated by semicolons or one a line, and leave; by default they "
        "are typed, or read from stdin where that is no terminal",
    )
    parser.add_argument(
        "--inputs",
        metavar="GLOB",
        help="the gradients that are wanted, by names of parameters or nodes: only what leads to "
        "them runs, as in torch.autograd.grad (all leaves by default)",
    )
    parser.add_argument(
        "--gradient",
        choices=["ones"],
        help="what the pass starts with where the target is more than one number: ones gives the "
        "gradient of the sum",
    )


def run(options: argparse.Namespace, say: Say) -> Result:
    """Step through a pass as the commands say."""
    from .step_commands import read_script, split_lines
    from .step_session import Session
    from .step_start import start
    from .step_terminal import Screen, interrupts_held, is_terminal, read_terminal

    script = None if options.commands is None else read_script(options.commands)
    is_typed = script is None and is_terminal(sys.stdin)
    if is_typed and options.json:
        raise UsageError(
            "--json is there without --commands, and stdin is a terminal",
            remedy='Add the commands: --commands "run; grads".',
        )
    started = start(options.target, options.inputs, ones=options.gradient == "ones")
    screen = Screen(say, is_plain=options.json)
    session = Session(started, interrupts_held if is_typed else lambda: nullcontext(lambda: False))
    opened = session.open()
    screen.show(opened.lines, is_fitted=True)
    if is_typed:
        _converse(session, read_terminal(), screen)
        return Result()
    lines = split_lines(sys.stdin or ()) if script is None else iter(script)
    done = list(_carry_out(session, lines, screen, say))
    return Result(
        {
            "target": options.target,
            "commands": done,
            "state": _plain(session.state),
            "gradients": [{"name": name, "gradient": stats} for name, stats in session.gradients()],
        }
    )


def _converse(session: Session, lines: Iterable[str], screen: Screen) -> None:
    from ..render.step_screen import Line
    from .step_commands import REPEATED, parse

    last = ""
    for typed in lines:
        line = typed.strip() or last
        if not line:
            continue
        last = ""
        try:
            shown = session.do(line)
            screen.show(shown.lines, is_fitted=shown.is_screen)
            if shown.is_end:
                return
            last = line if parse(line).name in REPEATED else ""
        except InspectAutogradError as error:
            screen.show(_mistake(error), is_fitted=False)
        except KeyboardInterrupt:
            screen.show([Line("*** interrupted", "bad")], is_fitted=False)


def _mistake(error: InspectAutogradError) -> Iterator[Any]:
    from ..render.step_screen import Line

    text, remedy = error.message, error.remedy
    if isinstance(error, UserCodeError):
        # What it said in full is in the exception of loss.backward().
        text, remedy = f"{error.message}: {error.detail.strip()}", ""
    yield Line(f"*** {text.partition(chr(10))[0]}", "bad")
    if remedy:
        yield Line(f"  What to do: {remedy}", "dim")


def _carry_out(
    session: Session, commands: Iterable[str], screen: Screen, say: Say
) -> Iterator[dict[str, Any]]:
    """Carry out the commands of a script; gives what each of them showed, as data.

    Raises:
        UsageError: One of them is wrong, or cannot be carried out.
        UserCodeError: A node raised an error.
    """
    from .step_terminal import PROMPT

    for command in commands:
        say(f"{PROMPT}{command}")
        try:
            shown: Shown = session.do(command)
        except UserCodeError:
            raise
        except InspectAutogradError as error:
            raise UsageError(f"{command!r}: {error.message}", remedy=error.remedy) from error
        screen.show(shown.lines, is_fitted=shown.is_screen)
        data: dict[str, Any] = {
            "command": command,
            "output": [line.text for line in shown.lines],
        }
        yield data if shown.step is None else data | {"step": _plain(shown.step)}
        if shown.is_end:
            return


def _plain(record: StepRecord | EngineState) -> dict[str, Any]:
    """A record as data, without the graph that its ids refer to."""
    return {
        field.name: getattr(record, field.name) for field in fields(record) if field.name != "graph"
    }
