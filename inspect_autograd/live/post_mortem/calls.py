"""Find the call of backward() or grad() in the frames of a traceback, and its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.autograd.graph import GradientEdge

from ..holders.frames import read_locals
from ..holders.safe_access import is_kind_of
from .live_frame import LiveFrame

__all__ = ["LiveCall", "find_call"]


@dataclass(slots=True)
class LiveCall:
    """The arguments of the call, live; hold it no longer than needed."""

    call: Literal["backward", "grad"]
    outputs: list[Any]
    gradients: list[Any]
    inputs: list[Any] | None
    retain_graph: bool | None
    create_graph: bool
    allow_unused: bool | None
    failing: int | None


_BACKWARD = torch.autograd.backward.__code__
_GRAD = torch.autograd.grad.__code__
_METHOD = torch.Tensor.backward.__code__
_INDEX = re.compile(r"(?:element|differentiated Tensor at index|grad_output\[|output\[) ?(\d+)")


def find_call(frames: Sequence[LiveFrame], message: str) -> LiveCall | None:
    """The innermost such call; None if there is none in the traceback."""
    for live in reversed(frames):
        reader = _READERS.get(live.frame.f_code)
        if reader is not None:
            found = reader(dict(read_locals(live.frame)))
            found.failing = _failing(found, frames, message)
            return found
    return None


def _from_backward(variables: Mapping[str, Any]) -> LiveCall:
    return LiveCall(
        "backward",
        _as_list(variables.get("tensors")),
        _as_list(variables.get("grad_tensors")),
        _as_list(variables["inputs"]) if variables.get("inputs") is not None else None,
        variables.get("retain_graph"),
        bool(variables.get("create_graph")),
        None,
        None,
    )


def _from_grad(variables: Mapping[str, Any]) -> LiveCall:
    return LiveCall(
        "grad",
        _as_list(variables.get("t_outputs", variables.get("outputs"))),
        _as_list(variables.get("grad_outputs")),
        _as_list(variables.get("t_inputs", variables.get("inputs"))),
        variables.get("retain_graph"),
        bool(variables.get("create_graph")),
        variables.get("allow_unused"),
        None,
    )


def _from_method(variables: Mapping[str, Any]) -> LiveCall:
    inputs = variables.get("inputs")
    return LiveCall(
        "backward",
        _as_list(variables.get("self")),
        _as_list(variables.get("gradient")),
        None if inputs is None else _as_list(inputs),
        variables.get("retain_graph"),
        bool(variables.get("create_graph")),
        None,
        None,
    )


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    if is_kind_of(value, GradientEdge):  # Which is a tuple.
        return [value]
    return list(value) if is_kind_of(value, tuple) or is_kind_of(value, list) else [value]


_READERS = {_BACKWARD: _from_backward, _GRAD: _from_grad, _METHOD: _from_method}


def _failing(call: LiveCall, frames: Sequence[LiveFrame], message: str) -> int | None:
    """Which output the failure is about: what the message says, or what `_make_grads` was at."""
    for out in _outputs_at_work(frames):
        for index, output in enumerate(call.outputs):
            if output is out:
                return index
    found = _INDEX.search(message)
    if found is None:
        return 0 if len(call.outputs) == 1 else None
    return int(found[1])


def _outputs_at_work(frames: Sequence[LiveFrame]) -> Iterator[Any]:
    for live in reversed(frames):
        if live.frame.f_code.co_name == "_make_grads":
            yield from (value for name, value in read_locals(live.frame) if name == "out")
