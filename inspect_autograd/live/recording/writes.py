"""Writes in place, seen from how often a tensor says that it was written."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import torch

from ...events.effects import Mutation
from ...graph.tensor_meta import TensorMeta
from ..parameters import TensorNames
from ..private_torch import version_of
from .calls import CallSite, ModuleCall, ThreadCalls
from .function_kinds import Kind
from .known_tensors import KnownTensor, KnownTensors, NameSource
from .source_lines import SourceLines
from .tensor_arguments import find_tensors

__all__ = ["Versions", "WriteRows", "Written", "find_statistics", "find_targets", "read_version"]

Versions = list[tuple[torch.Tensor, int | None]]
"""Tensors that a call may write to, each with its version before."""

Written = tuple[KnownTensor, TensorMeta, int | None, int | None]
"""What was written, and its versions before and after."""


def read_version(tensor: torch.Tensor) -> int | None:
    """How often a tensor was written; None for an inference tensor, which does not count."""
    try:
        return version_of(tensor)
    except RuntimeError:
        return None


def read_versions(tensors: Sequence[torch.Tensor]) -> list[int | None]:
    """The same for many tensors."""
    try:
        return list(map(version_of, tensors))
    except RuntimeError:
        return list(map(read_version, tensors))


def find_targets(kind: Kind, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors that a function may write to."""
    if kind is Kind.MAY_WRITE or (kwargs and kwargs.get("inplace")):
        return find_tensors(args, kwargs)
    out = find_tensors((kwargs.get("out"),)) if kwargs else []
    if kind is Kind.WRITES:
        # Those of torch.nn.init hand all of their arguments on by name.
        return out + (find_tensors(args[:1]) if args else find_tensors((), kwargs))
    return out


def find_statistics(function: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The running statistics that a call updates.

    The versions of these stay as they are (seen on 2.13), so it is the arguments that tell.
    """
    is_native = isinstance(function, BuiltinFunctionType | MethodDescriptorType)
    given = kwargs or {}
    places = (3, 4, 5) if is_native else (1, 2, 5)
    names = ("running_mean", "running_var", "training")
    mean, var, updates = (
        args[place] if place < len(args) else given.get(name)
        for place, name in zip(places, names, strict=True)
    )
    if updates is None:
        updates = given.get("use_input_stats", True)
    return find_tensors((mean, var)) if updates else []


@dataclass(slots=True)
class _Write:
    """One call that wrote, maybe to many tensors."""

    function: str
    site: CallSite
    module: ModuleCall | None
    thread: str
    time_ns: int
    written: Sequence[Written]


class WriteRows:
    """All writes, by step.

    Args:
        known: Remembers the tensors that were written.
    """

    def __init__(self, known: KnownTensors) -> None:
        self._known = known
        self._steps: deque[tuple[int, list[_Write]]] = deque()
        self.start_step(0, 0)

    def start_step(self, step: int, oldest: int) -> None:
        """A step begins; what happened before the step `oldest` is dropped."""
        self._writes: list[_Write] = []
        self._steps.append((step, self._writes))
        while self._steps[0][0] < oldest:
            self._steps.popleft()

    def mark(self) -> tuple[list[_Write], int]:
        """The place that has been reached, for `was_noted`."""
        return self._writes, len(self._writes)

    def was_noted(self, mark: tuple[list[_Write], int], tensor: KnownTensor) -> bool:
        """Whether a write to a tensor was noted since."""
        writes, count = mark
        return any(tensor is known for write in writes[count:] for known, _, _, _ in write.written)

    def note(
        self,
        function: str,
        calls: ThreadCalls,
        site: CallSite,
        written: Sequence[Written],
    ) -> None:
        """A call wrote to tensors."""
        now = time.perf_counter_ns()
        self._writes.append(_Write(function, site, calls.module, calls.name, now, written))

    def find_written(
        self,
        versions: Versions,
        source: NameSource,
        *,
        always: bool = False,
        is_certain: bool = False,
    ) -> tuple[list[torch.Tensor], list[Written]]:
        """Those tensors whose version has risen, once each.

        Args:
            versions: Those before.
            source: Has names.
            always: Whether they were written even if no version says so.
            is_certain: Whether those that have no version were written.
        """
        tensors: list[torch.Tensor] = []
        written: list[Written] = []
        known, describe = self._known, self._known.metas.describe
        for tensor, before in versions:
            after = read_version(tensor)
            is_written = always or after != before or (is_certain and after is None)
            if is_written and all(tensor is not other for other in tensors):
                tensors.append(tensor)
                written.append((known.find(tensor, source), describe(tensor), before, after))
        return tensors, written

    def to_mutations(
        self, names: TensorNames, lines: SourceLines, begin_ns: int
    ) -> tuple[Mutation, ...]:
        """All writes of the steps that are kept, in order."""
        return tuple(
            mutation
            for step, writes in self._steps
            for write in writes
            for mutation in _to_mutations(write, step, names, lines, begin_ns)
        )


def _to_mutations(
    write: _Write, step: int, names: TensorNames, lines: SourceLines, begin_ns: int
) -> Iterator[Mutation]:
    for known, meta, before, after in write.written:
        known.refresh_names(names)
        yield Mutation(
            function=write.function,
            source=lines.find(write.site[0]),
            scope=None if write.module is None else write.module.path,
            tensor=known.name,
            meta=meta,
            version_before=before,
            version_after=after,
            step=step,
            thread=write.thread,
            time_ns=write.time_ns - begin_ns,
            view_of=known.view_of,
        )
