"""How far a run is, on a terminal: a whole line now and then.

A line that is drawn over itself would be cut to pieces by what the script prints, or cut that to
pieces: nobody sees where on its line the script has stopped, and its streams are not ours. So
these are whole lines, and they become rare: the pause between two doubles each time.
"""

from __future__ import annotations

import sys
import time

__all__ = ["Progress"]

FIRST_PAUSE_S = 10.0
LONGEST_PAUSE_S = 600.0


class Progress:
    """Says how far a run is.

    Args:
        is_on: Whether to say anything.
    """

    def __init__(self, *, is_on: bool) -> None:
        self._is_on = is_on
        self._begin = time.monotonic()
        self._pause = FIRST_PAUSE_S
        self._next = self._begin + self._pause

    def tell(self, *, step: int, passes: int, files: int, recording: bool) -> None:
        """A step is over."""
        now = time.monotonic()
        if not self._is_on or now < self._next:
            return
        self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        self._next = now + self._pause
        state = "" if recording else ", not recording"
        text = (
            f"inspect-autograd: step {step}, {passes} backward passes, {files} traces kept, "
            f"{now - self._begin:.0f} s{state}\n"
        )
        try:
            sys.__stderr__.write(text)  # type: ignore[union-attr]
            sys.__stderr__.flush()  # type: ignore[union-attr]
        except (AttributeError, OSError, ValueError):
            self._is_on = False  # The script has closed it.
