"""What led a backward pass to nodes that an earlier one had freed, as a record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..graph.creation import SourceLine
from .records import Certainty
from .scene import FrameFacts, Scene

__all__ = ["Kind", "SecondPass", "calling_frames"]

Kind = Literal["same loss", "failed before", "carried", "built once", "common part", "unknown"]
_TORCH_CALLS = ("backward", "grad", "Tensor.backward", "_engine_run_backward")


@dataclass(frozen=True, slots=True)
class SecondPass:
    """What led a second pass to nodes that were freed.

    Attributes:
        kind: `same loss`: it started from the same output. `failed before`: so it did, and the
            first pass broke off. `carried`: a tensor was taken over from one round of a loop to
            the next. `built once`: a tensor is used in every round, but was computed only once.
            `common part`: two outputs were computed from the same tensor. `unknown`.
        name: What the program calls that tensor; empty if that is not known.
        meta: Its shape and type in words; empty if unknown.
        made: The line that made it.
        first: The line that ran the first pass.
        other: For `common part`, what the first pass started from; empty if that has no name.
        certainty: `certain` from a recording, `likely` or `possible` from the text.
        node: Id of the tensor's node in `Scene.graph`.
    """

    kind: Kind = "unknown"
    name: str = ""
    meta: str = ""
    made: SourceLine | None = None
    first: SourceLine | None = None
    other: str = ""
    certainty: Certainty = "possible"
    node: int | None = None


def calling_frames(scene: Scene) -> Iterator[FrameFacts]:
    """The user's frames that led to the call of backward or grad, innermost first."""
    frames = [frame for frame in scene.frames if not frame.is_from_text]
    last = len(frames)
    for index, frame in enumerate(frames):
        if frame.owner == "torch" and frame.source.function in _TORCH_CALLS:
            last = index
            break
    return (frame for frame in reversed(frames[:last]) if frame.owner == "user")
