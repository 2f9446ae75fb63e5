"""Where to write a file, and how: it is either there as a whole or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from ..errors import ArgumentError, ArgumentTypeError

__all__ = ["check_target", "to_path", "write_atomically"]


def to_path(path: object, example: str = "graph.json") -> Path:
    """The path as a Path.

    Args:
        path: What was given as one.
        example: A file name to propose.

    Raises:
        ArgumentTypeError: It is none.
    """
    if isinstance(path, str | os.PathLike) and not isinstance(os.fspath(path), bytes):
        return Path(path)
    raise ArgumentTypeError(
        f"path is {path!r} of type {type(path).__name__}; expected a string or a Path",
        remedy=f'Give a file name such as "{example}".',
    )


def check_target(path: str | os.PathLike[str]) -> Path:
    """The path as a Path, if a file can be written there.

    Raises:
        ArgumentError: It is a folder, or its folder does not exist.
    """
    target = Path(path)
    if target.is_dir():
        raise ArgumentError(
            f"path is {str(target)!r}, which is a folder; expected a file name",
            remedy=f"Add a file name: {str(target / 'graph')!r} with a suffix.",
        )
    if not target.parent.is_dir():
        raise ArgumentError(
            f"path is {str(target)!r}, but the folder {str(target.parent)!r} does not exist",
            remedy="Make the folder first, or give the path of an existing one.",
        )
    return target


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file beside its place and move it there.

    Raises:
        ArgumentError: The path is a folder, its folder is missing, or it cannot be written.
    """
    target = check_target(path)
    real = target.resolve()  # A link stays a link, and the file that it leads to is replaced.
    part = real.with_name(f".{real.name[:50]}.{secrets.token_hex(4)}.part")
    try:
        try:
            with part.open("xb") as file:
                file.write(data)
            if real.exists():
                shutil.copymode(real, part)
            part.replace(real)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ArgumentError(
            f"path is {str(target)!r}, which cannot be written: {error.strerror or error}",
            remedy="Give a path that you may write to, on a disk with free space.",
        ) from error
    return target
