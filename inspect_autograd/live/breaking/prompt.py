"""The prompt: what the user types while a pass stands still."""

from __future__ import annotations

import cmd
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, Literal, TextIO

import torch

from ...errors import ArgumentError, InspectAutogradError
from ...graph.records import Node
from .commands import COMMANDS, help_text, parse_command, parse_number
from .namespace import evaluate, read_saved
from .pause import measure
from .stop import Stop
from .texts import around_lines, gradient_lines, node_text, saved_lines, where_lines

__all__ = ["PROMPT", "Action", "Prompt", "headline", "stop_lines", "write_text"]

PROMPT = "(backward) "
_REPEATED = ("next", "up", "down")

Action = Literal["next", "continue", "leave", "quit"]
"""What comes then: `leave` runs to the end without a further stop."""


class Prompt(cmd.Cmd):
    """Carries out commands at one stop.

    Args:
        stop: Where the pass stands.
        output: Where to write.

    Attributes:
        action: What comes after the last command.
    """

    prompt = PROMPT

    def __init__(self, stop: Stop, output: TextIO) -> None:
        super().__init__(stdout=output)
        self._stop = stop
        self._at = stop.pause.node
        self._last = ""
        self.action: Action = "leave"

    def ask(self, read: Callable[[], str | None] | None) -> Action:
        """Read commands until one lets the pass go on.

        Args:
            read: Gives the next command, None if there is none; None reads from the terminal.
        """
        self._write(stop_lines(self._stop))
        if read is None:
            self.cmdloop()
            return self.action
        while (line := read()) is not None:
            self._write([f"{self.prompt}{line}"])
            if self.onecmd(line):
                return self.action
        return "leave"

    # -- what cmd.Cmd asks for -----------------------------------------------------------------

    def onecmd(self, line: str) -> bool:
        """Carry out one line; true if the pass goes on."""
        if line == "EOF":
            self.stdout.write("\n")
            return self._go("leave")
        line = line.strip() or self._last
        if not line:
            return False
        try:
            name, rest = parse_command(line)
            self._last = line if name in _REPEATED else ""
            return bool(getattr(self, f"do_{name}")(rest))
        except InspectAutogradError as error:
            self._write([f"*** {error}"])
        except Exception as error:  # The pass must not end for the sake of what is shown of it.
            self._write([f"*** {type(error).__name__}: {error}"])
        return False

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Names of commands for the Tab key."""
        del ignored
        return [command.name for command in COMMANDS if command.name.startswith(text)]

    # -- the commands --------------------------------------------------------------------------

    def do_next(self, rest: str) -> bool:
        """Run to the next node."""
        del rest
        return self._go("next")

    def do_continue(self, rest: str) -> bool:
        """Run to the next breakpoint."""
        del rest
        return self._go("continue")

    def do_quit(self, rest: str) -> bool:
        """Leave the pass."""
        del rest
        return self._go("quit")

    def do_where(self, rest: str) -> None:
        """Show lines and module."""
        del rest
        made, reason = self._stop.describe(self._at)
        self._write(where_lines(self._at, made, reason, self._stop.place))

    def do_list(self, rest: str) -> None:
        """Show the nodes around."""
        del rest
        self._write(around_lines(self._stop.watched.graph, self._at))

    def do_up(self, rest: str) -> None:
        """Go nearer the loss."""
        senders = self._stop.watched.graph.previous_nodes(self._at)
        self._move(senders[parse_number(rest, len(senders), "node that sends a gradient")])

    def do_down(self, rest: str) -> None:
        """Go nearer the leaves."""
        targets = self._stop.watched.graph.next_nodes(self._at)
        self._move(targets[parse_number(rest, len(targets), "node that a gradient goes to")])

    def do_print(self, rest: str) -> None:
        """Show the value of an expression."""
        with torch.no_grad():
            value = evaluate(rest, self._stop)
            try:
                text = value if isinstance(value, str) else repr(value)
            except Exception as error:
                text = f"*** {type(error).__name__}: {error}"
        self._write([text])

    def do_saved(self, rest: str) -> None:
        """Show what the node saved."""
        del rest
        live = self._stop.find_live(self._at)
        if live is None:
            raise ArgumentError(f"{node_text(self._at)} cannot be reached from here any more")
        self._write(saved_lines([record for record, _ in read_saved(live)]))

    def do_set(self, rest: str) -> None:
        """Replace a gradient."""
        word, _, expression = rest.partition(" ")
        letter = "r" if self._stop.pause.when == "after" else "g"
        slot = word.removeprefix(letter)
        if not slot.isdecimal():
            raise ArgumentError(
                f"SLOT is {word!r}; expected a number or {letter}0",
                remedy=f"Type set 0 2 * {letter}0.",
            )
        self._stop.replace(int(slot), evaluate(expression, self._stop))
        self._write(_gradients(self._stop, with_received=letter == "g"))

    def do_help(self, arg: str) -> None:
        """Show the commands."""
        self._write(help_text(arg))

    # -- inner ---------------------------------------------------------------------------------

    def _go(self, action: Action) -> bool:
        self.action = action
        return True

    def _move(self, node: Node) -> None:
        self._at = node
        here = "" if node.id != self._stop.pause.node.id else "  (the pass stands here)"
        self._write([f"{node_text(node)}{here}"])

    def _write(self, lines: Iterable[str]) -> None:
        write_text(self.stdout, "".join(f"{line}\n" for line in lines))


def write_text(output: IO[str], text: str) -> None:
    """Write a text also where some of its characters cannot be written."""
    encoding = getattr(output, "encoding", None) or "utf-8"
    output.write(text.encode(encoding, "backslashreplace").decode(encoding))


def headline(stop: Stop) -> str:
    """`stopped before #3 SoftmaxBackward0 in pass 0: 'Softmax*'`."""
    pause = stop.pause
    return (
        f"stopped {pause.when} {node_text(pause.node)} in pass {pause.pass_number}: {stop.reason}"
    )


def stop_lines(stop: Stop) -> Iterator[str]:
    """What is shown first at every stop."""
    yield headline(stop)
    yield from _gradients(stop, with_received=True)


def _gradients(stop: Stop, *, with_received: bool) -> Iterator[str]:
    pause = stop.pause
    if pause.when == "before":
        yield from gradient_lines("received", "g", pause.stats)
        return
    if with_received:
        yield from gradient_lines("received", "g", measure(pause.received))
    yield from gradient_lines("returned", "r", pause.stats)
