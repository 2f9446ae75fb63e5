"""Put things back in order also where the user presses Ctrl-C meanwhile."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["finish"]


def finish(*steps: Callable[[], object]) -> None:
    """Run all steps to their end, and only then raise what ended one of them early.

    Args:
        steps: Run in this order; one that is interrupted is run again, so each must do nothing
            where nothing is left to do.
    """
    raised: BaseException | None = None
    for step in steps:
        is_done = False
        while not is_done:
            try:
                step()
                is_done = True
            except KeyboardInterrupt as error:
                raised = error
            except Exception as error:
                raised, is_done = raised or error, True
    if raised is not None:
        raise raised
