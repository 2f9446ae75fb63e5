"""Real programs whose backward pass makes NaN or Inf, traced with what was seen at the births."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from inspect_autograd.events.first_nonfinite import NonfiniteReport, find_first_nonfinite
from inspect_autograd.events.records import Evidence
from inspect_autograd.events.trace import Trace
from inspect_autograd.live.nonfinite.examine import examine
from tests.conformance.plain_hooks import record_by_plain_hooks, walk

__all__ = [
    "blamed_by_anomaly_mode",
    "broken",
    "leaf",
    "report",
    "report_of",
    "trace_with_evidence",
]

Named = Mapping[str, torch.Tensor]


def leaf(*numbers: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(numbers, dtype=dtype, requires_grad=True)


class Broken(torch.autograd.Function):
    """Its backward multiplies by NaN."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * float("nan")


def broken(x: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = Broken.apply(x)  # type: ignore[no-untyped-call]
    return y


def is_finite(gradient: torch.Tensor | None) -> bool:
    return gradient is None or bool(gradient.isfinite().all())


def trace_with_evidence(
    loss: torch.Tensor, params: Any = None, run: Callable[[], object] | None = None
) -> Trace:
    """A trace, with what `examine` says at each node that made NaN or Inf."""
    found: list[Evidence] = []
    finished: list[torch.autograd.graph.Node] = []

    def look(returned: Any, received: Any) -> None:
        node = torch._C._current_autograd_node()
        finished.append(node)
        if all(map(is_finite, received)) and not all(map(is_finite, returned)):
            seen = examine(node, received, returned)
            assert seen is not None
            found.append(Evidence(len(finished) - 1, *seen))

    handles = [node.register_hook(look) for node in walk(loss.grad_fn)]
    try:
        trace = record_by_plain_hooks(loss, params, run)
    finally:
        for handle in handles:
            handle.remove()
    return Trace(replace(trace.data, evidence=tuple(found)))


def report(trace: Trace) -> NonfiniteReport:
    found = find_first_nonfinite(trace)
    assert found is not None
    return found


def report_of(loss: torch.Tensor, params: Any = None) -> NonfiniteReport:
    return report(trace_with_evidence(loss, params))


def blamed_by_anomaly_mode(program: Callable[[], torch.Tensor]) -> str | None:
    """The node that `set_detect_anomaly(True)` names; None if it lets the pass go through."""
    with warnings.catch_warnings():
        # That the mode is on, and the traceback of the forward call.
        warnings.simplefilter("ignore")
        with torch.autograd.set_detect_anomaly(True):
            return blamed(program())


def blamed(loss: torch.Tensor) -> str | None:
    try:
        loss.backward()
    except RuntimeError as error:
        return str(error).split("'")[1]
    return None
