from __future__ import annotations

import pytest

from inspect_autograd.live.tracing.interrupts import finish


class Step:
    """Fails as often as asked for."""

    def __init__(self, *errors: type[BaseException]) -> None:
        self.errors = list(errors)
        self.runs = 0
        self.done = False

    def __call__(self) -> None:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        self.done = True


def test_all_run() -> None:
    steps = [Step(), Step()]
    finish(*steps)
    assert [(step.runs, step.done) for step in steps] == [(1, True)] * 2
    finish()


def test_interrupted_step_is_run_again() -> None:
    steps = [Step(), Step(KeyboardInterrupt, KeyboardInterrupt), Step()]
    with pytest.raises(KeyboardInterrupt):
        finish(*steps)
    assert [(step.runs, step.done) for step in steps] == [(1, True), (3, True), (1, True)]


def test_step_that_fails_does_not_stop_the_others() -> None:
    steps = [Step(ValueError), Step(KeyError), Step()]
    with pytest.raises(ValueError):  # noqa: PT011  its type is all that it has
        finish(*steps)
    assert [step.runs for step in steps] == [1, 1, 1]
    assert steps[2].done


def test_interrupt_goes_before_another_error() -> None:
    with pytest.raises(KeyboardInterrupt):
        finish(Step(ValueError), Step(KeyboardInterrupt))
