"""What a verb hands back, and the errors that only the command line knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import InspectAutogradError

__all__ = ["Result", "Say", "UsageError", "UserCodeError"]


class Say(Protocol):
    """How a verb prints: `print`, or nothing where stdout belongs to the JSON."""

    def __call__(self, text: str = ..., /) -> None:
        """Print a line, or several."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a verb hands back.

    Attributes:
        data: What `--json` prints.
        code: The exit code.
        then: What is left to do once the streams are again as the process was given them; it
            returns the exit code.
    """

    data: dict[str, Any] = field(default_factory=dict)
    code: int = 0
    then: Callable[[], int] | None = None


class UsageError(InspectAutogradError):
    """The command line cannot be understood.

    Args:
        message: What is wrong with it.
        usage: The usage lines of the verb.
        remedy: What to do about it.
    """

    def __init__(self, message: str, *, usage: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.usage = usage


class UserCodeError(InspectAutogradError):
    """The user's own code, which makes the graph, raised an error.

    Args:
        message: Which code, and what it raised.
        type_name: The type of the error that it raised.
        detail: That error in one line, or as many as its own message has.
        traceback: The user's part of the traceback, as text.
        remedy: What to do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        type_name: str,
        detail: str = "",
        traceback: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.type_name = type_name
        self.detail = detail
        self.traceback = traceback
