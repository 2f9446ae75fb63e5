"""Warnings that PyTorch gave before a failure, as far as Python remembers them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..file_owners import USER, owner_of
from ..holders.safe_access import class_name, is_kind_of, mro
from .live_frame import LiveFrame

__all__ = ["find_warnings"]

MAX_WARNINGS = 20
_TEXT = re.compile(r"grad|leaf|backward|torch|tensor|optimizer|detach", re.IGNORECASE)


def find_warnings(frames: Sequence[LiveFrame]) -> tuple[tuple[str, str], ...]:
    """Category and text of each, innermost module of the user first.

    So that a warning is shown once for a line, Python notes it in `__warningregistry__` of the
    module that the line is in. It notes nothing where warnings are always shown, or never.
    """
    found: dict[tuple[str, str], None] = {}
    modules = [
        live.frame.f_globals
        for live in reversed(frames)
        if owner_of(live.frame.f_code.co_filename) == USER
    ]
    for variables in {id(v): v for v in modules}.values():
        registry: Any = variables.get("__warningregistry__")
        for key in list(registry) if is_kind_of(registry, dict) else ():
            if not is_kind_of(key, tuple) or len(key) < 2:
                continue
            text, category = key[:2]
            is_warning = is_kind_of(category, type) and Warning in mro(category)
            if type(text) is str and is_warning and _TEXT.search(text):
                found[class_name(category), text] = None
    return tuple(found)[:MAX_WARNINGS]
