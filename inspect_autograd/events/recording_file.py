"""Saved recordings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..graph.atomic_write import to_path
from ..graph.json_file import decode_file, write_json
from .recording import Recording
from .recording_codec import decode_recording, encode_recording

__all__ = ["FORMAT", "SCHEMA_VERSION", "decode_recording_file", "save_recording"]

FORMAT = "inspect_autograd.recording"
SCHEMA_VERSION = 1
"""Rises with every change that an older reader would misunderstand."""

CHROME_SUFFIX = ".chrome.json"


def save_recording(recording: Recording, path: str | os.PathLike[str]) -> Path:
    """Write a recording to a file, which is replaced as a whole; see `Recording.save`.

    Raises:
        ArgumentError: The suffix is none of `.json` and `.chrome.json`, or the path cannot be
            written.
    """
    target = to_path(path)
    if target.name.endswith(CHROME_SUFFIX):
        return write_json(target, recording.timeline().to_chrome_trace(), allow_nan=False)
    if target.suffix != ".json":
        raise ArgumentError(
            f"path is {str(target)!r}; expected a name that ends in .json or {CHROME_SUFFIX}",
            remedy="Use .json for the whole recording, which inspect_autograd.load reads back, or "
            f"{CHROME_SUFFIX} for a timeline. For a picture use recording.traces[-1].render(path).",
        )
    header = {"format": FORMAT, "schema_version": SCHEMA_VERSION}
    return write_json(target, header | encode_recording(recording.data), allow_nan=False)


def decode_recording_file(path: Path, value: Mapping[str, Any]) -> Recording:
    """The recording that a file holds whose format is known to be `FORMAT`.

    Raises:
        FileFormatError: It is damaged, or of an unknown schema version.
    """
    return Recording(
        decode_file(path, value, decode_recording, kind="recording", schema_version=SCHEMA_VERSION)
    )
