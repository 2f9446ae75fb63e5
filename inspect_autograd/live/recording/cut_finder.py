"""Finds cuts, and follows what comes out of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.checkpoint import CheckpointFunction

from ...events.effects import CutReason
from ..engine_calls import EngineCall
from .cut_reasons import COPIES, is_differentiable, is_internal, is_one_by_one, reason_of
from .cut_rows import CutRow, CutRows
from .function_names import name_of_call
from .graph_leaves import GraphLeaves
from .known_tensors import KnownTensors, NameSource
from .taints import NONE, Cuts, Taints
from .tensor_arguments import find_tensors

if TYPE_CHECKING:
    from .thread_watch import ThreadWatch

__all__ = ["CutFinder"]

CHECKPOINT = "torch.utils.checkpoint.checkpoint"
Tensors = Sequence[torch.Tensor]


class CutFinder:
    """Notes cuts and follows tensors, in all threads of one recording.

    Everything here is to be called where no function mode sees it.

    Args:
        known: Remembers leaves.

    Attributes:
        taints: The tensors that are followed.
        rows: The cuts.
        step: The step that runs.
        passes: How many backward passes began.
    """

    def __init__(self, known: KnownTensors) -> None:
        self.taints = Taints()
        self.rows = CutRows(known)
        self._leaves = GraphLeaves(known)
        self.step = 0
        self.passes = 0
        self._known = known

    def after_call(
        self, watch: ThreadWatch, function: Any, tensors: Tensors, outputs: Tensors, mask: int
    ) -> None:
        """A function was called: note the cuts that it made.

        Args:
            watch: Saw it.
            function: What was called.
            tensors: Its arguments.
            outputs: Its results, and what it wrote to.
            mask: The leaves behind arguments that carried a graph and do so no more.
        """
        bare = _find_bare(function, tensors, outputs)
        if not bare:
            return
        sources = [
            tensor
            for tensor in tensors
            if tensor.requires_grad and all(tensor is not output for output in outputs)
        ]
        if not (sources or mask) or not self._is_heard(watch, sources):
            return
        mask |= self.leaves_behind(sources, watch.host)
        reasons: dict[CutReason, torch.Tensor] = {}
        for output in bare:
            reasons.setdefault(reason_of(function, output), output)
        name = name_of_call(function)
        cuts = frozenset(
            self._note(watch, reason, name, mask, output) for reason, output in reasons.items()
        )
        self.taint(bare, (), cuts)

    def after_function(
        self, watch: ThreadWatch, cls: Any, sources: Tensors, outputs: Tensors, mask: int
    ) -> None:
        """A custom Function was called: note the cut that it made.

        Args:
            watch: Saw it.
            cls: Its class.
            sources: Those of its arguments that require grad.
            outputs: Its results.
            mask: For a checkpoint, the leaves that were used inside, if no argument requires grad.
        """
        bare = [output for output in outputs if not output.requires_grad]
        if not bare or not (sources or mask) or not self._is_heard(watch, sources, is_user=True):
            return
        mask |= self.leaves_behind(sources, watch.host)
        is_checkpoint = cls is CheckpointFunction
        reason: CutReason = "checkpoint" if is_checkpoint else "custom Function"
        if not torch.is_grad_enabled():
            reason = "inference_mode" if torch.is_inference_mode_enabled() else "no_grad"
        name = CHECKPOINT if is_checkpoint else f"{cls.__qualname__}.apply"
        self.taint(bare, (), frozenset((self._note(watch, reason, name, mask, bare[0]),)))

    def leave_torch(self, watch: ThreadWatch, function: Any, tensors: Tensors, result: Any) -> None:
        """The values of tensors were handed out: `item`, `tolist`, `numpy`."""
        cuts = self.taints.find(tensors)
        sources = [tensor for tensor in tensors if tensor.requires_grad]
        if sources and self._is_heard(watch, sources):
            mask = self.leaves_behind(sources, watch.host)
            cuts |= {self._note(watch, "Python value", name_of_call(function), mask, None)}
        for row in cuts:
            row.left_in = self.step
        if cuts:
            self.taints.add_array(result, cuts)

    def leaves_behind(self, tensors: Iterable[torch.Tensor], source: NameSource) -> int:
        """The set of the leaves behind those of some tensors that require grad."""
        mask = 0
        for tensor in tensors:
            if tensor.requires_grad:
                mask |= self._leaves.behind(tensor, source)
        return mask

    def _is_heard(self, watch: ThreadWatch, sources: Tensors, *, is_user: bool = False) -> bool:
        """Whether a graph that ends now is a cut.

        Inside of a custom Function it is not, since its forward records no graph anyway; a
        checkpoint only wants to know what was used. Nor is it where an optimizer computes.

        Args:
            watch: Saw it.
            sources: Arguments that carry a graph.
            is_user: Whether it is known that it was not torch that called.
        """
        if watch.calls_here().depth:
            if watch.gathered is not None:
                watch.gathered |= self.leaves_behind(sources, watch.host)
            return False
        return not watch.is_updating and (is_user or not is_internal(sys._getframe()))

    def _note(
        self,
        watch: ThreadWatch,
        reason: CutReason,
        function: str,
        mask: int,
        output: torch.Tensor | None,
    ) -> CutRow:
        calls = watch.calls_here()
        position = calls.find_site(sys._getframe())[0]
        scope = None if calls.module is None else calls.module.path
        meta = None if output is None else self._known.metas.describe(output)
        return self.rows.note((reason, function, position, scope), self.step, meta, mask)

    def follow(self, function: Any, args: Any, tensors: Tensors) -> Cuts:
        """The cuts behind the arguments of a call."""
        cuts, taints = NONE, self.taints
        if taints.by_id:
            cuts = taints.find(tensors)
            if taints.by_address and getattr(function, "__name__", "") in COPIES:
                cuts |= taints.find_in_arrays(args)
        return cuts

    def taint(self, outputs: Tensors, written: Tensors, cuts: Cuts) -> None:
        """Results lie behind cuts.

        A leaf that is written to stays what it was: a parameter that an optimizer has updated is
        not computed from the last loss.
        """
        for output in outputs:
            is_written = bool(written) and any(output is tensor for tensor in written)
            if is_written and output.requires_grad and output.is_leaf:
                continue
            self.taints.add(output, cuts)
            if is_written and (base := output._base) is not None:
                self.taints.add(base, cuts)

    # -- backward passes -----------------------------------------------------------------------

    def begin_pass(
        self, call: EngineCall, leaves: Iterable[torch.Tensor] | None, source: NameSource
    ) -> None:
        """A backward pass is about to start.

        Args:
            call: How the engine is called.
            leaves: All leaves of its graph, where somebody has walked it anyway.
            source: Has names.
        """
        self.passes += 1
        tensors = find_tensors(call.outputs)
        for row in self.taints.find(tensors):
            row.reached_in = self.step
        if call.inputs is not None:
            given = [tensor for tensor in find_tensors(call.inputs) if tensor.is_leaf]
            mask = self.leaves_behind(given, source)
        elif leaves is None:
            mask = self.leaves_behind(tensors, source)
        else:
            mask = 0
            for leaf in leaves:
                mask |= self._known.mask_of(leaf, source)
            if len(call.outputs) == len(tensors) == 1 and tensors[0].grad_fn is not None:
                self._leaves.note(tensors[0].grad_fn, mask)
        for known in self._known.members(mask):
            known.is_reached = True


def _find_bare(function: Any, tensors: Tensors, outputs: Tensors) -> list[torch.Tensor]:
    """The results that have no graph, where that is not because of what they are."""
    bare = [output for output in outputs if not output.requires_grad]
    if bare and len(bare) < len(outputs):
        # The others have one, so these are indices, unless each belongs to another argument.
        bare = [output for output in bare if not is_differentiable(output)]
    if bare and is_one_by_one(function):
        return []
    if not bare and getattr(function, "__name__", "") in COPIES:
        # `torch.tensor(t, requires_grad=True)` is a leaf of its own.
        bare = [o for o in outputs if o.is_leaf and all(o is not tensor for tensor in tensors)]
    return bare
