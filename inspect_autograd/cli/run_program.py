"""Run a script or a module as `python script.py` and `python -m module` do.

After https://docs.python.org/3/using/cmdline.html#interface-options and `runpy`, which itself
would put the old `__main__` back too early: what the script left behind (exit handlers, workers,
pickles) needs its own until the process ends.
"""

from __future__ import annotations

import builtins
import io
import os
import pkgutil
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ..errors import TargetError
from .run_arguments import Program

__all__ = ["ModuleToRunError", "check_program", "execute", "kept_modules"]

kept_modules: list[ModuleType] = []
"""The `__main__` that the process began with: freed, it would lose what it still runs on."""


class ModuleToRunError(Exception):
    """There is no such module to run, as `python -m` would say."""


def check_program(program: Program) -> None:
    """Refuse what is not there, before anything is set up.

    Raises:
        TargetError: There is no such script, or no such module or package.
    """
    name = program.name
    if program.is_module:
        top = name.partition(".")[0]
        if not _is_module(top):
            raise TargetError(
                f"there is no module {top!r} to run",
                remedy="Run the command in the folder that holds it, or install its package."
                if not name.endswith(".py")
                else f"Leave -m out to run a file: inspect-autograd run {name}",
            )
        return
    path = Path(name)
    if not path.exists():
        near = _is_module(name.partition(".")[0]) and not path.suffix and len(path.parts) == 1
        raise TargetError(
            f"there is no script {name}",
            remedy=f"To run a module, write -m: inspect-autograd run -m {name}"
            if near
            else "Check the path. Options of inspect-autograd stand before it, those of the "
            "script after it.",
        )
    if path.is_dir() and not (path / "__main__.py").exists():
        raise TargetError(
            f"{name} is a folder without a __main__.py, so Python cannot run it",
            remedy=f"Name a script in it: {path / 'train.py'}",
        )


def _is_module(top: str) -> bool:
    """Whether a module or package can be found where `python -m` would look."""
    if top in sys.builtin_module_names:
        return True
    try:
        return PathFinder.find_spec(top, [str(Path.cwd()), *sys.path]) is not None
    except (ImportError, ValueError):
        return False


def execute(program: Program) -> None:
    """Run it to its end; what it raises comes out.

    `sys.argv`, `sys.path` and `sys.modules["__main__"]` are the program's from now on.

    Raises:
        ModuleToRunError: There is no such module.
    """
    # -m names the folder itself, as the module is looked up in it.
    _set_first_path(str(Path.cwd()) if program.is_module else _folder_of(program.name))
    sys.argv = ["-m" if program.is_module else program.name, *program.arguments]
    module, code = _load_module(program.name) if program.is_module else _load_script(program.name)
    kept_modules.append(sys.modules["__main__"])
    sys.modules["__main__"] = module
    exec(code, vars(module))


def _set_first_path(folder: str) -> None:
    """What Python put first for our own command makes place; with -P or -I it put nothing."""
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _folder_of(script: str) -> str:
    if _is_container(script):
        return str(Path(script).absolute())
    return str(Path(os.path.realpath(script)).parent)  # A link leads to where the script is.


def _is_container(script: str) -> bool:
    """Whether it is a folder or an archive with a `__main__` in it."""
    return pkgutil.get_importer(script) is not None


def _load_script(name: str) -> tuple[ModuleType, CodeType]:
    if _is_container(name):
        spec = PathFinder.find_spec("__main__", [str(Path(name).absolute())])
        if spec is None:
            raise ModuleToRunError(f"can't find '__main__' module in {name!r}")
        return _from_spec(spec)
    path = str(Path(name).absolute())  # As `__file__` of a script is, since Python 3.9.
    with io.open_code(path) as file:
        source = file.read()
        file.seek(0)
        # None if it is not bytecode.
        code = pkgutil.read_code(file) if path.endswith(".pyc") else None
    if code is None:
        # Not with the `from __future__` lines of this file.
        code = compile(source, path, "exec", dont_inherit=True)
    return _new_main(None, SourceFileLoader("__main__", path), path, None), code


def _load_module(name: str) -> tuple[ModuleType, CodeType]:
    spec = _find_module(name)
    module, code = _from_spec(spec)
    sys.argv[0] = spec.origin or name
    return module, code


def _find_module(name: str) -> ModuleSpec:
    """The module, or the `__main__` of a package; packages around it are imported."""
    try:
        spec = find_spec(name)
    except ModuleNotFoundError as error:
        # Only if it is the name itself that is missing, not something that a package imports.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ModuleToRunError(f"No module named {name!r}: {error}") from None
    if spec is None:
        raise ModuleToRunError(f"No module named {name}")
    if spec.submodule_search_locations is None:
        return spec
    if name.endswith(".__main__"):
        raise ModuleToRunError("Cannot use package as __main__ module")
    try:
        return _find_module(f"{name}.__main__")
    except ModuleToRunError as error:
        raise ModuleToRunError(
            f"{error}; {name!r} is a package and cannot be directly executed"
        ) from None


def _from_spec(spec: ModuleSpec) -> tuple[ModuleType, CodeType]:
    loader: Any = spec.loader
    code = None if loader is None else loader.get_code(spec.name)
    if code is None:
        raise ModuleToRunError(f"No code object available for {spec.name}")
    return _new_main(spec, loader, spec.origin, spec.cached), code


def _new_main(
    spec: ModuleSpec | None, loader: Any, file: str | None, cached: str | None
) -> ModuleType:
    module = ModuleType("__main__")
    vars(module).update(
        __annotations__={},
        __builtins__=builtins,
        __cached__=cached,
        __file__=file,
        __loader__=loader,
        __package__=None if spec is None else spec.parent,
        __spec__=spec,
    )
    return module
