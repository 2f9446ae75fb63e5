"""What went wrong in our own code while a program was recorded."""

from __future__ import annotations

__all__ = ["Failures"]


class Failures:
    """Counts our own errors: the user's program must not fail for our sake."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def note(self, error: Exception) -> None:
        """Count one."""
        text = f"{type(error).__name__}: {error}"
        self._counts[text] = self._counts.get(text, 0) + 1

    def to_notes(self) -> tuple[str, ...]:
        """A line for each kind of error."""
        return tuple(
            f"inspect_autograd itself failed {count} times while it took notes ({text}); what it "
            "could not note is missing"
            for text, count in self._counts.items()
        )
