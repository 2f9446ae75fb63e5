"""From an exception to a Scene."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch.autograd.graph import GradientEdge

from ...diagnosis.scene import (
    CallFacts,
    FrameFacts,
    HookFacts,
    RunningFacts,
    Scene,
    TensorFacts,
)
from ...events.recording import Recording
from ...graph.graph import Graph
from ...graph.tensor_meta import TensorMeta
from ..attributors import innermost_attributor
from ..capture import LiveCapture, capture_live
from ..carried import carried_attributor, carried_recording, carried_trace
from ..file_owners import USER, owner_of
from ..holders.safe_access import is_kind_of
from ..parameters import TensorNames, collect_names
from ..private_torch import unobserved
from .calls import LiveCall, find_call
from .checkpoints import find_checkpoint
from .failure import chain_of, describe_failure, text_of
from .frames import callers_of, describe_frames, frames_in_text, walk_traceback
from .functions import describe_functions
from .hooks import find_hooks
from .involved import Involved, find_involved
from .line_finder import LineFinder
from .modified import find_modified
from .numbers import work_out_numbers
from .replicas import find_replica
from .running import find_running, running_node
from .tensors import TensorDescriber
from .transforms import find_transformed, find_transforms
from .unpack_hooks import find_unpack_hooks
from .variables import module_tensors, named_tensors, read_variables
from .warned import find_warnings

__all__ = ["gather"]

MAX_NODES = 100_000
"""Nodes of the graph that are looked at; of a larger one, those next to the outputs."""
MAX_NAMED = 50_000

T = TypeVar("T")


def gather(
    error: BaseException, *, params: Any = None, led_to: Sequence[BaseException] = ()
) -> Scene:
    """All that the exception, its traceback and what it carries tell.

    Nothing is run again: no forward pass, no hook, no code of the user.

    Args:
        error: Any exception; the more of its traceback is there, the more is found.
        params: Names for tensors, as for `capture`.
        led_to: The exceptions that were raised from it. Their frames may know names.
    """
    is_grad_enabled = torch.is_grad_enabled()
    is_inference_mode = torch.is_inference_mode_enabled()
    with unobserved(), torch.inference_mode(False), torch.no_grad():
        scene = _Gatherer(error, collect_names(params), led_to).gather()
    return replace(scene, is_grad_enabled=is_grad_enabled, is_inference_mode=is_inference_mode)


class _Gatherer:
    """Gathers one scene. It holds tensors and frames; it is dropped when the scene is there."""

    def __init__(
        self, error: BaseException, names: TensorNames, led_to: Sequence[BaseException]
    ) -> None:
        self._error = error
        self._message = text_of(error)
        self._led_to = led_to
        self._notes: list[str] = []
        self._frames = walk_traceback(error.__traceback__)
        self._attributor = next(
            (a for e in (error, *led_to) if (a := carried_attributor(e)) is not None), None
        )
        self._recording = self._find_recording()
        self._names = names
        self._lines = LineFinder(self._recording)
        self._describer = TensorDescriber(names, self._lines.find)
        self._graph: Graph | None = None
        self._live: LiveCapture | None = None

    def gather(self) -> Scene:
        """All parts. One that cannot be had becomes a note, and the others are there."""
        error, describer, attempt = self._error, self._describer, self._attempt
        attempt("the names of tensors", self._collect_names, None)
        call = attempt("the call", lambda: find_call(self._frames, self._message), None)
        involved = attempt("the failing line", lambda: find_involved(self._frames), Involved())
        if call is None:
            with contextlib.suppress(Exception):  # Where no call fails there may be none.
                self._capture([*involved.nodes, *filter(_has_node, involved.tensors)])
        else:
            outputs = list(filter(_is_output, call.outputs))
            attempt("the graph", lambda: self._capture(outputs), None)
        ids = {} if self._live is None else self._live.ids
        frames, message = self._frames, self._message
        trace = next((t for e in (error, *self._led_to) if (t := carried_trace(e))), None)
        seen = self._recording if trace is None else trace
        no_frames: tuple[FrameFacts, ...] = ()
        running = attempt(
            "the running node",
            lambda: find_running(frames, message, self._graph, ids, seen),
            None,
        )
        return Scene(
            failure=describe_failure(error, frames),
            chain=attempt("the exceptions behind it", lambda: chain_of(error), ()),
            led_to=tuple(
                describe_failure(e, walk_traceback(e.__traceback__)) for e in reversed(self._led_to)
            ),
            frames=(
                *attempt("the frames", lambda: describe_frames(frames, describer), no_frames),
                *frames_in_text(message),
            ),
            operation=involved.operation,
            involved=tuple(map(describer.describe, involved.tensors)),
            call=None if call is None else self._describe_call(call),
            graph=self._graph,
            modified=attempt("modified tensors", self._modified, ()),
            running=running,
            numbers=attempt("numbers", lambda: self._numbers(call), {}),
            functions=attempt(
                "custom Functions",
                lambda: describe_functions(ids, frames, message),
                (),
            ),
            transforms=attempt("transforms", lambda: find_transforms(frames), ()),
            hooks=attempt("hooks", lambda: self._hooks(call, running), ()),
            warnings=attempt("warnings", lambda: find_warnings(frames), ()),
            recording=self._recording,
            trace=trace,
            torch_version=torch.__version__,
            notes=tuple(self._notes),
        )

    def _attempt(self, what: str, find: Callable[[], T], otherwise: T) -> T:
        try:
            return find()
        except Exception as fault:
            self._notes.append(
                f"inspect_autograd failed to find {what}: {type(fault).__name__}: {fault}"
            )
            return otherwise

    # -- names ---------------------------------------------------------------------------------

    def _collect_names(self) -> None:
        """What the program calls its tensors: the frames of the traceback, then who called."""
        outer = [f for e in self._led_to for f in walk_traceback(e.__traceback__)]
        frames = [live.frame for live in (*reversed(self._frames), *reversed(outer))]
        users = [f for f in frames if owner_of(f.f_code.co_filename) == USER]
        users += callers_of(outer or self._frames)
        users = list(dict.fromkeys(users))
        all_variables = list(map(read_variables, users))
        for find in (named_tensors, module_tensors):
            count = 0
            for variables in all_variables:
                for name, tensor in find(variables):
                    self._describer.name(tensor, name)
                    count += 1
                    if count >= MAX_NAMED:
                        return

    def _names_for_graph(self) -> TensorNames:
        """Names of leaves and of memory: those that were given, then those of the program.

        Tensors in one place of memory share their names, and the first one is the best: that of
        the leaf itself, not of something detached from it.
        """
        pairs = [(name, tensor) for names, tensor in self._names.items() for name in names]
        found = sorted(self._describer.named(), key=lambda pair: _rank(pair[1]))
        return TensorNames([*pairs, *found])

    # -- the graph -----------------------------------------------------------------------------

    def _capture(self, outputs: list[Any]) -> None:
        node = running_node(self._frames)
        if not any(map(_has_graph, outputs)):
            if node is None:
                return
            outputs = [node]
        names = self._names_for_graph()
        self._live = live = capture_live(
            outputs, names, max_nodes=MAX_NODES, attributor=self._attributor
        )
        self._graph = live.graph
        self._describer.ids, self._describer.storages = live.ids, live.storages
        self._lines.live = live

    def _modified(self) -> Any:
        if self._live is None or self._graph is None:
            return ()
        mutations = () if self._recording is None else self._recording.mutations
        return find_modified(self._graph, self._live.ids, self._describer, self._message, mutations)

    def _hooks(self, call: LiveCall | None, running: RunningFacts | None) -> tuple[HookFacts, ...]:
        ids = {} if self._live is None else self._live.ids
        return (
            *find_hooks(self._frames, self._message, ids, self._describer, call),
            *find_unpack_hooks(self._message, self._live, running),
        )

    def _numbers(self, call: LiveCall | None) -> dict[str, object]:
        frames, message, describer = self._frames, self._message, self._describer
        special = {
            "checkpoint": self._attempt("the checkpoint", lambda: find_checkpoint(frames), None),
            "transformed": self._attempt(
                "the transformed function", lambda: find_transformed(frames), None
            ),
            "replica": self._attempt(
                "the replica", lambda: find_replica(frames, message, describer), None
            ),
        }
        found: dict[str, object] = {key: facts for key, facts in special.items() if facts}
        if call is None or self._live is None:
            return found
        ids = self._live.ids
        return found | work_out_numbers(call, message, self._graph, ids, describer)

    # -- what was seen -------------------------------------------------------------------------

    def _find_recording(self) -> Recording | None:
        for error in (self._error, *self._led_to):
            recording = carried_recording(error)
            if recording is not None:
                return recording
        open_one = innermost_attributor()
        return None if open_one is None else open_one.recording

    # -- the call ------------------------------------------------------------------------------

    def _describe_call(self, call: LiveCall) -> CallFacts:
        return CallFacts(
            call=call.call,
            outputs=tuple(map(self._describe, call.outputs)),
            gradients=tuple(None if g is None else self._describe(g) for g in call.gradients),
            inputs=None if call.inputs is None else tuple(map(self._describe, call.inputs)),
            retain_graph=call.retain_graph,
            create_graph=call.create_graph,
            allow_unused=call.allow_unused,
            failing=call.failing,
        )

    def _describe(self, value: Any) -> TensorFacts:
        if is_kind_of(value, GradientEdge):
            return self._describer.describe_edge(value)
        if is_kind_of(value, torch.Tensor):
            return self._describer.describe(value)
        unknown = TensorMeta(shape=None, dtype="?", device="?", layout=None)
        return TensorFacts((), unknown, kind=type(value).__qualname__)


def _is_output(value: Any) -> bool:
    return is_kind_of(value, torch.Tensor) or is_kind_of(value, GradientEdge)


def _has_graph(value: Any) -> bool:
    if not is_kind_of(value, torch.Tensor):
        return True
    try:
        return bool(value.requires_grad)
    except RuntimeError:
        return False


def _has_node(tensor: torch.Tensor) -> bool:
    try:
        return tensor.grad_fn is not None
    except RuntimeError:
        return False


def _rank(tensor: torch.Tensor) -> int:
    """Leaves first, then what carries a graph."""
    try:
        return 0 if tensor.requires_grad and tensor.is_leaf else 1 + (not tensor.requires_grad)
    except RuntimeError:
        return 2
