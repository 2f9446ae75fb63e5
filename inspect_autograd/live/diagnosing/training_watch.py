"""The hooks of a watch: optimizer steps, backward passes, and what is measured there."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from ...diagnosis.records import Diagnosis
from ...diagnosis.report import Report
from ...diagnosis.training_judge import StepNumbers, TrainingJudge
from ..engine_calls import EngineCall, unwatch, watch
from ..private_torch import current_graph_task, not_compiled, unobserved
from ..private_training import scale_of
from .graph_watch import GraphWatch
from .modules import find_module_tensors
from .numbers import PendingNumbers, launch_norms

__all__ = ["TrainingWatch"]

_log = logging.getLogger("inspect_autograd.watch")
_OUTERMOST = -1
_LONELY_PASSES = 3
"""Backward passes without any step of an optimizer, from which on the loop has none."""


@dataclass(frozen=True, slots=True)
class _Pending:
    """What was measured in a step and may still be on its way."""

    key: int
    step: int
    names: Sequence[str]
    missing: tuple[str, ...]
    numbers: PendingNumbers
    has_loss: bool
    is_scaled: bool


class TrainingWatch:
    """Watches one training loop; see `watch`.

    Attributes:
        findings: What was found so far.
        failures: What went wrong with the checks themselves.
        steps: How many steps were seen.
        is_begun: Whether it was begun.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizers: list[Any],
        *,
        every: int,
        scaler: Any,
        graphs: bool,
    ) -> None:
        tensors = [one for one in find_module_tensors(model) if not one.is_buffer]
        self._parameters = [(one.names[0], one.tensor) for one in tensors]
        self._names = {id(tensor): name for name, tensor in self._parameters}
        held = [t for o in optimizers for group in o.param_groups for t in group["params"]]
        self._held = held  # An id is only good while its object lives.
        self._watched = {id(t) for t in held} or set(self._names)
        self._is_ours: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()
        self._has_optimizer = bool(optimizers)
        self._every, self._scaler = every, scaler
        self._graphs = GraphWatch() if graphs else None
        self._judge = TrainingJudge()
        self._loss: torch.Tensor | None = None
        self._pending: list[_Pending] = []
        self._scales: list[tuple[int, PendingNumbers]] = []
        self._handles: list[Any] = []
        self._passes = 0
        self._has_stepped = False
        self.findings: list[Diagnosis] = []
        self.failures: dict[str, None] = {}
        self.steps = 0
        self.is_begun = False

    # -- the block -----------------------------------------------------------------------------

    def start(self) -> None:
        """Put the hooks on."""
        self.is_begun = True
        try:
            watch(self)
            # Bound methods would keep this alive in torch for ever if the block were never left.
            this = weakref.ref(self)
            self._handles.append(register_optimizer_step_pre_hook(_hook(this, is_after=False)))
            self._handles.append(register_optimizer_step_post_hook(_hook(this, is_after=True)))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Take them off, and read what is still on its way."""
        unwatch(self)
        while self._handles:
            self._handles.pop().remove()
        self._guard(self._read)
        self._loss = None

    def _guard(self, function: Any, *args: Any) -> None:
        """Call something of ours, whose failure must not be the program's."""
        try:
            with unobserved():
                function(*args)
        except Exception as error:
            what = f"a check failed itself ({type(error).__name__}: {error!s:.200})"
            self.failures.setdefault(f"{what}, which is a fault of inspect_autograd")

    # -- optimizers ----------------------------------------------------------------------------

    def optimizer_steps(self, optimizer: Any, *, has_closure: bool, is_after: bool) -> None:
        """An optimizer is about to step, or has."""
        # A closure computes the gradients inside of the step.
        if has_closure is is_after and self._is_watched(optimizer):
            self._has_stepped = True
            self.steps += 1
            self._guard(self._read)
            if self.steps % self._every == 0:
                self._guard(self._measure_optimizer, optimizer)

    def _is_watched(self, optimizer: Any) -> bool:
        known = self._is_ours.get(optimizer)
        if known is None:
            known = any(id(t) in self._watched for g in optimizer.param_groups for t in g["params"])
            self._is_ours[optimizer] = known
        return known

    def _measure_optimizer(self, optimizer: Any) -> None:
        parameters = [t for group in optimizer.param_groups for t in group["params"]]
        # Set by a GradScaler for optimizers that unscale by themselves.
        is_scaled = getattr(optimizer, "found_inf", None) is not None
        self._measure(id(optimizer), parameters, is_scaled=is_scaled)

    # -- the engine ----------------------------------------------------------------------------

    def begin(self, call: EngineCall) -> object:
        """A backward pass is about to start; what is returned comes back in `end`."""
        is_outermost = current_graph_task() == _OUTERMOST and call.call != "grad"
        if is_outermost:
            self._passes += 1
            self._guard(self._begin_pass, call)
        return is_outermost

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        """It is over."""
        del results
        is_alone = not (self._has_stepped or self._has_optimizer or self._scaler is not None)
        if token is True and error is None and is_alone and self._passes >= _LONELY_PASSES:
            self.steps += 1
            if self.steps % self._every == 0:
                self._guard(self._read)
                parameters = [tensor for _, tensor in self._parameters]
                self._guard(lambda: self._measure(0, parameters, is_scaled=False))

    def _begin_pass(self, call: EngineCall) -> None:
        outputs = [o for o in call.outputs if isinstance(o, torch.Tensor)]
        is_number = len(outputs) == 1 and outputs[0].numel() == 1
        self._loss = outputs[0].detach() if is_number else None
        if self._scaler is not None:
            self._look_at_scale()
        if self._graphs is not None:
            place = "an unknown place" if call.place is None else call.place.short
            step = self.steps + 1 if self._has_stepped else self._passes
            self._say(step, self._graphs.look(outputs, place, step, self._judge))

    def _look_at_scale(self) -> None:
        self._read_scales()
        scale = scale_of(self._scaler)
        if scale is not None:
            # A copy, since the scaler writes to it in place.
            numbers = PendingNumbers([scale.detach().reshape(1).clone()])
            self._scales.append((self.steps + 1, numbers))
            if numbers.is_ready:
                self._read_scales()

    # -- numbers -------------------------------------------------------------------------------

    def _measure(self, key: int, parameters: Iterable[torch.Tensor], *, is_scaled: bool) -> None:
        names: list[str] = []
        gradients: list[torch.Tensor] = []
        missing: list[str] = []
        for position, parameter in enumerate(parameters):
            name = self._names.get(id(parameter)) or f"parameter {position}"
            gradient = parameter.grad
            if gradient is not None:
                names.append(name)
                gradients.append(gradient)
            elif parameter.requires_grad:
                missing.append(name)
        loss, self._loss = self._loss, None
        positions, numbers = launch_norms(gradients, () if loss is None else (loss,))
        # A gradient without a norm (a sparse one) is there all the same.
        self._pending.append(
            _Pending(
                key,
                self.steps,
                [names[position] for position in positions],
                tuple(missing),
                numbers,
                loss is not None,
                is_scaled,
            )
        )
        if numbers.is_ready:
            self._read()

    def _read(self) -> None:
        self._read_scales()
        pending, self._pending = self._pending, []
        for one in pending:
            values = one.numbers.read()
            loss = values.pop() if one.has_loss else None
            norms = dict(zip(one.names, values, strict=True))
            numbers = StepNumbers(one.step, norms, one.missing, loss, one.is_scaled)
            self._say(one.step, self._judge.judge_step(one.key, numbers))

    def _read_scales(self) -> None:
        scales, self._scales = self._scales, []
        for step, numbers in scales:
            self._say(step, self._judge.judge_scale(step, numbers.read()[0]))

    def _say(self, step: int, found: Iterable[Diagnosis]) -> None:
        for diagnosis in found:
            self.findings.append(diagnosis)
            _log.warning("found in step %d:\n%s", step, Report(diagnoses=(diagnosis,)))


def _hook(this: weakref.ref[TrainingWatch], *, is_after: bool) -> Any:
    """A hook of optimizers."""

    @not_compiled
    def step(optimizer: Any, args: Any, kwargs: Any) -> None:
        watching = this()
        if watching is not None:
            # `args` begins with the optimizer.
            has_closure = len(args) > 1 or kwargs.get("closure") is not None
            watching.optimizer_steps(optimizer, has_closure=has_closure, is_after=is_after)

    return step
