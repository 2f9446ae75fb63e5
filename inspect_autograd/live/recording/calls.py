"""What was called in one thread: the rows that the function mode writes, and the module stack.

The mode runs for every function of torch that is called, so it only writes plain rows; what they
say is worked out when somebody asks. A row holds code objects and numbers, never a frame or a
tensor: a frame would keep every local variable of the user alive.
"""

from __future__ import annotations

import threading
import time
from itertools import count
from types import CodeType, FrameType
from typing import Any

from ..file_owners import LIBRARY, USER, known_owners, owner_of
from ..private_modes import next_sequence_nr

__all__ = [
    "COMPILED_REGION",
    "ROW",
    "CallSite",
    "ModuleCall",
    "ThreadCalls",
    "find_site",
    "set_module_call_code",
]

ROW = 6
"""Items of a row: the next sequence number before the call and after it; what was called; the
CallSite; the ModuleCall that it was made in, or None; how many calls of custom Functions it was
inside of."""

COMPILED_REGION = "code compiled by torch.compile"
"""What stands in a row in the place of a function, for a call of compiled code."""

Position = tuple[CodeType, int]
"""A place in a program: code, and offset of the instruction (`frame.f_lasti`)."""

_keys = count()
_stand_in_codes: list[CodeType | None] = [None]


def set_module_call_code(code: CodeType) -> None:
    """Say which function stands in for `Module.__call__`.

    A frame of it is the border of the innermost module call, whose own site is known.
    """
    _stand_in_codes[0] = code


CallSite = tuple[Position | None, tuple[Position, ...]]
"""The user's position, None if there is none, and torch's own ones inside of it, innermost last:
one, or all of them where the whole stack was asked for."""


class ModuleCall:
    """One call of a module.

    Attributes:
        path: Its module path.
        number: Which call of this module it is in its step, from 0.
        parent: The call that it was made in.
        site: Where it was called from.
        start_ns: When it began, by `time.perf_counter_ns`.
        end_ns: When it ended; 0 while it runs.
        first_nr: The next sequence number when it began.
        last_nr: And when it ended.
    """

    __slots__ = (
        "end_ns",
        "first_nr",
        "last_nr",
        "number",
        "parent",
        "path",
        "site",
        "start_ns",
    )

    def __init__(self, path: str, number: int, parent: ModuleCall | None, site: CallSite) -> None:
        self.path = path
        self.number = number
        self.parent = parent
        self.site = site
        self.first_nr = next_sequence_nr()
        self.last_nr = -1
        self.end_ns = 0
        self.start_ns = time.perf_counter_ns()


class ThreadCalls:
    """What one recording saw in one thread, in the step that runs.

    Attributes:
        key: Tells threads apart; identifiers of threads are used again.
        ident: Identifier of the thread.
        name: Name of the thread.
        rows: See `ROW`. In the order in which calls ended.
        modules: Module calls in the order in which they began.
        module: The module call that runs now.
        depth: How many calls of custom Functions run now.
        first_nr: The next sequence number when recording began in this thread.
        is_open: Whether the recording goes on.
        with_stack: Whether sites keep all of torch's own lines.
    """

    def __init__(self, *, with_stack: bool) -> None:
        thread = threading.current_thread()
        self.key = next(_keys)
        self.ident = threading.get_ident()
        self.name = thread.name
        self.rows: list[Any] = []
        self.modules: list[ModuleCall] = []
        self.module: ModuleCall | None = None
        self.depth = 0
        self.first_nr = next_sequence_nr()
        self.is_open = True
        self.with_stack = with_stack

    def start_chunk(self) -> None:
        """What is written from now on belongs to another step."""
        self.rows, self.modules = [], []
        self.first_nr = next_sequence_nr()

    def find_site(self, frame: FrameType | None) -> CallSite:
        """Where something was called from.

        Args:
            frame: The innermost frame that may have called it.
        """
        return find_site(frame, self.module, with_stack=self.with_stack)

    def note(self, before: int, after: int, function: Any, frame: FrameType | None) -> None:
        """Write a row."""
        site = find_site(frame, self.module, with_stack=self.with_stack)
        self.rows += (before, after, function, site, self.module, self.depth)

    def enter_module(self, path: str, number: int, frame: FrameType | None) -> ModuleCall:
        """A module is about to run."""
        call = ModuleCall(path, number, self.module, self.find_site(frame))
        self.modules.append(call)
        self.module = call
        return call

    def leave_module(self, call: ModuleCall) -> None:
        """It is over, in whatever way."""
        call.end_ns = time.perf_counter_ns()
        call.last_nr = next_sequence_nr()
        self.module = call.parent


def find_site(frame: FrameType | None, module: ModuleCall | None, *, with_stack: bool) -> CallSite:
    """Walk outwards to the user's line.

    Every frame that is touched costs, so the walk ends at the call of the module that runs:
    whatever is further out was found when that began.
    """
    inner: list[Position] = []
    while frame is not None:
        code = frame.f_code
        owner = known_owners.get(code.co_filename)
        if owner is None:
            owner = owner_of(code.co_filename)
        if owner is USER:
            return (code, frame.f_lasti), tuple(reversed(inner))
        if owner is LIBRARY:
            if with_stack or not inner:
                inner.append((code, frame.f_lasti))
        # By identity: the hash of a code object goes through all of its constants.
        elif code is _stand_in_codes[0] and module is not None:
            position, outer = module.site
            if with_stack:
                return position, (*outer, *reversed(inner))
            return position, tuple(inner) or outer
        frame = frame.f_back
    return None, tuple(reversed(inner))
