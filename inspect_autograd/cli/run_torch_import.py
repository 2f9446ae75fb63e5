"""Begin to record when the script imports torch, and not before.

What a script does before that counts: the environment variables that torch reads as it is
imported, `sys.path`, the time it takes. A script without torch never gets to see it.
"""

from __future__ import annotations

from collections.abc import Callable

from ..live.when_imported import ImportWatch

__all__ = ["when_torch_is_imported"]


def when_torch_is_imported(action: Callable[[], object]) -> None:
    """Call `action` once, as soon as torch is there; at once if it is already.

    Args:
        action: It is called in the middle of the script's import, so it must not raise.
    """
    ImportWatch("torch", action).begin()
