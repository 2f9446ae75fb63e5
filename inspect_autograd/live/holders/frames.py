"""The variables of functions that are running, which the garbage collector does not see."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType, ModuleType

from ...graph.creation import SourceLine
from .safe_access import instance_dict, is_kind_of

__all__ = ["FrameScan", "Variable", "read_locals", "scan_frames", "source_of_frame"]

_PACKAGE = str(Path(__file__).parents[2])

# Until Python 3.12 `f_locals` of a function copies its variables into a dict that the frame keeps.
_COPIES_LOCALS = sys.version_info < (3, 13)
# To that dict: of the frame, of our variable, and of the call that counts.
_REFERENCES_TO_COPY = 3


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a function that is running; `is_free` if it belongs to one further out."""

    name: str
    source: SourceLine
    thread: str = ""
    is_free: bool = False


@dataclass(slots=True)
class FrameScan:
    """The variables found, by the id of what they hold.

    Attributes:
        variables: Of functions that run, outermost function first.
        namespaces: Dicts that are the variables of a class body or of `exec`: where that is.
        modules: Dicts that are the global variables of a module: its name and file.
    """

    variables: dict[int, list[Variable]] = field(default_factory=dict)
    namespaces: dict[int, Variable] = field(default_factory=dict)
    modules: dict[int, tuple[str, str]] = field(default_factory=dict)


def scan_frames() -> FrameScan:
    """Look at the frames of all threads but for our own ones."""
    scan = FrameScan()
    for key, module in _modules():
        scan.modules.setdefault(
            key, module
        )  # A process that multiprocessing started has two names.
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    # Our own frame must not be among our variables: that would be a cycle, which keeps all that
    # the callers have found until it is collected.
    tops = [(frame, names.get(i, "?")) for i, frame in sys._current_frames().items() if i != own]
    for top, thread in [(sys._getframe(1), ""), *tops]:
        for frame in reversed(list(_frames_from(top))):
            _scan_frame(scan, frame, thread)
    return scan


def _frames_from(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            yield frame
        frame = frame.f_back


def _scan_frame(scan: FrameScan, frame: FrameType, thread: str) -> None:
    source = source_of_frame(frame)
    name = frame.f_globals.get("__name__")
    module = (name if type(name) is str else "?", frame.f_code.co_filename)
    scan.modules.setdefault(id(frame.f_globals), module)
    if not frame.f_code.co_flags & CO_OPTIMIZED:
        if id(frame.f_locals) not in scan.modules:
            scan.namespaces[id(frame.f_locals)] = Variable("", source, thread)
        return
    free = frame.f_code.co_freevars
    for name, value in read_locals(frame):
        if gc.is_tracked(value):
            variable = Variable(name, source, thread, name in free)
            scan.variables.setdefault(id(value), []).append(variable)


def read_locals(frame: FrameType) -> list[tuple[str, object]]:
    """The variables of a frame; the frame is left as it was.

    Where reading makes a copy that stays with the frame, the copy would keep everything in it
    alive until the function ends. So it is emptied again, unless somebody else looks at it: who
    called `locals()`, or a debugger, which after each line writes it back into the variables.
    Whoever looks at it later gets it filled again.
    """
    variables = frame.f_locals
    items = list(variables.items())
    if (
        _COPIES_LOCALS
        and frame.f_code.co_flags & CO_OPTIMIZED
        and sys.getrefcount(variables) == _REFERENCES_TO_COPY
        and frame.f_trace is None
        and sys.gettrace() is None
    ):
        variables.clear()
    return items


def source_of_frame(frame: FrameType) -> SourceLine:
    """Where a frame is."""
    return SourceLine(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname)


def _modules() -> Iterator[tuple[int, tuple[str, str]]]:
    for name, module in list(sys.modules.items()):
        if is_kind_of(module, ModuleType):
            variables = instance_dict(module) or {}
            file = variables.get("__file__")
            yield id(variables), (name, file if type(file) is str else "")
