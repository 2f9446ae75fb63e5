"""What can be seen at a node, and which tensors are looked at at all."""

from __future__ import annotations

import pytest
import torch

from inspect_autograd.live.nonfinite.scene import Scene, is_plain, look_at
from tests.unit.live.nonfinite.births import f32


def test_plain_tensors() -> None:
    assert is_plain(torch.ones(2))
    assert is_plain(torch.nn.Parameter(torch.ones(2)))
    assert is_plain(torch.ones(4).as_strided((2, 2), (1, 1)))


class Special(torch.Tensor):
    """Somebody's own kind of tensor."""


@pytest.mark.parametrize(
    "tensor",
    [
        torch.eye(2).to_sparse(),
        torch.ones(2, device="meta"),
        torch.ones(2).as_subclass(Special),
        torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        None,
        3,
    ],
    ids=["sparse", "meta", "subclass", "nested", "none", "number"],
)
def test_others(tensor: object) -> None:
    assert not is_plain(tensor)


def test_the_tensors_of_a_function_transform() -> None:
    seen = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(is_plain(x))
        return x * 2

    torch.vmap(look)(torch.ones(2))
    assert seen == [False]


def test_what_is_seen_at_a_built_in_node() -> None:
    x = f32(1, 2)
    y = x**3
    scene = look_at(y.grad_fn, [torch.ones(2)], [None])
    assert (scene.name, scene.kind) == ("PowBackward0", "op")
    assert scene.saved["self"].tolist() == [1, 2]
    assert not scene.saved["self"].requires_grad
    assert scene.attributes["exponent"] == 3
    assert (scene.unseen, scene.returned) == ({}, (None,))
    assert scene.gradient.tolist() == [1, 1]


def test_lists_of_saved_tensors_have_an_index() -> None:
    x = f32(1, 2, 3)
    scene = look_at(x[torch.tensor([0, 2])].grad_fn, [], [])
    assert scene.saved["indices[0]"].tolist() == [0, 2]


def test_a_gradient_that_did_not_come() -> None:
    with pytest.raises(LookupError, match="slot 0"):
        _ = look_at(f32(1).neg().grad_fn, [None], []).gradient


def test_the_bad_slots() -> None:
    nan = torch.tensor([1.0, torch.nan])
    scene = Scene(None, "Some", "op", (), (torch.ones(2), None, nan))
    ((slot, gradient, mask),) = scene.bad_slots()
    assert slot == 2
    assert gradient is nan
    assert mask.tolist() == [False, True]


@pytest.mark.parametrize(
    ("value", "dims"),
    [(None, (0, 1, 2)), ((), (0, 1, 2)), (1, (1,)), (2**64 - 1, (2,)), ((0, 2**64 - 2), (0, 1))],
)
def test_dimensions(value: object, dims: tuple[int, ...]) -> None:
    scene = Scene(None, "Some", "op", (), (), attributes={"dim": value})
    assert scene.dims("dim", 3) == dims
    assert scene.dims("dim", 0) == ()
