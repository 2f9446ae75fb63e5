"""What is known of how a node came to be: the call, the line and the module that made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

__all__ = ["Creation", "SourceLine"]


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a program.

    Attributes:
        file: As Python names it (`co_filename`).
        line: Counted from 1.
        function: Qualified name of the function that the line is in; `<module>` outside of any.
    """

    file: str
    line: int
    function: str

    @property
    def short(self) -> str:
        """File name without folders, and line: `train.py:12`."""
        return f"{PurePath(self.file).name}:{self.line}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class Creation:
    """How a node came to be, as `inspect_autograd.record` saw it.

    Nodes that one call made share one Creation.

    Attributes:
        function: What was called, as it is found in Python: `torch.nn.functional.linear`,
            `Tensor.__add__`, `MyFunction.apply`. None where no call was seen.
        source: The innermost line that led to the call outside of PyTorch and of Python's own
            library; it may lie in another package, such as one of ready-made models.
        stack: The lines of PyTorch's own code between `source` and the call, outermost first:
            the innermost one alone, or with `stack=True` all of them; empty where `source` itself
            holds the call.
        call: Which call of the module `Node.scope` it was, counted from 0 in every step; None
            outside of any module.
        thread: Name of the thread; empty where it is unknown.
        made_by: For a node that a backward pass made: the node that was running, in words.
        reason: Why something of this is not known; empty if nothing is missing.
    """

    function: str | None = None
    source: SourceLine | None = None
    stack: tuple[SourceLine, ...] = ()
    call: int | None = None
    thread: str = ""
    made_by: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.function is None and self.source is None:
            return f"unknown: {self.reason}" if self.reason else "unknown"
        what = self.function or "?"
        where = "" if self.source is None else f" at {self.source.short}"
        by = f", while {self.made_by} ran" if self.made_by else ""
        return f"{what}{where}{by}"
