"""The write in place that PyTorch refused, as the failing line has it."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.creation import SourceLine
from .scene import FrameFacts, Scene, TensorFacts
from .statements import Statement, read_function
from .writes_in_text import Write

__all__ = ["FailingWrite", "find_failing_write", "no_grad_block"]


@dataclass(frozen=True, slots=True)
class FailingWrite:
    """What the failing line writes.

    Attributes:
        source: The line.
        text: Its statement; empty if it cannot be read.
        write: What it writes; None if the text does not show it.
        tensor: The tensor that is written, or that the written view belongs to.
    """

    source: SourceLine | None
    text: str
    write: Write | None
    tensor: TensorFacts | None

    @property
    def target(self) -> str:
        """What to call the written tensor in a sentence: `w`, or `the tensor`."""
        if self.write is not None:
            return self.write.target
        return "the tensor" if self.tensor is None else self.tensor.name

    @property
    def name(self) -> str:
        """A name to be used in code: `w`, or `x` where none is known."""
        if self.write is not None and self.write.root:
            return self.write.root
        return self.tensor.names[0] if self.tensor is not None and self.tensor.names else "x"


def find_failing_write(scene: Scene) -> FailingWrite:
    """The write on the innermost line of the user's program."""
    frame = scene.user_frame
    involved = scene.involved[0] if scene.involved else None
    if frame is None:
        return FailingWrite(None, "", None, involved)
    function = read_function(frame)
    statement = None if function is None else function.at(frame)
    if statement is None:
        return FailingWrite(frame.source, frame.expression or frame.code, None, involved)
    write = _running_write(statement, frame)
    tensor = involved
    if write is not None and write.root in frame.tensors:
        tensor = frame.tensors[write.root]
    return FailingWrite(frame.source, statement.text, write, tensor)


def _running_write(statement: Statement, frame: FrameFacts) -> Write | None:
    """The write of the statement; of several, the one in the expression that was running."""
    writes = [write for write in statement.writes if write.root not in ("torch", "")]
    running = [write for write in writes if write.target in frame.expression]
    return next(iter(running or writes), None)


def no_grad_block(text: str) -> str:
    """A statement inside `torch.no_grad()`, as code to paste."""
    return f"with torch.no_grad():\n    {text}"
