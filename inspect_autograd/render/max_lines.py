"""The argument that bounds a text."""

from __future__ import annotations

from ..errors import ArgumentError, ArgumentTypeError

__all__ = ["check_max_lines"]


def check_max_lines(max_lines: object, example: int) -> None:
    """Refuse what is no number of lines.

    Args:
        max_lines: What was given.
        example: A sensible number, for the remedy.

    Raises:
        ArgumentTypeError: It is no int.
        ArgumentError: It is less than 1.
    """
    remedy = f"Give a number of lines such as {example}."
    if isinstance(max_lines, bool) or not isinstance(max_lines, int):
        raise ArgumentTypeError(
            f"max_lines is {max_lines!r} of type {type(max_lines).__name__}; expected an int",
            remedy=remedy,
        )
    if max_lines < 1:
        raise ArgumentError(f"max_lines is {max_lines}; expected 1 or more", remedy=remedy)
