"""watch: look after a training loop, and say once what goes wrong."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch

from ...diagnosis.records import Diagnosis, Evidence
from ...diagnosis.report import Report
from ...errors import ArgumentError, ArgumentTypeError, InspectAutogradError
from ..private_torch import not_compiled, unobserved
from .arguments import find_optimizers
from .training_watch import TrainingWatch

__all__ = ["Watch", "watch"]


@not_compiled
def watch(
    model: Any, optimizer: Any = None, *, every: int = 1, scaler: Any = None, graphs: bool = True
) -> Watch:
    """Look after a training loop at a few per cent of its time.

    Before each step of an optimizer all gradients are reduced to their norms at once. Said are
    gradients that are not finite, that never came, that are always 0, that are far larger or
    smaller than in the steps before; a graph that grows from step to step; losses whose graphs
    are kept; and steps that a GradScaler leaves out one after the other. What is found is logged,
    as a warning of the logger `inspect_autograd.watch`; each kind once.

    Nothing of the program changes: gradients stay bit-identical, and nothing is raised. On a CUDA
    device the numbers are read a step later, so that the program never waits for them.

    Args:
        model: The module that is trained.
        optimizer: Its optimizer, or several in a list. By default every optimizer counts that
            holds parameters of the model. Where none ever steps, as the loop writes to the
            parameters itself, gradients are looked at after each backward pass.
        every: Look at the gradients of every so many steps only.
        scaler: The GradScaler, if there is one.
        graphs: Also look at graphs: in steps 1, 2, 3, 4, 6, 8, 12, 16 and so on they are walked
            to count their nodes.

    Returns:
        A context manager for the loop; `findings` and `report` tell what was found so far.

    Raises:
        ArgumentError: `every` is less than 1.
        ArgumentTypeError: An argument is of the wrong kind.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with ia.watch(model, optimizer) as watch:
        ...     for _ in range(3):
        ...         optimizer.zero_grad()
        ...         model(torch.ones(4, 2)).square().mean().backward()
        ...         optimizer.step()
        >>> watch
        <watch of 3 steps: nothing found>
    """
    if not isinstance(model, torch.nn.Module):
        raise ArgumentTypeError(
            f"model is of type {type(model).__name__}; expected a torch.nn.Module",
            remedy="Give the module that is trained: watch(model, optimizer).",
        )
    if isinstance(every, bool) or not isinstance(every, int):
        raise ArgumentTypeError(
            f"every is {every!r} of type {type(every).__name__}; expected a whole number",
            remedy="Leave it out to look at every step.",
        )
    if every < 1:
        raise ArgumentError(
            f"every is {every}; expected 1 or more",
            remedy="Leave it out to look at every step.",
        )
    return Watch(model, find_optimizers(optimizer), every=every, scaler=scaler, graphs=graphs)


class Watch:
    """The context manager that `watch` returns; it is for one block."""

    def __init__(
        self,
        model: torch.nn.Module,
        optimizers: list[Any],
        *,
        every: int,
        scaler: Any,
        graphs: bool,
    ) -> None:
        with unobserved():
            self._watch: TrainingWatch | None = TrainingWatch(
                model, optimizers, every=every, scaler=scaler, graphs=graphs
            )
        self._findings: tuple[Diagnosis, ...] = ()
        self._facts: tuple[Evidence, ...] = ()
        self._steps = 0

    @not_compiled
    def __enter__(self) -> Watch:
        """Begin."""
        if self._watch is None or self._watch.is_begun:
            raise InspectAutogradError(
                "this watch was entered already; each one is for a single block",
                remedy="Call inspect_autograd.watch(...) again for the next block.",
            )
        self._watch.start()
        return self

    @not_compiled
    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take everything off again, and let go of the model."""
        if self._watch is not None:
            self._watch.stop()
            self._findings, self._steps = tuple(self._watch.findings), self._watch.steps
            self._facts = tuple(map(Evidence, self._watch.failures))
            self._watch = None

    @property
    def findings(self) -> tuple[Diagnosis, ...]:
        """What was found so far, in that order."""
        return self._findings if self._watch is None else tuple(self._watch.findings)

    @property
    def report(self) -> Report:
        """The same as a Report, to be printed; its facts say which checks failed themselves."""
        watch = self._watch
        facts = self._facts if watch is None else tuple(map(Evidence, watch.failures))
        return Report(diagnoses=self.findings, facts=facts)

    @property
    def steps(self) -> int:
        """How many steps were seen."""
        return self._steps if self._watch is None else self._watch.steps

    def __repr__(self) -> str:
        found = ", ".join(finding.slug for finding in self.findings) or "nothing found"
        return f"<watch of {self.steps} step{'s' * (self.steps != 1)}: {found}>"
