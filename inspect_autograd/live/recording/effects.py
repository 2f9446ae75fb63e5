"""Cuts and writes, seen from the calls of functions."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import CheckpointFunction

from ...events.effects import Cut, Mutation
from ..engine_calls import EngineCall
from ..parameters import TensorNames
from ..private_modes import functions_unobserved
from .cut_finder import CutFinder
from .cut_reasons import is_optimizer_code
from .function_kinds import Kind
from .function_names import name_of_call
from .known_tensors import KnownTensors, NameSource
from .source_lines import SourceLines
from .tensor_arguments import find_tensors
from .writes import Versions, WriteRows, find_statistics, find_targets, read_version, read_versions

if TYPE_CHECKING:
    from .thread_watch import ThreadWatch

__all__ = ["Call", "Effects"]

Call = tuple[Kind, Any, Any, Any]
"""What was called: its kind, the function, positional and named arguments."""

_DETACH_IN_PLACE = torch.Tensor.detach_


@dataclass(slots=True)
class _Before:
    """What is noted before a function that may write is called.

    Attributes:
        versions: The tensors it may write to, and their versions.
        always: Whether it writes to them though no version says so.
        is_certain: Whether it writes to those of them that have no version.
        mask: The leaves behind those that it detaches.
    """

    versions: Versions
    always: bool = False
    is_certain: bool = False
    mask: int = 0


@dataclass(slots=True)
class _FunctionCall:
    """A custom Function while it runs.

    Attributes:
        versions: Those of its arguments.
        needs_grad: The arguments that require grad.
        mark: What was written before.
        gathered: What the checkpoint around it has gathered.
    """

    versions: Versions
    needs_grad: list[torch.Tensor]
    mark: Any
    gathered: int | None


class Effects:
    """Notes cuts and writes of one recording, in all its threads.

    Args:
        begin_ns: What counts as 0 for the times, by `time.perf_counter_ns`.

    Attributes:
        followed: What is known of the tensors that are followed; falsy while there are none.
    """

    def __init__(self, *, begin_ns: int) -> None:
        self.begin_ns = begin_ns
        self._oldest = 0
        self._known = KnownTensors()
        self._writes = WriteRows(self._known)
        self._cuts = CutFinder(self._known)
        self.followed = self._cuts.taints.by_id

    # -- functions -----------------------------------------------------------------------------

    def prepare(self, call: Call, source: NameSource) -> Any:
        """A function is about to be called; what is returned comes back in `finish`."""
        kind, function, args, kwargs = call
        if kind is Kind.LEAVES:
            return None
        with functions_unobserved():
            if kind is Kind.STATISTICS:
                targets, always = find_statistics(function, args, kwargs), True
            else:
                targets = find_targets(kind, args, kwargs)
                always = getattr(function, "__name__", "") == "__set__"
            if not targets:
                return None
            versions = [(tensor, read_version(tensor)) for tensor in targets]
            before = _Before(versions, always, kind is Kind.WRITES)
            if function is _DETACH_IN_PLACE:
                before.mask = self._cuts.leaves_behind(targets, source)
            return before

    def pass_on(self, args: Any, kwargs: Any, result: torch.Tensor) -> bool:
        """All that need be done after a call that was not prepared for and made a node.

        What comes out lies behind the same cuts as what went in.

        Returns:
            False if it is not, since the result has no graph: `isfinite` makes nodes on its way.
        """
        with functions_unobserved():
            if not result.requires_grad:
                return False
        if self.followed:
            taints = self._cuts.taints
            cuts = taints.find(find_tensors(args, kwargs))
            if cuts:
                taints.add(result, cuts)
        return True

    def finish(self, watch: ThreadWatch, call: Call, result: Any, token: Any) -> None:
        """A function was called that is not `Kind.PLAIN`."""
        kind, function, args, kwargs = call
        with functions_unobserved():
            if kind is Kind.LEAVES:
                self._cuts.leave_torch(watch, function, find_tensors(args, kwargs), result)
                return
            written = () if token is None else self._note_writes(watch, function, token)
            outputs = [result] if result.__class__ is torch.Tensor else find_tensors((result,))
            if written and kind is not Kind.STATISTICS:  # Which are no result of what comes after.
                outputs += [t for t in written if all(t is not output for output in outputs)]
            if token is None and not self.followed:
                # Most calls that come here gave back several results, all of them with a graph.
                for output in outputs:
                    if output.grad_fn is None:
                        break
                else:
                    return
            if outputs:
                tensors = find_tensors(args, kwargs)
                mask = 0 if token is None else token.mask
                self._cuts.after_call(watch, function, tensors, outputs, mask)
                cuts = self._cuts.follow(function, args, tensors)
                if cuts:
                    self._cuts.taint(outputs, written, cuts)

    def _note_writes(
        self, watch: ThreadWatch, function: Any, before: _Before
    ) -> Sequence[torch.Tensor]:
        tensors, written = self._writes.find_written(
            before.versions, watch.host, always=before.always, is_certain=before.is_certain
        )
        if written and not (watch.is_counting and is_optimizer_code(sys._getframe())):
            calls = watch.calls_here()
            site = calls.find_site(sys._getframe())
            self._writes.note(name_of_call(function), calls, site, written)
        return tensors

    # -- custom Functions ----------------------------------------------------------------------

    def enter_function(self, watch: ThreadWatch, cls: Any, args: Any) -> Any:
        """A custom Function is about to run."""
        with functions_unobserved():
            tensors = find_tensors(args)
            needs_grad = [tensor for tensor in tensors if tensor.requires_grad]
            versions = [(tensor, read_version(tensor)) for tensor in tensors]
            gathered = watch.gathered
            if cls is CheckpointFunction and not needs_grad and gathered is None:
                watch.gathered = 0
            return _FunctionCall(versions, needs_grad, self._writes.mark(), gathered)

    def leave_function(
        self, watch: ThreadWatch, token: Any, cls: Any, args: Any, result: Any
    ) -> None:
        """It is over; `result` is None where it raised."""
        if token is None:
            return
        gathered, watch.gathered = watch.gathered, token.gathered
        with functions_unobserved():
            written = self._note_writes_of_function(watch, cls, token)
            outputs = find_tensors((result,))
            tensors = find_tensors(args)
            if not outputs:
                return
            is_checkpoint = cls is CheckpointFunction and token.gathered is None
            mask = (gathered or 0) if is_checkpoint else 0
            self._cuts.after_function(watch, cls, token.needs_grad, outputs, mask)
            cuts = self._cuts.follow(cls, args, tensors)
            if cuts:
                self._cuts.taint(outputs, written, cuts)

    def _note_writes_of_function(
        self, watch: ThreadWatch, cls: Any, call: _FunctionCall
    ) -> Sequence[torch.Tensor]:
        """Note what was written but not seen: `mark_dirty` counts, whatever wrote."""
        tensors, written = self._writes.find_written(call.versions, watch.host)
        unseen = [write for write in written if not self._writes.was_noted(call.mark, write[0])]
        if unseen:
            calls = watch.calls_here()
            site = calls.find_site(sys._getframe())
            self._writes.note(f"{cls.__qualname__}.apply", calls, site, unseen)
        return tensors

    # -- optimizers ----------------------------------------------------------------------------

    def begin_optimizer(self, optimizer: Any) -> Any:
        """An optimizer of torch is about to step; what is returned comes back."""
        with functions_unobserved():
            return read_versions(_parameters(optimizer))

    def end_optimizer(self, watch: ThreadWatch, versions: Any, optimizer: Any) -> None:
        """It has."""
        with functions_unobserved():
            parameters, fused = _parameters(optimizer), _find_fused(optimizer)
            if len(parameters) != len(versions):
                return
            find, source = self._known.find, watch.host
            written = [
                ((known := find(parameter, source)), known.meta, before, after)
                for parameter, before, after in zip(
                    parameters, versions, read_versions(parameters), strict=True
                )
                if after != before or (fused and id(parameter) in fused)
            ]
            if written:
                calls = watch.calls_here()
                site = calls.find_site(sys._getframe())
                name = f"torch.optim.{type(optimizer).__qualname__}.step"
                self._writes.note(name, calls, site, written)

    # -- passes and steps ----------------------------------------------------------------------

    def begin_pass(
        self, call: EngineCall, leaves: Iterable[torch.Tensor] | None, source: NameSource
    ) -> None:
        """A backward pass is about to start.

        Args:
            call: How the engine is called.
            leaves: All leaves of its graph, where somebody has walked it anyway.
            source: Has names.
        """
        with functions_unobserved():
            self._cuts.begin_pass(call, leaves, source)

    def start_step(self, step: int, oldest: int) -> None:
        """A step begins; what happened before the step `oldest` is no longer wanted."""
        self._oldest = oldest
        self._cuts.step = step
        self._writes.start_step(step, oldest)
        self._cuts.rows.drop_before(oldest)

    # -- what comes out ------------------------------------------------------------------------

    def mutations(self, names: TensorNames) -> tuple[Mutation, ...]:
        """All writes, in order."""
        return self._writes.to_mutations(names, SourceLines(), self.begin_ns)

    def cuts(self, names: TensorNames) -> tuple[Cut, ...]:
        """All cuts; those that cost a parameter its path come first."""
        return self._cuts.rows.to_cuts(
            names, SourceLines(), self._oldest, has_passes=self._cuts.passes > 0
        )

    def close(self) -> None:
        """Follow nothing any more; what was noted stays."""
        self._cuts.taints.close()
        self._known.close()


def _parameters(optimizer: Any) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _find_fused(optimizer: Any) -> set[int]:
    """Ids of the parameters that a fused kernel writes, which does not count (seen on 2.13)."""
    return {
        id(parameter)
        for group in optimizer.param_groups
        if group.get("fused")
        for parameter in group["params"]
        if parameter.grad is not None
    }
