"""A program that is typed to, in a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence


class Terminal:
    """A Python program in a pseudo-terminal of its own.

    Args:
        arguments: What follows `python`.
        prompt: What it shows when it waits for a command.
        environment: More variables.
    """

    def __init__(
        self, arguments: Sequence[object], prompt: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._prompt = prompt
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "dumb", **(environment or {})},
            start_new_session=True,
        )
        os.close(slave)

    def read_until(self, end: str | None, timeout: float = 120.0) -> str:
        """What is shown up to a text, or up to the end of the program."""
        deadline, shown = time.monotonic() + timeout, ""
        while end is None or not shown.endswith(end):
            if not select.select([self._master], [], [], deadline - time.monotonic())[0]:
                raise TimeoutError(f"the terminal shows only {shown!r}")
            try:
                shown += os.read(self._master, 4096).decode().replace("\r\n", "\n")
            except OSError:  # Linux says so at the end.
                return shown
        return shown

    def type(self, line: str) -> str:
        """Type a command; what is shown until the next prompt, without what was typed."""
        os.write(self._master, f"{line}\n".encode())
        shown = self.read_until(self._prompt)
        return shown.removeprefix(f"{line}\n").removesuffix(self._prompt)

    def write(self, text: str) -> None:
        """Type a text, and wait for nothing."""
        os.write(self._master, text.encode())

    def send(self, text: str) -> str:
        """Type a text; what is shown until the program ends."""
        os.write(self._master, text.encode())
        return self.read_until(None)

    def interrupt(self) -> None:
        """What Ctrl-C does in a terminal that the program controls."""
        # A signal that comes right before readline waits for a key is only seen after the key.
        for _ in range(30):
            self._process.send_signal(signal.SIGINT)
            if select.select([self._master], [], [], 2.0)[0]:
                return
        raise TimeoutError("the program does not react")

    def close(self) -> int:
        """The exit status."""
        return self._process.wait(timeout=120)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)
