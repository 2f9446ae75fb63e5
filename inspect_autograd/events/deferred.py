"""Data that is still coming in while its block is open, and plain data afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from ..errors import InspectAutogradError

__all__ = ["Deferred"]

T = TypeVar("T")


class Deferred(Generic[T]):
    """What a block has seen: asked of a source as long as the block is open, then fixed.

    Args:
        data: All of it, where it is known.
        source: Gives what has come in so far.
    """

    __slots__ = ("__weakref__", "_data", "_source")

    _WHAT: ClassVar[str]
    _REMEDY: ClassVar[str]

    def __init__(self, data: T | None = None, *, source: Callable[[], T] | None = None) -> None:
        self._data = data
        self._source = source

    @property
    def data(self) -> T:
        """All parts as one frozen record."""
        if self._data is not None:
            return self._data
        if self._source is None:
            raise InspectAutogradError(
                f"this {self._WHAT} has no data: its block was left before anything was recorded",
                remedy=self._REMEDY,
            )
        return self._source()

    def _settle(self, data: T) -> None:
        self._data = data
        self._source = None
