"""The line that made a node: from a recording, or from the traceback of anomaly mode."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import torch

from ...errors import ArgumentTypeError
from ...graph.creation import Creation, SourceLine
from ..private_torch import ANOMALY_TRACEBACK, LiveNode

__all__ = ["CreationFinder", "check_recording", "find_creation"]

_TORCH = str(Path(torch.__file__).parent)
_FRAME = re.compile(r'\s*File "(?P<file>.*)", line (?P<line>\d+), in (?P<function>.*)')


class CreationFinder(Protocol):
    """What `graph_holders` needs of a recording."""

    def creation_of(self, node: LiveNode) -> Creation | None:
        """How a live node came to be; None if it was not made during the recording."""


def check_recording(recording: object) -> None:
    """Refuse what cannot say how a node came to be.

    Raises:
        ArgumentTypeError: It has no method `creation_of`.
    """
    if recording is not None and not callable(getattr(recording, "creation_of", None)):
        raise ArgumentTypeError(
            f"recording is of type {type(recording).__name__}; "
            "expected an object with a method creation_of(node)",
            remedy="Give what `with inspect_autograd.record() as recording:` gives.",
        )


def find_creation(node: LiveNode, recording: CreationFinder | None) -> Creation | None:
    """How a node came to be, None if nobody knows."""
    found = None if recording is None else recording.creation_of(node)
    if found is not None:
        return found
    traceback: Any = node.metadata.get(ANOMALY_TRACEBACK)
    return _creation_from(traceback) if isinstance(traceback, list) else None


def _creation_from(traceback: Iterable[Any]) -> Creation | None:
    """The innermost line outside of PyTorch, in the text that anomaly mode keeps."""
    lines = [line for text in traceback if type(text) is str for line in text.splitlines()]
    for line in reversed(lines):
        frame = _FRAME.match(line)
        if frame and not frame["file"].startswith(_TORCH):
            source = SourceLine(frame["file"], int(frame["line"]), frame["function"])
            return Creation(source=source)
    return None
