"""Run the user's code that a target names, as `python` would, and tell its errors from ours."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from ..errors import TargetError
from .result import UserCodeError

__all__ = ["import_module", "run_file", "user_code", "user_traceback"]

PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"


@contextmanager
def user_code(what: str, *, first_path: Path, argv: list[str]) -> Iterator[None]:
    """Run the body as the user's program would run.

    Args:
        what: What runs, for the message of an error.
        first_path: Folder to look for modules in first.
        argv: What the code finds in `sys.argv`: it must not read our own arguments as its own.

    Raises:
        UserCodeError: The code raised an error, or ended the process itself.
    """
    old_argv, old_path, old_folder = sys.argv, sys.path[:], Path.cwd()
    sys.argv = argv
    sys.path.insert(0, str(first_path))
    try:
        yield
    except (UserCodeError, TargetError, KeyboardInterrupt):
        raise
    except BaseException as error:
        # Not only Exception: a test that skips itself, for example, raises none.
        raise _to_error(error, what) from error
    finally:
        sys.argv = old_argv
        sys.path[:] = old_path
        os.chdir(old_folder)  # Our own relative paths are meant from where the command started.


def _to_error(error: BaseException, what: str) -> UserCodeError:
    name = type(error).__name__
    is_exit = isinstance(error, SystemExit)
    return UserCodeError(
        f"{what} ended the process: {error!r}" if is_exit else f"{what} raised {name}",
        type_name=name,
        detail="".join(traceback.format_exception_only(error)).strip(),
        traceback=user_traceback(error),
        remedy=_remedy_for(error),
    )


def run_file(path: Path) -> ModuleType:
    """Run a Python file as a module of its own name.

    It does not get the name `__main__`, so that what only a run as a program should do, a whole
    training for example, is left out. No bytecode is written beside it.
    """
    name = path.stem
    while name in sys.modules:
        # torch.py must not replace torch, on which the file itself may depend.
        name += "_"
    spec = spec_from_file_location(name, path)
    if spec is None:
        raise TargetError(f"{path} is not Python code", remedy="Name a file that ends in .py.")
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class up in its module.
    exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    return module


def import_module(name: str) -> ModuleType:
    """Import a module by its dotted name.

    Raises:
        TargetError: There is no such module; not if a module that it imports is missing.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise TargetError(
            f"there is no module {error.name!r} to import",
            remedy="Run the command in the folder that holds it, or install its package; "
            "a file is named with its suffix, such as train.py:loss.",
        ) from error


def _remedy_for(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return 'Put what only a run as a program should do below `if __name__ == "__main__":`.'
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "A file of a package is named by its module: package.module:name."
    return "The traceback shows your own lines only; --debug shows all of it."


def user_traceback(error: BaseException) -> str:
    """The traceback of an error, without what is not the user's: frames of ours, torch, Python."""
    whole = traceback.TracebackException.from_exception(error, compact=True)
    pending = [whole]
    while pending:
        part = pending.pop()
        part.stack = _user_frames(part.stack)
        others = (part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ()))
        pending += [other for other in others if other is not None]
    return "".join(whole.format())


def _user_frames(stack: traceback.StackSummary) -> traceback.StackSummary:
    frames = [frame for frame in stack if not _is_ours(frame.filename)]
    of_user = [frame for frame in frames if not _is_of_torch_or_python(frame.filename)]
    # Nothing may be left, as where a callback is called from C code: then rather all than none.
    return traceback.StackSummary.from_list(of_user or frames)


def _is_ours(filename: str) -> bool:
    return filename.startswith((PACKAGE, "<frozen "))


def _is_of_torch_or_python(filename: str) -> bool:
    path = Path(filename)
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return "torch" in path.parts
    return filename.startswith(sysconfig.get_path("stdlib"))
