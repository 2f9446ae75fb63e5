"""The arguments of `inspect-autograd run`: which are ours, and which belong to the script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Program", "split_arguments"]

WITH_VALUE = ("--out", "--stats", "--steps")
"""Our options that take the next argument as their value."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is to run.

    Attributes:
        name: Path of a script, or dotted name of a module.
        arguments: What belongs to it.
        is_module: Whether `-m` was written.
    """

    name: str
    arguments: tuple[str, ...]
    is_module: bool = False

    def __str__(self) -> str:
        return f"-m {self.name}" if self.is_module else self.name


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], Program | None]:
    """Cut the command line at the name of the script.

    argparse cannot: it looks for our options behind that name too, where the script may have
    options of the same names.

    Args:
        arguments: What stands after `run`.

    Returns:
        Our own part, and the program; None if none is named.
    """
    own: list[str] = []
    rest = list(arguments)
    while rest:
        first = rest.pop(0)
        if first == "--":
            return own, _program(rest, is_module=False)
        if first == "-m":
            return own, _program(rest, is_module=True)
        if first.startswith("-m") and not first.startswith("--"):
            return own, _program([first[2:], *rest], is_module=True)
        if first in WITH_VALUE and rest:
            own.append(f"{first}={rest.pop(0)}")  # Joined, as a value may begin with a dash.
        elif first.startswith("-") and first != "-":
            own.append(first)
        else:
            return own, _program([first, *rest], is_module=False)
    return own, None


def _program(words: list[str], *, is_module: bool) -> Program | None:
    if not words:
        return None
    return Program(words[0], tuple(words[1:]), is_module)
