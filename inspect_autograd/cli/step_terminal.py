"""Where commands of `inspect-autograd step` come from, and how a terminal shows what they show."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType, ModuleType
from typing import Any

from ..render.step_screen import Line, Style, fit_lines
from .result import Say
from .step_commands import complete_command

__all__ = ["PROMPT", "Screen", "interrupts_held", "is_terminal", "read_terminal"]

PROMPT = "(step) "
FALLBACK_SIZE = (100, 24)

_STYLES: dict[Style, str] = {
    "": "",
    "title": "bold",
    "here": "bold cyan",
    "ready": "green",
    "waiting": "yellow",
    "dim": "dim",
    "bad": "bold red",
}


def is_terminal(stream: Any) -> bool:
    """Whether somebody sits at the other end."""
    try:
        return stream is not None and bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


class Screen:
    """Prints lines, in colours where stdout is a terminal that is to have them.

    Args:
        say: Prints plain text.
        is_plain: Whether there are to be no colours in any case.
    """

    def __init__(self, say: Say, *, is_plain: bool) -> None:
        self._say = say
        self._console = None if is_plain else _find_console()

    def show(self, lines: Iterable[Line], *, is_fitted: bool) -> None:
        """Print lines.

        Args:
            lines: What to print.
            is_fitted: Whether they are cut where the terminal ends.
        """
        if is_fitted:
            lines = fit_lines(lines, shutil.get_terminal_size(FALLBACK_SIZE).columns)
        for line in lines:
            if self._console is None:
                self._say(line.text)
            else:
                self._console.print(
                    line.text, style=_STYLES[line.style] or None, markup=False, soft_wrap=True
                )
        sys.stdout.flush()


def _find_console() -> Any:
    """A console of rich; None where there are to be no colours."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    if not is_terminal(sys.stdout) or os.environ.get("NO_COLOR") or not encoding.startswith("utf"):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=sys.stdout, highlight=False, emoji=False)


@contextmanager
def interrupts_held() -> Iterator[Callable[[], bool]]:
    """Keep Ctrl-C back, so that a run stops between two nodes; a second one is not kept back.

    Gives a function that tells whether there was one.
    """
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # Only the main thread may handle signals.
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


def read_terminal() -> Iterator[str]:
    """Lines that are typed, until Ctrl-D; Ctrl-C begins a new one."""
    with _line_editing():
        while True:
            try:
                line = input(PROMPT)
            except KeyboardInterrupt:
                print()
                continue
            except EOFError:
                print()
                return
            yield line


@contextmanager
def _line_editing() -> Iterator[None]:
    """History and the Tab key, where Python has readline; the program's own are put back."""
    try:
        import readline
    except ImportError:
        yield
        return
    before = readline.get_completer()
    readline.set_completer(_completer())
    with suppress(Exception):  # Some readlines know no such setting.
        _bind_tab(readline)
    try:
        yield
    finally:
        readline.set_completer(before)


def _bind_tab(readline: ModuleType) -> None:
    is_editline = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_editline else "tab: complete")


def _completer() -> Callable[[str, int], str | None]:
    def complete(text: str, state: int) -> str | None:
        names = complete_command(text)
        return names[state] if state < len(names) else None

    return complete
