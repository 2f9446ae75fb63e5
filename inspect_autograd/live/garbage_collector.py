"""Keep Python's garbage collector quiet while many objects are made that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]


@contextmanager
def collector_paused() -> Iterator[None]:
    """No automatic collection inside.

    Every 700 new containers set off a collection, and now and then one of everything that the
    process holds. Hooking the nodes of a big graph makes containers only, none of which can go:
    the collections would find nothing and take five times as long as the hooking itself.
    """
    was_enabled = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if was_enabled:
            gc.enable()
