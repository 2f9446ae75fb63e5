"""The Graphviz programs that can be used here, and running one of them within a time budget."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

__all__ = ["Engine", "EngineError", "EngineTimeout", "find_engines", "last_lines", "run_engine"]

# fontconfig complains about its own configuration, and a home folder that cannot be written to;
# Graphviz announces that a large graph may take long. None of it is about the picture.
_NOISE = re.compile(r"fontconfig|layout may take a long time|^\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to run Graphviz.

    Attributes:
        name: For messages.
        command: What to start; the layout and the format are still missing.
        separate_options: True if these are bare arguments, False if they are `dot`'s options.
        environment: Environment variables beside those of this process.
    """

    name: str
    command: tuple[str, ...]
    separate_options: bool
    environment: tuple[tuple[str, str], ...] = ()

    def arguments(self, layout: str, output_format: str) -> list[str]:
        """The whole command."""
        options = (
            [layout, output_format]
            if self.separate_options
            else [
                f"-K{layout}",
                f"-T{output_format}",
            ]
        )
        return [*self.command, *options]


class EngineError(Exception):
    """An engine failed; says how, in its own words where it has any."""


class EngineTimeout(Exception):  # noqa: N818 - read beside EngineError, which it is not one of
    """An engine did not finish in time; it has been killed."""


def find_engines() -> Iterator[Engine]:
    """The engines of this machine, the preferred one first: `dot`, then pygraphviz."""
    dot = shutil.which("dot")
    if dot:
        yield Engine(f"the Graphviz at {dot}", (dot,), separate_options=False)
    folder = _pygraphviz_folder()
    if folder and sys.executable:
        # -I -S: neither the user's environment nor site-packages take part, which is safe, fast,
        # and keeps packages that hook into the start of Python away.
        command = (sys.executable, "-I", "-S", "-c", _worker_source(), folder)
        yield Engine("the Graphviz inside pygraphviz", command, separate_options=True)


def _pygraphviz_folder() -> str | None:
    """The folder to import pygraphviz from; it is not imported here."""
    try:
        spec = find_spec("pygraphviz")
    except (ImportError, ValueError):
        return None
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else None


@lru_cache(maxsize=1)
def _worker_source() -> str:
    # The text and not the path of the file: the package may be inside a zip.
    return files(__package__).joinpath("graphviz_worker.py").read_text(encoding="utf-8")


def run_engine(
    engine: Engine, source: str, *, layout: str, output_format: str, deadline: float
) -> tuple[bytes, str]:
    """Lay DOT source out in a process of its own.

    Returns:
        What it wrote, and what it complained about while it did.

    Raises:
        EngineError: It could not be started, failed, crashed or wrote nothing.
        EngineTimeout: It did not finish before `deadline`, a reading of `time.monotonic()`.
    """
    timeout = deadline - monotonic()
    if timeout <= 0:
        raise EngineTimeout
    try:
        process = _start(engine.arguments(layout, output_format), engine.environment)
    except OSError as error:
        raise EngineError(f"it could not be started: {error.strerror or error}") from error
    try:
        output, complaints = process.communicate(source.encode("utf-8"), timeout=timeout)
    except subprocess.TimeoutExpired as error:
        _kill(process)
        raise EngineTimeout from error
    except BaseException:
        # The user pressed Ctrl-C: the process does not get that signal, so it is ended here.
        _kill(process)
        raise
    text = _without_noise(complaints)
    words = f": {last_lines(text)}" if text else ""
    if process.returncode:
        raise EngineError(_describe_exit(process.returncode) + words)
    if not output:
        raise EngineError("it wrote nothing" + words)
    return output, text


def _start(arguments: list[str], environment: Iterable[tuple[str, str]]) -> subprocess.Popen[bytes]:
    # fmt: off
    return subprocess.Popen(
        arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # The same graph makes the same file: PDF holds a date otherwise.
        env={"SOURCE_DATE_EPOCH": "0", **os.environ, **dict(environment)},
        # A `dot` may be a script that starts the real one; as a group both can be ended.
        start_new_session=True,
        # Windows only: no console window flashes up.
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    # fmt: on


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and, where the system has process groups, all that it started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        # A grandchild that escaped may hold the pipes open; do not wait for it.
        process.wait(timeout=5)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()


def _describe_exit(code: int) -> str:
    if code > 0:
        return f"it failed with exit status {code}"
    try:
        return f"it crashed ({signal.Signals(-code).name})"
    except ValueError:
        return f"it crashed (signal {-code})"


def _without_noise(complaints: bytes) -> str:
    lines = complaints.decode("utf-8", "replace").splitlines()
    return "\n".join(line.rstrip() for line in lines if not _NOISE.search(line))


def last_lines(text: str) -> str:
    """The end of what a program complained about, short enough for a message."""
    return "\n".join(line[:300] for line in text.splitlines()[-8:])
