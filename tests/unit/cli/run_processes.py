"""Runs a program twice: by Python itself, and by `inspect-autograd run`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PYTHON = [sys.executable]
RUN = [sys.executable, "-m", "inspect_autograd", "run"]
TIMEOUT = 180


@dataclass(frozen=True)
class Ran:
    """What a process left behind; the code is negative where a signal ended it."""

    code: int
    out: bytes
    err: str


def run(
    command: Sequence[str],
    folder: Path,
    *,
    stdin: bytes = b"",
    environment: dict[str, str] | None = None,
) -> Ran:
    """Run a command in a folder."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr.decode())


def run_both(arguments: Sequence[str], folder: Path, *, stdin: bytes = b"") -> tuple[Ran, Ran]:
    """What Python makes of it, and what we do, without our summary."""
    plain = run([*PYTHON, *arguments], folder, stdin=stdin)
    return plain, run([*RUN, "--quiet", *arguments], folder, stdin=stdin)


def interrupt(command: Sequence[str], folder: Path, number: signal.Signals) -> Ran:
    """Start a command, and send it a signal when it has printed its first line."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(0.5)  # Until it has gone on from there, to where it sleeps.
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT)
    return Ran(process.returncode, first + out, err.decode())
