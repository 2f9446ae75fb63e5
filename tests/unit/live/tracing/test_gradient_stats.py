from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from inspect_autograd.events.table import NO_GRADIENT
from inspect_autograd.live.tensor_meta import TensorMetaCache
from inspect_autograd.live.tracing.gradient_stats import MAX_KNOWN, GradientStats


def new() -> GradientStats:
    return GradientStats("full", TensorMetaCache())


def test_each_gradient_is_measured_once() -> None:
    stats = new()
    first, second = torch.ones(3), torch.ones(3)
    positions = [stats.note(g) for g in (first, second, first, None)]
    assert positions == [0, 1, 0, NO_GRADIENT]
    assert [s.l2 for s in stats.stats] == pytest.approx([3**0.5] * 2)


def test_gradient_that_was_changed_in_place() -> None:
    stats = new()
    gradient = torch.ones(3)
    assert stats.note(gradient) == 0
    gradient.mul_(2)
    assert stats.note(gradient) == 1
    assert [s.max for s in stats.stats] == [1.0, 2.0]


def test_memory_that_is_used_again() -> None:
    """A new tensor may get the id, the address and the version of one that is gone."""
    stats = new()
    for value in range(200):
        position = stats.note(torch.full((64,), float(value)))
        assert stats.stats[position].max == value


def test_many_gradients_that_stay() -> None:
    stats = new()
    held = [torch.full((2,), float(value)) for value in range(MAX_KNOWN + 50)]
    for gradient in held:
        stats.note(gradient)
    assert [s.max for s in stats.stats] == list(range(len(held)))
    assert stats.note(held[-1]) == len(held) - 1


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "the same": lambda t: t,
    "reshaped": lambda t: t.reshape(-1),
    "transposed": lambda t: t.t(),
    "expanded": lambda t: t[:, None].expand(-1, 3, -1),
    "a part": lambda t: t[1:],
    "negative": lambda t: -t,
    "a copy with other values": lambda t: t * 2,
}


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_node_passes_on_has_the_numbers_of_what_it_received(view: str) -> None:
    received = torch.arange(1.0, 65.0).reshape(8, 8)
    returned = VIEWS[view](received)
    stats = new()
    position = stats.note(received)
    (found,) = stats.note_returned([returned], [received], [position])
    record = stats.stats[found]
    assert record.meta.shape == tuple(returned.shape)
    assert record.l2 == pytest.approx(returned.double().norm().item())
    assert (record.min, record.max) == (returned.min().item(), returned.max().item())


def conjugated(size: int) -> tuple[Tensor, Tensor]:
    received = torch.complex(torch.ones(size), torch.arange(1.0, 1.0 + size))
    return received, received.conj()


@pytest.mark.parametrize("size", [4, 40])
def test_conjugated_view(size: int) -> None:
    received, returned = conjugated(size)
    stats = new()
    (found,) = stats.note_returned([returned], [received], [stats.note(received)])
    assert (stats.stats[found].min, stats.stats[found].max) == (-float(size), 1.0)


def test_what_is_not_finite_is_known() -> None:
    stats = new()
    values = [1.0, float("nan"), float("inf"), 3e38]
    positions = [stats.note(torch.full((size,), v)) for v in values for size in (2, 64)]
    # The norm of the last overflows, but every element is finite.
    assert stats.nonfinite == set(positions[2:6])


def test_gradient_with_a_graph_is_measured_without_making_nodes() -> None:
    gradient = torch.ones(64, requires_grad=True) * 2
    before = torch.autograd._get_sequence_nr()  # type: ignore[attr-defined]
    position = new().note(gradient)
    assert position == 0
    assert torch.autograd._get_sequence_nr() == before  # type: ignore[attr-defined]


def test_what_cannot_be_reduced_is_said() -> None:
    stats = new()
    position = stats.note(torch.ones(64).to(torch.float8_e4m3fn))
    record = stats.stats[position]
    assert record.l2 is None or record.l2 == pytest.approx(8.0)
    assert (record.l2 is None) == bool(record.note)
