"""The commands of a prompt: their names, and how a line is taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

from ...errors import ArgumentError

__all__ = ["COMMANDS", "Command", "CommandLine", "help_text", "parse_command", "parse_number"]


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Attributes:
        name: Its name.
        short: A shorter name.
        usage: What follows the name; empty if nothing does.
        text: What it does.
    """

    name: str
    short: str
    usage: str
    text: str


class CommandLine(NamedTuple):
    """A line, taken apart: the full name of the command, and what follows it."""

    name: str
    rest: str


COMMANDS = (
    Command("next", "n", "", "run to the next node of this pass and stop there"),
    Command("continue", "c", "", "run to the next breakpoint"),
    Command("where", "w", "", "the lines that made the node and that called backward, the module"),
    Command("list", "l", "", "the nodes around it"),
    Command("up", "u", "[N]", "look at the node that sends the gradient, nearer the loss"),
    Command("down", "d", "[N]", "look at the node that the gradient goes to"),
    Command("print", "p", "EXPR", "an expression of received, returned, g0, r0, saved, torch"),
    Command("saved", "s", "", "the tensors that the node saved"),
    Command("set", "", "SLOT EXPR", "replace a gradient: received before the node, else returned"),
    Command("help", "h", "[COMMAND]", "this list"),
    Command("quit", "q", "", "leave the backward pass by an error"),
)


def parse_command(line: str, commands: Sequence[Command] = COMMANDS) -> CommandLine:
    """Take a line apart.

    Args:
        line: What was typed: the name of a command, its short form, or the beginning of one name.
        commands: Those that there are.

    Raises:
        ArgumentError: There is no such command, or something follows one that takes nothing.
    """
    word, _, rest = line.strip().partition(" ")
    found = [c for c in commands if word and word in (c.name, c.short)]
    found = found or [c for c in commands if word and c.name.startswith(word)]
    if len(found) != 1:
        names = [command.name for command in commands]
        close = [c.name for c in found] or get_close_matches(word, names, n=1)
        expected = " or ".join(close) or f"one of {', '.join(names)}"
        raise ArgumentError(
            f"{word!r} is not a command; expected {expected}",
            remedy="help shows what there is; print EXPR shows a value.",
        )
    (command,) = found
    if rest.strip() and not command.usage:
        raise ArgumentError(
            f"{command.name} is followed by {rest.strip()!r}; expected nothing after it",
            remedy=f"Type {command.name} alone.",
        )
    return CommandLine(command.name, rest.strip())


def parse_number(rest: str, count: int, what: str) -> int:
    """An index that was typed, or 0 where there is nothing to choose.

    Args:
        rest: What follows the command.
        count: How many there are.
        what: What is counted, such as `node that sends a gradient`.

    Raises:
        ArgumentError: There is none, it is no such index, or it is missing and there are several.
    """
    if count == 0:
        raise ArgumentError(f"there is no {what} here")
    if not rest and count == 1:
        return 0
    if not rest.isdecimal() or int(rest) >= count:
        found = f"{rest!r} is no" if rest else "several are there; expected a"
        last = f" from 0 to {count - 1}" if count > 1 else " 0"
        raise ArgumentError(f"{found} {what}: a number{last}", remedy="list shows them.")
    return int(rest)


def help_text(rest: str = "", commands: Sequence[Command] = COMMANDS) -> list[str]:
    """A line for each command, or for the one that is named."""
    chosen = commands
    if rest:
        name = parse_command(rest, commands).name
        chosen = [command for command in commands if command.name == name]
    rows = [
        (f"{c.name} {c.usage}".strip() + (f" ({c.short})" if c.short else ""), c.text)
        for c in chosen
    ]
    width = max(len(left) for left, _ in rows)
    return [f"{left:{width}}  {text}" for left, text in rows]
