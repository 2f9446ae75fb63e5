"""Every error that this package raises on its own account.

One tree, so that `except InspectAutogradError` catches what is ours and nothing that is the
user's. Each class also derives from the built-in that a caller would expect (`ValueError`,
`TypeError`, ...). A message says four things: which argument, what it was, what was expected,
and what to do.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "ArgumentTypeError",
    "BreakpointQuitError",
    "FileFormatError",
    "InspectAutogradError",
    "LayoutError",
    "LayoutTimeoutError",
    "MissingDependencyError",
    "NoGraphError",
    "TargetError",
]


class InspectAutogradError(Exception):
    """Base of every error of this package.

    Args:
        message: What is wrong: the argument, its value, and what was expected.
        remedy: What to do about it, as one or more imperative sentences.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  What to do: {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # The keyword-only argument would be lost by the default pickling of exceptions, and
        # errors do cross process borders (multiprocessing, pytest-xdist).
        return (_rebuild, (type(self), self.message, self.remedy))


def _rebuild(cls: type[InspectAutogradError], message: str, remedy: str) -> InspectAutogradError:
    return cls(message, remedy=remedy)


class ArgumentError(InspectAutogradError, ValueError):
    """An argument has the right type but a value that cannot be used."""


class ArgumentTypeError(InspectAutogradError, TypeError):
    """An argument is of the wrong kind."""


class NoGraphError(ArgumentError):
    """A tensor carries no autograd graph, so there is nothing to capture."""


class BreakpointQuitError(InspectAutogradError, RuntimeError):
    """The user left a backward pass at a breakpoint."""


class FileFormatError(InspectAutogradError, ValueError):
    """A file is not one that this version of the package can read."""


class MissingDependencyError(InspectAutogradError, ImportError):
    """An optional package that this call needs is not installed."""


class LayoutError(InspectAutogradError, RuntimeError):
    """Graphviz is missing, failed, or produced nothing."""


class LayoutTimeoutError(LayoutError, TimeoutError):
    """The layout did not finish within its time budget."""


class TargetError(InspectAutogradError, ValueError):
    """A command-line target could not be resolved to a graph."""
