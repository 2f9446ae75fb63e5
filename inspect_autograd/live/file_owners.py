"""Whose code a file is: the user's line is the innermost one that is neither torch's nor ours."""

from __future__ import annotations

import os
from pathlib import Path

import torch

__all__ = ["INSPECTOR", "LIBRARY", "USER", "known_owners", "owner_of"]

# What `live` does on behalf of the user; the demo of the command line is a program of its own.
_OURS = str(Path(__file__).parent) + os.sep
_TORCH = str(Path(torch.__file__).parent) + os.sep

USER, LIBRARY, INSPECTOR = "user", "torch", "inspect_autograd"

known_owners: dict[str, str] = {}
"""Owner of every file that was asked for, for who asks very often."""


def owner_of(file: str) -> str:
    """Whose code a file is: `USER`, `LIBRARY` (torch's) or `INSPECTOR` (ours).

    Args:
        file: As `co_filename` has it.
    """
    owner = known_owners.get(file)
    if owner is None:
        is_library = file.startswith((_TORCH, "<frozen "))
        owner = INSPECTOR if file.startswith(_OURS) else LIBRARY if is_library else USER
        known_owners[file] = owner
    return owner
