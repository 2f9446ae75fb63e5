"""The commands of `inspect-autograd step`: their names, and scripts of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import ArgumentError
from ..live.breaking.commands import Command, CommandLine, help_text, parse_command
from .result import UsageError

__all__ = [
    "COMMANDS",
    "REPEATED",
    "command_help",
    "complete_command",
    "parse",
    "read_script",
    "split_lines",
]

COMMANDS = (
    Command("next", "n", "[N]", "run the next node, or the next N"),
    Command("until", "", "GLOB|#ID", "run up to a node, and run that"),
    Command("run", "r", "", "run all that is left"),
    Command("back", "b", "[N]", "take one step back, or N"),
    Command("peek", "", "GLOB|#ID", "what has arrived at a node, and what has not"),
    Command("queue", "", "", "the nodes that are ready, with what they have received"),
    Command("waiting", "", "", "the nodes that have got some of their gradients, but not all"),
    Command("order", "o", "[N]", "the next N nodes, as foretold"),
    Command("grads", "", "", "the gradients of the leaves so far"),
    Command("graph", "g", "[LEVELS]", "the nodes around the one that is looked at"),
    Command("node", "", "[GLOB|#ID]", "all that is known of a node; it is then looked at"),
    Command("up", "u", "[N]", "look at the node that sends the gradient, nearer the loss"),
    Command("down", "d", "[N]", "look at the node that the gradient goes to"),
    Command("saved", "s", "", "the tensors that it saved"),
    Command("where", "w", "", "the line and the module that made it"),
    Command("source", "", "", "the lines around that one"),
    Command("print", "p", "EXPR", "an expression of received, returned, g0, r0, saved, torch, …"),
    Command("help", "h", "[COMMAND]", "this list"),
    Command("quit", "q", "", "leave"),
)
REPEATED = frozenset({"next", "until", "back", "up", "down"})
"""What Enter does once more."""

# As the prompt of break_on calls them.
_OTHER_NAMES = {"continue": "run", "c": "run", "list": "graph", "l": "graph", "exit": "quit"}


def parse(line: str) -> CommandLine:
    """Take a line apart.

    Raises:
        ArgumentError: There is no such command, or something follows one that takes nothing.
    """
    word, separator, rest = line.strip().partition(" ")
    return parse_command(f"{_OTHER_NAMES.get(word, word)}{separator}{rest}", COMMANDS)


def command_help(rest: str) -> list[str]:
    """A line for each command, or for the one that is named."""
    word = rest.strip()
    lines = help_text(_OTHER_NAMES.get(word, word), COMMANDS)
    if word:
        return lines
    return [
        *lines,
        "Enter alone does next, until, back, up and down once more. Ctrl-C stops a run.",
        "continue is run, list is graph, as in the prompt of break_on.",
    ]


def complete_command(text: str) -> list[str]:
    """Names of commands for the Tab key."""
    return [command.name for command in COMMANDS if command.name.startswith(text)]


def split_lines(lines: Iterable[str]) -> Iterator[str]:
    """The commands in some lines: several in one line are separated by semicolons.

    A semicolon in quotes separates nothing; a line that starts with `# ` is a comment.
    """
    for line in lines:
        if re.match(r"\s*#(?:\s|$)", line):
            continue
        parts = re.findall(r"""(?:"[^"\n]*"|'[^'\n]*'|[^;])+""", line)
        yield from (part.strip() for part in parts if part.strip())


def read_script(given: str) -> list[str]:
    """The commands that `--commands` names, all of which are there.

    Args:
        given: Commands, or a file of them.

    Raises:
        UsageError: There is none, or no such command.
        OSError: The file cannot be read.
    """
    is_file = _is_file(given)
    lines = _read(given) if is_file else given.splitlines()
    commands = list(split_lines(lines))
    if not commands:
        raise UsageError(
            f"--commands is {given!r}, which holds no command",
            remedy='Write for example --commands "next 3; queue".',
        )
    for command in commands:
        try:
            parse(command)
        except ArgumentError as error:
            remedy = error.remedy
            if not is_file and re.fullmatch(r"\S*[./\\]\S*", given):
                remedy = f"There is no file {given} either. {remedy}"
            raise UsageError(f"--commands: {command!r}: {error.message}", remedy=remedy) from None
    return commands


def _read(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8").splitlines()
    except ValueError:
        raise UsageError(
            f"--commands is {file}, which is not a text file",
            remedy="Name a file with a command in each line.",
        ) from None


def _is_file(given: str) -> bool:
    try:
        return Path(given).is_file()
    except (OSError, ValueError):  # Too long for a name, or with NUL in it.
        return False
