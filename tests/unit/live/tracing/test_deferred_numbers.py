"""Numbers that wait on a device until they are fetched, as those of an accelerator do.

The path is the same wherever the tensors are, so it is run on the CPU here.
"""

import math
from collections.abc import Callable

import pytest
import torch

from inspect_autograd.events.records import StatsLevel, TensorStats
from inspect_autograd.live.tensor_meta import TensorMetaCache
from inspect_autograd.live.tracing import gradient_stats
from inspect_autograd.live.tracing.gradient_stats import GradientStats

GRADIENTS: dict[str, Callable[[], torch.Tensor]] = {
    "matrix": lambda: torch.arange(-100.0, 100.0).reshape(10, 20),
    "small": lambda: torch.tensor([3.0, -4.0, 0.0]),
    "scalar": lambda: torch.tensor(2.0),
    "empty": lambda: torch.zeros(0, 3),
    "double": lambda: torch.arange(50.0, dtype=torch.float64),
    "bfloat16": lambda: torch.arange(64.0, dtype=torch.bfloat16),
    "complex": lambda: torch.complex(torch.arange(40.0), -torch.arange(40.0)),
    "expanded": lambda: torch.tensor([[2.0]]).expand(7, 40),
    "nan": lambda: torch.tensor([math.nan, 1.0]).repeat(30),
    "inf": lambda: torch.tensor([-math.inf, 1.0, 0.0]).repeat(30),
}


def close(found: TensorStats, expected: TensorStats) -> bool:
    numbers = ("l2", "min", "max", "mean", "zero_count", "nan_count", "inf_count")
    pairs = [(getattr(found, name), getattr(expected, name)) for name in numbers]
    return (found.meta, found.note) == (expected.meta, expected.note) and all(
        one is other is None
        or (
            one is not None
            and other is not None
            and (math.isclose(one, other, rel_tol=1e-6) or (math.isnan(one) and math.isnan(other)))
        )
        for one, other in pairs
    )


@pytest.mark.parametrize("level", ["basic", "full"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_the_numbers_are_those_that_are_there_at_once(name: str, level: StatsLevel) -> None:
    gradient = GRADIENTS[name]()
    now = GradientStats(level, TensorMetaCache())
    later = GradientStats(level, TensorMetaCache(), defer=True)
    assert now.note(gradient) == later.note(gradient) == 0
    if gradient.numel():
        assert later.stats[0].l2 is None
        assert "still on the device" in later.stats[0].note
        assert not later.nonfinite
    later.fetch()
    assert close(later.stats[0], now.stats[0])
    assert later.nonfinite == now.nonfinite == ({0} if name in ("nan", "inf") else set())


def test_numbers_by_hand() -> None:
    stats = GradientStats("full", TensorMetaCache(), defer=True)
    stats.note(torch.tensor([3.0, -4.0, 0.0, 0.0]))
    stats.fetch()
    found = stats.stats[0]
    assert (found.l2, found.min, found.max) == (5.0, -4.0, 3.0)
    assert (found.mean, found.zero_count, found.nan_count, found.inf_count) == (-0.25, 2, 0, 0)
    assert found.note == ""


def test_a_view_shares_numbers_that_are_not_there_yet() -> None:
    stats = GradientStats("basic", TensorMetaCache(), defer=True)
    gradient = torch.arange(200.0).reshape(10, 20)
    position = stats.note(gradient)
    (view, same) = stats.note_returned([gradient.t(), gradient], [gradient], [position])
    assert same == position
    assert view != position
    stats.fetch()
    first, second = stats.stats[position], stats.stats[view]
    assert (second.l2, second.min, second.max) == (first.l2, 0.0, 199.0)
    assert (first.meta.shape, second.meta.shape) == ((10, 20), (20, 10))


def test_many_are_fetched_before_they_take_too_much_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gradient_stats, "MAX_PENDING", 3)
    stats = GradientStats("basic", TensorMetaCache(), defer=True)
    gradients = [torch.full((2,), float(i)) for i in range(4)]
    for gradient in gradients:
        stats.note(gradient)
    assert [s.max for s in stats.stats] == [0.0, 1.0, 2.0, None]


def test_a_gradient_that_was_written_to_is_measured_again() -> None:
    stats = GradientStats("basic", TensorMetaCache())
    gradient = torch.ones(100)
    first = stats.note(gradient)
    assert stats.note(gradient) == first
    gradient *= 3
    assert stats.stats[stats.note(gradient)].max == 3.0
    assert stats.stats[first].max == 1.0


def test_an_inference_tensor_which_has_no_version_is_measured_each_time() -> None:
    stats = GradientStats("basic", TensorMetaCache())
    with torch.inference_mode():
        gradient = torch.ones(3)
        stats.note(gradient)
        gradient *= 2
        assert stats.stats[stats.note(gradient)].max == 2.0
