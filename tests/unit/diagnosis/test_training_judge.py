"""The judge of trainings, given numbers made up for it."""

from math import inf, nan

import pytest

from inspect_autograd.diagnosis.training_judge import StepNumbers, TrainingJudge


def judge_norms(*steps: dict[str, float], missing: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """In which step what was found."""
    judge = TrainingJudge()
    return [
        (step, found.slug)
        for step, norms in enumerate(steps, start=1)
        for found in judge.judge_step("one", StepNumbers(step, norms, missing))
    ]


FINE = {"a.weight": 1.0, "a.bias": 0.5}


def test_healthy_numbers() -> None:
    assert judge_norms(*[{"a": 1.0 + step % 3} for step in range(50)]) == []


@pytest.mark.parametrize(("norm", "what"), [(nan, "NaN"), (inf, "Inf")])
def test_what_is_not_finite(norm: float, what: str) -> None:
    judge = TrainingJudge()
    numbers = StepNumbers(7, {**FINE, "b": norm}, loss=2.0)
    (found,) = judge.judge_step(0, numbers)
    assert found.summary == f"In step 7 1 of 3 gradients was not finite ({what}): b."
    assert judge.judge_step(0, numbers) == []


def test_a_slow_change_is_no_explosion() -> None:
    assert judge_norms(*[{"a": 1.5**step} for step in range(60)]) == []
    assert judge_norms(*[{"a": 0.1**step} for step in range(40)]) == []


def test_a_sudden_change() -> None:
    usual = [FINE] * 5
    assert judge_norms(*usual, {"a": 2e4}) == [(6, "exploding-gradients")]
    assert judge_norms(*usual[:4], {"a": 2e4}) == []  # too few to compare with
    small = {"a": 1e-6}
    assert judge_norms(*usual, small, small, FINE, small, small) == []
    assert judge_norms(*usual, small, small, small) == [(8, "vanishing-gradients")]


def test_each_optimizer_is_compared_with_itself() -> None:
    judge = TrainingJudge()
    for step in range(20):
        assert judge.judge_step("one", StepNumbers(step, {"a": 1.0})) == []
        assert judge.judge_step("two", StepNumbers(step, {"b": 1e6})) == []


def test_what_is_missing() -> None:
    assert judge_norms(FINE, FINE, FINE, missing=("b",)) == [(3, "parameter-without-gradient")]
    assert judge_norms(FINE, FINE, missing=("b",)) == []
    assert judge_norms({}, {}, {}, missing=("b",)) == []  # nothing has a gradient


def test_zeros() -> None:
    dead = {**FINE, "b.weight": 0.0}
    assert judge_norms(*[dead] * 10) == [(10, "zero-gradient")]
    assert judge_norms(*[dead] * 9, FINE, *[dead] * 9) == []
    assert judge_norms(*[{**FINE, "a.other": 0.0}] * 20) == []  # its layer lives


def test_graphs_that_grow() -> None:
    def judge(*sizes: int) -> list[str]:
        judge = TrainingJudge()
        numbers = [1, 2, 3, 4, 6, 8, 12, 16]
        return [
            found.slug
            for number, nodes in zip(numbers, sizes, strict=False)
            for found in judge.judge_size("train.py:3", number, nodes)
        ]

    assert judge(10, 20, 30, 40, 60, 80) == ["graph-growing"]
    assert judge(10, 20, 30, 40, 60) == []
    assert judge(100, 101, 102, 103, 105, 107) == []  # not yet twice as large
    assert judge(10, 20, 30, 40, 60, 50, 70, 90) == []
    assert judge(10, 11, 30, 31, 60, 80) == []  # by leaps, as sequences of varying length do


def test_losses_that_are_kept() -> None:
    judge = TrainingJudge()
    assert judge.judge_kept(9, [1, 1, 2, 3, 4, 5, 6, 7]) == []
    (found,) = judge.judge_kept(10, range(1, 9))
    assert "8 earlier losses" in found.summary


def test_loss_scales() -> None:
    judge = TrainingJudge()
    scales = [65536.0 / 2**step for step in range(5)]
    assert [judge.judge_scale(step, scale) for step, scale in enumerate(scales)] == [[]] * 5
    (found,) = judge.judge_scale(5, 2048.0)
    assert "left out 5 optimizer steps in a row before step 5" in found.summary
    assert "down to 2048" in found.summary


def test_a_step_that_is_done_ends_a_row() -> None:
    judge = TrainingJudge()
    for step, scale in enumerate([8.0, 4.0, 2.0, 1.0, 0.5]):
        judge.judge_scale(step, scale)
    judge.judge_step(0, StepNumbers(6, FINE))
    assert judge.judge_scale(7, 0.25) == []


def test_an_optimizer_that_unscales_by_itself() -> None:
    judge = TrainingJudge()
    bad = StepNumbers(1, {"a": inf}, is_scaled=True)
    assert [len(judge.judge_step(0, bad)) for _ in range(5)] == [0, 0, 0, 0, 1]
