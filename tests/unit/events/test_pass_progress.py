"""How far a stepped pass has come."""

from __future__ import annotations

import torch

import inspect_autograd as ia
from inspect_autograd.events.pass_progress import PassProgress


def progress_of(stepper: ia.Stepper, inputs: list[int] | None = None) -> PassProgress:
    done = {step.id: step.index for step in stepper.steps}
    order = ia.execution_order(stepper.graph, inputs=inputs)
    return PassProgress(stepper.state, done, order)


def test_what_is_done_and_what_is_to_come() -> None:
    # Ids: 0 add, 1 sum of the square, 2 sum of x, 3 mul, 4 x, 5 sin.
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    h = x.sin()
    stepper = ia.step((h * h).sum() + x.sum())
    stepper.next()
    stepper.next()
    progress = progress_of(stepper)
    # The sum of x was made last, so it runs before the sum of the square.
    assert (dict(progress.done), progress.coming) == ({0: 0, 2: 1}, (1, 3, 5, 4))
    assert [progress.status_of(id) for id in range(6)] == [
        "executed",
        "ready",
        "executed",
        "not reached",
        "waiting",
        "not reached",
    ]
    assert (progress.total, progress.only_captured) == (6, ())
    assert progress.waiting[4].missing_from == (5,)


def test_inputs_are_taken_and_what_leads_nowhere_is_pruned() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    h = x * w  # Ids: 0 sum, 1 mul by w, 2 mul, 3 w, 4 x.
    stepper = ia.step((h * w).sum(), inputs=[h])
    progress = progress_of(stepper, [2])
    assert progress.graph.nodes[2].name == "MulBackward0"
    assert (progress.coming, progress.only_captured, progress.total) == ((0, 1), (2,), 3)
    assert [progress.status_of(id) for id in (3, 4)] == ["pruned", "pruned"]
    stepper.run()
    progress = progress_of(stepper, [2])
    assert (progress.status_of(2), len(progress.done), progress.coming) == ("executed", 3, ())
