"""explaining: a block, or a function, whose exceptions say what is wrong."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from ..carried import is_explained, mark_explained

__all__ = ["Explaining", "explaining"]

P = ParamSpec("P")
R = TypeVar("R")


def explaining(*, params: Any = None) -> Explaining:
    """Add the explanation of an error of PyTorch's autograd to the error itself, as a note.

    The exception passes unchanged: the same object with the same arguments and traceback. Python,
    notebooks and pytest show its notes below the traceback. One that no rule recognises gets no
    note, and of nested blocks only the innermost one adds one. As long as nothing fails, nothing
    is done.

    Args:
        params: Names for tensors, as for `capture`. The names of variables are found anyway.

    Returns:
        A context manager, which is also a decorator for functions, coroutines among them.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.ones(3, requires_grad=True)
        >>> try:
        ...     with ia.explaining():
        ...         (x * 2).backward()
        ... except RuntimeError as error:
        ...     print(len(error.__notes__))
        1
    """
    return Explaining(params)


class Explaining:
    """What `explaining` returns. It may be entered any number of times, in any thread."""

    def __init__(self, params: Any = None) -> None:
        self._params = params

    def __enter__(self) -> None:
        """Begin; there is nothing to do."""

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Add the note, if there is an error that is recognised."""
        if isinstance(error, Exception):
            add_note(error, self._params)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """The same function, whose errors are explained."""
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def call_async(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", call_async)
        if inspect.isgeneratorfunction(function):

            @wraps(function)
            def call_generator(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return (yield from function(*args, **kwargs))

            return cast("Callable[P, R]", call_generator)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return call


def add_note(error: Exception, params: Any = None) -> None:
    """Add the explanation to an exception, unless it has it; whatever happens, nothing is raised.

    Args:
        error: The exception.
        params: Names for tensors.
    """
    with contextlib.suppress(Exception):
        if "torch" not in sys.modules or is_explained(error):
            return
        from .explain import explain  # Only now, since it takes long to import.

        report = explain(error, params=params)
        if report.diagnoses:
            error.add_note(report.to_note())
            mark_explained(error)
