"""install, uninstall: explain whatever ends the program, a thread, or a cell of a notebook."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import TracebackType
from typing import Any

from ..carried import is_explained

__all__ = ["install", "uninstall"]


def install() -> None:
    """Print an explanation after the traceback of every uncaught error of PyTorch's autograd.

    Works in programs, in threads and in IPython and notebooks: `sys.excepthook`,
    `threading.excepthook` and the handler of IPython go on to what was there before, and then the
    report is printed, if a rule recognises the error. Calling it again changes nothing.

    Example:
        >>> import inspect_autograd as ia
        >>> ia.install()
        >>> ia.uninstall()
    """
    with _lock:
        _program.put()
        _threads.put()
        _notebook.put()


def uninstall() -> None:
    """Put back what `install` has replaced.

    Where somebody else has replaced it meanwhile and goes on to ours, ours stays and does nothing
    but go on to what was there before.
    """
    with _lock:
        _program.take_away()
        _threads.take_away()
        _notebook.take_away()


class _Hook:
    """Stands in for a function that is an attribute of a module."""

    def __init__(self, module: Any, name: str) -> None:
        self._module = module
        self._name = name
        self._before: Any = None
        self._ours: Any = None

    def put(self) -> None:
        """Put ours in its place; if it is there already, nothing changes."""
        current = getattr(self._module, self._name)
        if self._ours is not None and current is self._ours:
            return
        self._before, self._ours = current, self._make(current)
        setattr(self._module, self._name, self._ours)

    def take_away(self) -> None:
        """Put back what was there."""
        if self._ours is None:
            return
        self._ours.is_active = False
        if getattr(self._module, self._name) is self._ours:
            setattr(self._module, self._name, self._before)
        self._before = self._ours = None

    def _make(self, before: Any) -> Any:
        raise NotImplementedError


class _Program(_Hook):
    def _make(self, before: Any) -> Any:
        def hook(
            kind: type[BaseException], error: BaseException, traceback: TracebackType | None
        ) -> None:
            before(kind, error, traceback)
            if hook.is_active:  # type: ignore[attr-defined]
                print_report(error)

        hook.is_active = True  # type: ignore[attr-defined]
        return hook


class _Threads(_Hook):
    def _make(self, before: Any) -> Any:
        def hook(args: Any) -> None:
            before(args)
            if hook.is_active:  # type: ignore[attr-defined]
                print_report(args.exc_value)

        hook.is_active = True  # type: ignore[attr-defined]
        return hook


class _Notebook:
    """The handler of IPython for exceptions of a cell, where this is IPython."""

    def __init__(self) -> None:
        self._shell: Any = None
        self._before: tuple[Any, Any] | None = None

    def put(self) -> None:
        shell = self._find_shell()
        if shell is None or shell is self._shell:
            return
        self._shell = shell
        # Which exceptions have a handler of their own, and the handler.
        self._before = kinds, handler = shell.custom_exceptions, shell.CustomTB

        def handle(
            shell: Any, kind: Any, error: Any, traceback: Any, tb_offset: int | None = None
        ) -> Any:
            result = None
            if kinds and issubclass(kind, kinds):
                result = handler(kind, error, traceback, tb_offset=tb_offset)
            else:
                shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)
            print_report(error)
            return result

        shell.set_custom_exc((Exception,), handle)

    def take_away(self) -> None:
        if self._before is not None:
            self._shell.custom_exceptions, self._shell.CustomTB = self._before
        self._shell = self._before = None

    @staticmethod
    def _find_shell() -> Any:
        module = sys.modules.get("IPython")
        find = getattr(module, "get_ipython", None)
        return None if find is None else find()


def print_report(error: BaseException | None) -> None:
    """Print the explanation of an exception to the standard error stream, if there is one.

    One that has it as a note was printed with it already. Nothing is raised, whatever happens.
    """
    with contextlib.suppress(Exception):
        if "torch" not in sys.modules or not isinstance(error, Exception) or is_explained(error):
            return
        from .explain import explain  # Only now, since it imports torch.

        report = explain(error)
        if report.diagnoses and sys.stderr is not None:
            sys.stderr.write("\n")
            report.print(sys.stderr)


_lock = threading.RLock()
_program = _Program(sys, "excepthook")
_threads = _Threads(threading, "excepthook")
_notebook = _Notebook()
