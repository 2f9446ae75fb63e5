"""The folder that `inspect-autograd run` writes: a file for each trace, and an index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import FileFormatError
from ..events.trace import Trace
from ..graph.atomic_write import write_atomically
from .result import UsageError

__all__ = ["INDEX", "RECORDING", "RunFolder", "find_trace_files"]

INDEX = "run.json"
RECORDING = "recording.json"
FORMAT = "inspect_autograd.run"
SCHEMA_VERSION = 1
TRACE_NAME = re.compile(r"step(\d+)-pass(\d+)\.json")


class RunFolder:
    """What one process writes.

    Nothing is made before there is something to write: a script without a backward pass leaves
    no folder behind.

    Args:
        path: Where to write; taken from the current folder, which the script may change.
        program: What runs, for the index.

    Attributes:
        path: The folder.
        shown: The same as it was given: what the user, in the folder of the command, can type.

    Raises:
        UsageError: It is a file.
    """

    def __init__(self, path: Path, program: str) -> None:
        self.shown = path
        self.path = path.absolute()
        self._facts: dict[str, Any] = {"program": program, "state": "running"}
        self._files: list[str] = []
        self._is_made = False
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(
                f"--out is {path}, which is a file; expected a folder",
                remedy="Name a folder; it is made if it is not there.",
            )

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that are there."""
        return tuple(self._files)

    def write_trace(self, trace: Trace, step: int, number: int) -> str:
        """Write a trace; the name of its file."""
        name = f"step{step:06}-pass{number}.json"
        trace.save(self.prepare() / name)
        self.add(name)
        return name

    def prepare(self) -> Path:
        """The folder, made if it is not there, without what an earlier run has left."""
        if not self._is_made:
            self.path.mkdir(parents=True, exist_ok=True)
            self._is_made = True
            for name in _files_of(self.path / INDEX):
                (self.path / name).unlink(missing_ok=True)
        return self.path

    def add(self, name: str) -> None:
        """A file was written."""
        if name not in self._files:
            self._files.append(name)
            self._write_index()

    def remove(self, name: str) -> None:
        """Remove a file that this run has written."""
        if name in self._files:
            self._files.remove(name)
            (self.path / name).unlink(missing_ok=True)

    def finish(self, **facts: Any) -> None:
        """Note how the run ended, if anything was written."""
        self._facts |= facts
        if self._is_made:
            self._write_index()

    def _write_index(self) -> None:
        header = {"format": FORMAT, "schema_version": SCHEMA_VERSION}
        text = json.dumps(header | self._facts | {"files": self._files}, indent=2)
        write_atomically(self.path / INDEX, f"{text}\n".encode())


def _files_of(index: Path) -> Iterator[str]:
    """What an index lists; nothing that is not in its own folder."""
    try:
        value = json.loads(index.read_bytes())
    except (OSError, ValueError):
        return
    if isinstance(value, dict) and value.get("format") == FORMAT:
        for name in value.get("files", ()):
            if isinstance(name, str) and Path(name).name == name:
                yield name


def find_trace_files(folder: Path) -> dict[tuple[int, int], Path]:
    """The traces in a folder that `run` wrote, by step and pass, in order; maybe none.

    Raises:
        FileFormatError: It has a folder for each of several processes.
    """
    found = {
        (int(match[1]), int(match[2])): path
        for path in folder.iterdir()
        if (match := TRACE_NAME.fullmatch(path.name))
    }
    ranks = sorted(path.name for path in folder.glob("rank*") if path.is_dir())
    if ranks and not found:
        raise FileFormatError(
            f"the folder {folder} holds a run of {len(ranks)} processes",
            remedy=f"Name the folder of one of them: {folder / ranks[0]}",
        )
    return dict(sorted(found.items()))
