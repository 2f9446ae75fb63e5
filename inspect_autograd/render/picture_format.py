"""Which format the name of a picture asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ArgumentError
from ..graph.atomic_write import check_target, to_path

__all__ = ["choose_format"]


def choose_format(
    path: object, formats: Mapping[str, str], *, example: str, remedy: str
) -> tuple[Path, str]:
    """Where to write a picture, and in which format.

    Args:
        path: What was given as the path.
        formats: By suffix.
        example: A file name to propose.
        remedy: What the suffixes mean.

    Raises:
        ArgumentError: The suffix is none of these, or no file can be written there.
        ArgumentTypeError: The path is none.
    """
    target = to_path(path, example)
    output_format = formats.get(target.suffix.lower())
    if output_format is None:
        what = f"the suffix {target.suffix!r}" if target.suffix else "no suffix"
        raise ArgumentError(
            f"path is {str(path)!r}, which has {what}; expected one of {', '.join(formats)}",
            remedy=remedy,
        )
    return check_target(target), output_format
