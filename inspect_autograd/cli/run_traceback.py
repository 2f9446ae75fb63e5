"""The traceback of a script that we run, as it would look without us."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, TracebackType

__all__ = ["drop_our_frames"]

FROZEN = "<frozen "
OURS = f"{Path(__file__).parents[1]}{os.sep}"
DISPATCH = "handle_torch_function"
"""The function of `torch.overrides` through which torch's own Python code reaches a function mode:
`F.linear` calls it, it calls the mode, and that calls `F.linear` again."""


def drop_our_frames(error: BaseException) -> None:
    """Take our frames out of the tracebacks of an error and of those that it came from.

    The tracebacks themselves are changed: with the end of the script nobody needs them any more,
    and every way to show them, `sys.excepthook` of the script's too, is to see the same.
    """
    pending: list[BaseException] = [error]
    seen: set[int] = set()
    while pending:
        part = pending.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        part.__traceback__ = _without_ours(part.__traceback__)
        inner = part.exceptions if isinstance(part, BaseExceptionGroup) else ()
        pending += [e for e in (part.__cause__, part.__context__, *inner) if e is not None]


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    entries = list(_entries(traceback))
    kept = [entries[i] for i in _kept([entry.tb_frame.f_code for entry in entries])]
    following = None
    for entry in reversed(kept):
        entry.tb_next = following
        following = entry
    return following


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _kept(codes: list[CodeType]) -> list[int]:
    """Positions of the frames that would be there without us."""
    kept: list[int] = []
    follows_ours = True  # What stands first is how Python came to run us.
    for i, code in enumerate(codes):
        if code.co_filename.startswith(OURS):
            while kept and _leads_to_us(codes[kept[-1]]):
                del kept[-1]
            follows_ours = True
        elif not (follows_ours and code.co_filename.startswith(FROZEN)):
            if follows_ours:
                _join_call(codes, kept, code)
            kept.append(i)
            follows_ours = False
    return kept


def _leads_to_us(code: CodeType) -> bool:
    """Whether a frame right before one of ours is there for our sake.

    Python leaves its importing out of tracebacks, but not with us in the middle. And what is not
    to be compiled is called through a function of the compiler.
    """
    file = code.co_filename
    is_compiler = file.endswith(f"_dynamo{os.sep}eval_frame.py") and code.co_name == "_fn"
    return is_compiler or file.startswith(FROZEN)


def _join_call(codes: list[CodeType], kept: list[int], code: CodeType) -> None:
    """Drop a function and the way from it into our mode, out of which it is called again."""
    if len(kept) > 1 and codes[kept[-1]].co_name == DISPATCH:
        del kept[-1]
        if codes[kept[-1]] is code:
            del kept[-1]
