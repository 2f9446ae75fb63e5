"""Who is asked at a stop: a terminal, a notebook, a script of commands, or nobody."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from ...errors import ArgumentTypeError
from .pause import Pause
from .prompt import Action, Prompt, headline, stop_lines, write_text
from .stop import Stop
from .texts import where_lines

__all__ = ["MAX_REPORTS", "FrontEnd", "check_prompt"]

MAX_REPORTS = 10
"""So many stops are reported where nobody can be asked; the others are only counted."""

Reader = Callable[[Pause], str | None]


def check_prompt(prompt: Any) -> Reader | None:
    """What reads commands; None for the terminal.

    Raises:
        ArgumentTypeError: It is neither a list of commands nor a function.
    """
    if prompt is None or (callable(prompt) and not isinstance(prompt, type)):
        return prompt
    is_list = isinstance(prompt, Sequence) and not isinstance(prompt, str | bytes)
    if not is_list or not all(isinstance(line, str) for line in prompt):
        raise ArgumentTypeError(
            f"prompt is {prompt!r:.80} of type {type(prompt).__name__}; expected a list of "
            "commands, or a function that returns the next one",
            remedy='Write prompt=["where", "continue"], or leave it out to type commands.',
        )
    lines = iter(list(prompt))
    return lambda _: next(lines, None)


class FrontEnd:
    """Shows stops, and asks what to do.

    Args:
        read: Gives the next command; None asks the terminal or the notebook, if there is one.

    Attributes:
        unshown: How many stops were only counted.
    """

    def __init__(self, read: Reader | None) -> None:
        self._read = read
        self._reported = 0
        self._is_alone = False
        self.unshown = 0

    def show(self, stop: Stop) -> Action:
        """Show a stop; what to do then."""
        read = self._read
        if read is not None:
            return Prompt(stop, sys.stdout).ask(lambda: read(stop.pause))
        if self._can_ask():
            try:
                return Prompt(stop, sys.stdout).ask(None)
            except NotImplementedError:
                # A notebook that is run as a whole has nobody to ask, and says so only then.
                self._is_alone = True
                self._reported += 1
                return "continue"
        self._report(stop)
        return "continue"

    def say(self, line: str) -> None:
        """Say something to whoever types the commands."""
        if self._read is not None or self._can_ask():
            sys.stdout.write(f"{line}\n")

    def _can_ask(self) -> bool:
        return not self._is_alone and _can_ask()

    def _report(self, stop: Stop) -> None:
        if self._reported >= MAX_REPORTS:
            self.unshown += 1
            return
        self._reported += 1
        try:
            made, reason = stop.describe(stop.pause.node)
            _, *where = where_lines(stop.pause.node, made, reason, stop.place)
            write_error("".join(f"{line}\n" for line in (*stop_lines(stop), *where)))
        except Exception as error:  # The pass must not end for the sake of a report.
            write_error(f"{headline(stop)}\n  not shown: {type(error).__name__}: {error}\n")


def write_error(text: str) -> None:
    """Write to where errors go; a program without such a place goes on."""
    if sys.stderr is not None:
        write_text(sys.stderr, text)


def _can_ask() -> bool:
    try:
        if sys.stdin is not None and sys.stdin.isatty():
            return True
    except ValueError:
        pass  # It is closed.
    # In a notebook there is no terminal, but `input()` shows a field to type into.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
