"""Begin to record when the script imports torch, and not before.

What a script does before that counts: the environment variables that torch reads as it is
imported, `sys.path`, the time it takes. A script without torch never gets to see it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

__all__ = ["when_torch_is_imported"]


def when_torch_is_imported(action: Callable[[], object]) -> None:
    """Call `action` once, as soon as torch is there; at once if it is already.

    Args:
        action: It is called in the middle of the script's import, so it must not raise.
    """
    if "torch" in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Finder(action))


class _Finder(MetaPathFinder):
    """Leaves the search to the others, and waits for what they find."""

    def __init__(self, action: Callable[[], object]) -> None:
        self._action = action
        self._is_searching = False

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 (as the protocol has it)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of torch, whose loader tells us when it is done."""
        if fullname != "torch" or self._is_searching:
            return None
        self._is_searching = True
        try:
            spec = find_spec(fullname)
        finally:
            self._is_searching = False
        if spec is not None and hasattr(spec.loader, "__dict__"):
            self._follow(spec)
        return spec

    def _follow(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        assert loader is not None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del vars(loader)["exec_module"]
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self._action()

        vars(loader)["exec_module"] = exec_module
