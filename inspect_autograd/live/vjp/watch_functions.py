"""Let a recorder see the calls of custom Functions, which no mode of torch sees."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..private_torch import function_base
from .record_calls import CallRecorder

__all__ = ["record_calls"]

_lock = threading.Lock()
_recorders: list[CallRecorder] = []
_replaced: list[Any] = []


@contextmanager
def record_calls(recorder: CallRecorder) -> Iterator[None]:
    """Record what runs inside.

    Operators are seen by a dispatch mode. Custom Functions are seen by an `apply` that stands in
    for the one of their base class, in all threads, until the last such block is left.
    """
    base = function_base()
    with _lock:
        if not _recorders:
            _replaced.append(base.__dict__.get("apply"))
            base.apply = classmethod(_recorded_apply)
        _recorders.append(recorder)
    try:
        with recorder:
            yield
    finally:
        with _lock:
            _recorders.remove(recorder)
            if not _recorders:
                replaced = _replaced.pop()
                if replaced is None:
                    del base.apply
                else:
                    base.apply = replaced
        recorder.protect_what_was_touched()


def _recorded_apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
    base = function_base()
    replaced = _replaced[-1] if _replaced else None

    def call() -> Any:
        if replaced is not None:
            return replaced.__get__(None, cls)(*args, **kwargs)
        return super(base, cls).apply(*args, **kwargs)

    thread = threading.get_ident()
    recorder = next((r for r in reversed(_recorders) if r.is_of(thread)), None)
    return call() if recorder is None else recorder.record_function(cls, call, args, kwargs)
