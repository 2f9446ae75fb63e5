"""The private names of torch that looking into a failed checkpoint relies on; see `private_torch`.

Apart from it only because of its length.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any

from .holders.safe_access import instance_dict

__all__ = ["checkpointed_call", "closure_of", "unpacking_frame"]


def unpacking_frame(file: str, function: str) -> bool:
    """Whether a frame is the one that has a checkpoint computed again.

    `_checkpoint_hook.<locals>.unpack_hook` of `torch/utils/checkpoint.py`, 2.1 and newer. Without
    it the checkpointed function is not found, and not named.
    """
    return function == "unpack_hook" and file.replace("\\", "/").endswith("utils/checkpoint.py")


def checkpointed_call(variables: Mapping[str, Any]) -> tuple[Any, bool | None]:
    """What was checkpointed, and its `preserve_rng_state`, from the variables of that frame.

    `frame` is a `_CheckpointFrame`, whose `recompute_fn` is a function that has the user's as `fn`
    in its closure (2.1 and newer). (None, None) where that is not so.
    """
    attributes = instance_dict(variables.get("frame")) or {}
    again = attributes.get("recompute_fn")
    if type(again) is not FunctionType:
        return None, None
    inner = closure_of(again)
    keeps = inner.get("preserve_rng_state")
    return inner.get("fn"), keeps if type(keeps) is bool else None


def closure_of(function: FunctionType) -> dict[str, Any]:
    """The variables of the functions around it that a function uses."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # Not assigned yet.
            continue
    return found
