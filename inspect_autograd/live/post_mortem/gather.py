"""From an exception to a Scene."""

from __future__ import annotations

import contextlib
import traceback as tracebacks
from collections.abc import Mapping
from typing import Any

import torch

from ...diagnosis.records import Failure
from ...diagnosis.scene import CallFacts, Scene, TensorFacts
from ...events.recording import Recording
from ...graph.creation import SourceLine
from ...graph.graph import Graph
from ..capture import capture
from ..parameters import collect_names
from ..private_torch import LiveNode, unobserved
from ..walk import walk_graph
from .calls import LiveCall, find_call
from .carried import carried_recording, carried_trace
from .frames import LiveFrame, describe_frames, owner_of, walk_traceback
from .functions import describe_functions
from .tensors import TensorDescriber

__all__ = ["gather"]


def gather(error: BaseException, *, params: Any = None) -> Scene:
    """All that the exception, its traceback and what it carries tell.

    Nothing is run again: no forward pass, no hook, no code of the user.

    Args:
        error: Any exception; the more of its traceback is there, the more is found.
        params: Names for tensors, as for `capture`.
    """
    with unobserved(), torch.no_grad():
        frames = list(walk_traceback(error.__traceback__))
        recording, trace = carried_recording(error), carried_trace(error)
        describer = TensorDescriber(
            collect_names(params), None if recording is None else _source_finder(recording)
        )
        call = find_call(frames, str(error))
        graph, ids = _graph_of(call, params)
        describer.ids = ids
        facts = describe_frames(frames, describer)
        return Scene(
            failure=_failure(error, frames),
            chain=_chain(error),
            frames=facts,
            call=None if call is None else _describe_call(call, describer),
            graph=graph,
            functions=describe_functions(ids, _functions_in(frames)),
            is_grad_enabled=True,
            is_inference_mode=torch.is_inference_mode_enabled(),
            recording=recording,
            trace=trace,
            torch_version=torch.__version__,
        )


def _source_finder(recording: Recording) -> Any:
    def find(node: LiveNode) -> Any:
        creation = recording.creation_of(node)
        return None if creation is None else creation.source

    return find


def _failure(error: BaseException, frames: list[LiveFrame]) -> Failure:
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    source = None
    for frame, line in reversed(frames):
        if owner_of(frame.f_code.co_filename) == "user":
            source = SourceLine(frame.f_code.co_filename, line, frame.f_code.co_qualname)
            break
    return Failure(f"{module}{kind.__qualname__}", _text_of(error), source)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "".join(tracebacks.format_exception_only(error)).strip()


def _chain(error: BaseException) -> tuple[Failure, ...]:
    found: list[Failure] = []
    seen = {id(error)}
    current = error.__cause__ or error.__context__
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        found.append(_failure(current, list(walk_traceback(current.__traceback__))))
        current = current.__cause__ or current.__context__
    return tuple(found)


def _graph_of(call: LiveCall | None, params: Any) -> tuple[Graph | None, Mapping[LiveNode, int]]:
    if call is None:
        return None, {}
    outputs = [output for output in call.outputs if isinstance(output, torch.Tensor)]
    with contextlib.suppress(Exception):
        graph = capture(outputs, params=params)
        roots = [o.grad_fn for o in outputs if o.grad_fn is not None]
        return graph, walk_graph(roots).ids if roots else {}
    return None, {}


def _describe_call(call: LiveCall, describer: TensorDescriber) -> CallFacts:
    def describe(value: Any) -> TensorFacts | None:
        return describer.describe(value) if isinstance(value, torch.Tensor) else None

    return CallFacts(
        call=call.call,
        outputs=tuple(f for f in map(describe, call.outputs) if f is not None),
        gradients=tuple(map(describe, call.gradients)),
        inputs=None
        if call.inputs is None
        else tuple(f for f in map(describe, call.inputs) if f is not None),
        retain_graph=call.retain_graph,
        create_graph=call.create_graph,
        allow_unused=call.allow_unused,
        failing=call.failing,
    )


def _functions_in(frames: list[LiveFrame]) -> list[type]:
    """Classes of custom Functions that the frames lead into: `cls` of their `apply`."""
    found = [frame.f_locals.get("cls") for frame, _ in frames]
    return [
        cls
        for cls in dict.fromkeys(c for c in found if isinstance(c, type))
        if issubclass(cls, torch.autograd.Function)
    ]

