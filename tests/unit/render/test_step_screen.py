"""The screen of a stepper: what is around a node, how far the pass is, and how lines are cut."""

from __future__ import annotations

import torch

import inspect_autograd as ia
from inspect_autograd.events.pass_progress import PassProgress
from inspect_autograd.render.step_screen import (
    Line,
    fit_lines,
    neighbourhood_lines,
    screen_lines,
    state_lines,
    status_word,
)


def progress_of(stepper: ia.Stepper) -> PassProgress:
    done = {step.id: step.index for step in stepper.steps}
    return PassProgress(stepper.state, done, ia.execution_order(stepper.graph))


def shared() -> ia.Stepper:
    """Ids: 0 add, 1 sum of the square, 2 sum of x, 3 mul, 4 x, 5 sin."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    h = x.sin()
    return ia.step((h * h).sum() + x.sum(), params={"x": x})


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_screen_after_a_step() -> None:
    stepper = shared()
    stepper.next()
    step = stepper.next()
    assert step is not None
    lines = screen_lines(step.describe(), progress_of(stepper))
    assert texts(lines) == [
        "step 1: #2 SumBackward0",
        "  received f32[] |1| = 1 from #0 AddBackward0",
        "  returned f32[2] |1.41| = 1 1 to #4 AccumulateGrad x",
        "  #0 AddBackward0          done in step 0",
        ">   #2 SumBackward0        done in step 1",
        "      #4 AccumulateGrad x  waiting, 1 of 2 arrived",
        "after 2 of 6 steps",
        "  queue    #1 SumBackward0",
        "  waits    #4 AccumulateGrad x for 1 of 2 gradients, from #5 SinBackward0",
        "  held     2 gradients, 4 B",
        "  leaves   0 of 1",
    ]
    assert [line.style for line in lines] == [
        *("title", "", "", "dim", "here", "waiting", "title", "ready", "waiting", "", ""),
    ]


def test_the_screen_before_the_first_step_stands_at_the_root() -> None:
    lines = screen_lines(None, progress_of(shared()), levels=1)
    assert texts(lines)[:4] == [
        "> #0 AddBackward0    ready, runs next",
        "    #1 SumBackward0  not reached",
        "    #2 SumBackward0  not reached",
        "after 0 of 6 steps",
    ]


def test_senders_stand_above_in_their_order() -> None:
    stepper = shared().run()
    # x gets gradients from the sum of x, and from the sine.
    assert texts(neighbourhood_lines(progress_of(stepper), 4)) == [
        "  #0 AddBackward0          done in step 0",
        "    #2 SumBackward0        done in step 1",
        "  #3 MulBackward0          done in step 3",
        "    #5 SinBackward0        done in step 4",
        ">     #4 AccumulateGrad x  done in step 5",
    ]


def test_a_node_with_many_neighbours_says_how_many_there_are() -> None:
    x = torch.ones(2, requires_grad=True)
    stepper = ia.step(torch.stack([x * k for k in range(7)]).sum())
    lines = texts(neighbourhood_lines(progress_of(stepper), 1, levels=1))
    assert len(lines) == 1 + 1 + 4 + 1
    assert lines[-1] == "      … and 3 more"
    (leaf,) = stepper.graph.leaves()
    lines = texts(neighbourhood_lines(progress_of(stepper), leaf.id, levels=1))
    assert lines[4:] == ["  … and 3 more", f">   #{leaf.id} AccumulateGrad  not reached"]


def test_a_step_with_many_gradients_is_cut() -> None:
    parts = [torch.ones(1, requires_grad=True) for _ in range(30)]
    stepper = ia.step(torch.stack(parts).sum())
    stepper.next()
    step = stepper.next()
    assert step is not None
    assert str(step).count("\n") == 32  # received, 30 returned, ready
    lines = texts(screen_lines(step.describe(), progress_of(stepper)))
    assert lines[17] == "  … and 16 more lines; print returned shows all"


def test_what_is_not_finite_stands_out() -> None:
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    stepper = ia.step(x.sqrt().sum())
    stepper.next()
    step = stepper.next()
    assert step is not None
    lines = screen_lines(step.describe(), progress_of(stepper))
    assert [line.text for line in lines if line.style == "bad"] == [
        "  returned f32[2] |inf| Inf = inf 0.25 to #2 AccumulateGrad"
    ]


def test_the_end_of_a_pass() -> None:
    stepper = shared().run()
    assert texts(state_lines(progress_of(stepper))) == [
        "after 6 of 6 steps",
        "  queue    empty: the pass is over",
        "  held     0 gradients, 0 B",
        "  leaves   1 of 1, the last one #4 AccumulateGrad x",
    ]


def test_words_for_the_status() -> None:
    stepper = shared()
    stepper.next()
    progress = progress_of(stepper)
    assert [status_word(progress, id) for id in (0, 1, 2, 3)] == [
        "done in step 0",
        "ready",
        "ready, runs next",
        "not reached",
    ]


def fit(text: str, width: int) -> str:
    (line,) = fit_lines([Line(text)], width)
    return line.text


def test_lines_are_cut_between_words() -> None:
    text = "  received f32[8] |2| = 0.125 0.25 0.5 0.75 from #0 AddBackward0"
    assert fit(text, len(text)) == text
    for width in range(12, len(text)):
        cut = fit(text, width)
        assert len(cut) <= width
    # No number is cut in two: what is left of each is a whole one.
    for width in range(40, len(text)):
        head, _, tail = fit(text, width).partition(" … ")
        assert {*head.split(), *tail.split()} <= {*text.split()}
    assert fit("x" * 50, 11) == "xxxxx…xxxxx"
