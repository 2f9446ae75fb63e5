"""Whose code a file is, and which of the lines on the way to a call the user can change."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Literal, TypeVar

import torch

__all__ = [
    "INSPECTOR",
    "LIBRARY",
    "PYTHON",
    "USER",
    "Owner",
    "find_line_of_user",
    "is_installed",
    "known_owners",
    "owner_of",
]

T = TypeVar("T")
Owner = Literal["user", "torch", "inspect_autograd", "python"]

_PACKAGE = Path(__file__).parents[1]
_OURS = str(_PACKAGE) + os.sep
# The demo of the command line, and what it shows, are programs of their own.
_PROGRAMS = str(_PACKAGE / "cli" / "demo"), str(_PACKAGE / "cli" / "examples")
_TORCH = str(Path(torch.__file__).parent) + os.sep
_PYTHON = sysconfig.get_path("stdlib") + os.sep
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))

USER: Final = "user"
LIBRARY: Final = "torch"
INSPECTOR: Final = "inspect_autograd"
PYTHON: Final = "python"

known_owners: dict[str, Owner] = {}
"""Owner of every file that was asked for, for who asks very often."""


def owner_of(file: str) -> Owner:
    """Whose code a file is: `USER`, `LIBRARY` (torch's), `INSPECTOR` (ours) or `PYTHON` (its own).

    Other installed packages count as the user's: what they do, they do for the program.

    Args:
        file: As `co_filename` has it.
    """
    owner = known_owners.get(file)
    if owner is None:
        owner = known_owners[file] = _find_owner(file)
    return owner


def is_installed(file: str) -> bool:
    """Whether a file lies where installers put packages, so that nobody edits it."""
    return any(folder in file for folder in _INSTALLED)


def find_line_of_user(places: Iterable[T], file_of: Callable[[T], str]) -> T | None:
    """The innermost place in a file of the user's own, else in another package; None without one.

    A line of the user's own can be changed; that of a package which called PyTorch for it (a
    trainer, a library of models) is second best.

    Args:
        places: Frames or lines, innermost first.
        file_of: Gives the file of one.
    """
    second = None
    for place in places:
        file = file_of(place)
        if owner_of(file) == USER:
            if not is_installed(file):
                return place
            if second is None:
                second = place
    return second


def _find_owner(file: str) -> Owner:
    if file.startswith(_OURS) and not file.startswith(_PROGRAMS):
        return INSPECTOR
    if file.startswith(_TORCH):
        return LIBRARY
    if file.startswith("<frozen ") or (file.startswith(_PYTHON) and not is_installed(file)):
        return PYTHON
    return USER
