"""The expression that failed, what was called, and the tensors on that line."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.unit.live.post_mortem.failing import scene_of


def add_in_place() -> None:
    w, g = torch.ones(3, requires_grad=True), torch.ones(3)
    w += g


def set_item() -> None:
    x = torch.ones(3, requires_grad=True)
    x[0] = 1.0


def call_method() -> None:
    other = torch.ones(3)
    x = torch.ones(3, requires_grad=True)
    _ = other.mul_(2), x.add_(1)


def assign_attribute() -> None:
    y = torch.ones(3, requires_grad=True) * 2
    y.requires_grad = False


def multiply_matrices() -> None:
    a, b = torch.ones(2, 3), torch.ones(2, 3)
    a @ b


def element_of_a_list() -> None:
    rows = torch.ones(2, 2, requires_grad=True).clone().unbind()
    rows[1].add_(1)


def out_argument() -> None:
    x, o = torch.ones(3, requires_grad=True), torch.empty(3)
    torch.add(x, 1, out=o)


@pytest.mark.parametrize(
    ("program", "operation", "expression", "names"),
    [
        (add_in_place, "__iadd__", "w += g", ["w", "g"]),
        (set_item, "__setitem__", "x[0]", ["x"]),
        (call_method, "add_", "x.add_(1)", ["x", "other"]),
        (assign_attribute, "requires_grad=", "y.requires_grad", ["y"]),
        (multiply_matrices, "__matmul__", "a @ b", ["a", "b"]),
        (element_of_a_list, "add_", "rows[1].add_(1)", ["rows[1]"]),
        (out_argument, "add", "torch.add(x, 1, out=o)", ["x", "o"]),
    ],
)
def test_the_failing_line_is_read(
    program: Callable[[], Any], operation: str, expression: str, names: list[str]
) -> None:
    scene = scene_of(program)
    assert scene.operation == operation
    assert scene.user_frame is not None
    assert scene.user_frame.expression == expression
    assert [tensor.name for tensor in scene.involved] == names


def test_pytorchs_own_arguments_count_where_the_line_names_none() -> None:
    scene = scene_of(lambda: torch.optim.SGD([torch.ones(3, requires_grad=True) * 2], lr=0.1))
    assert [tensor.grad_fn for tensor in scene.involved] == ["MulBackward0"]


def test_a_property_of_the_user_is_not_asked() -> None:
    class Lazy:
        asked = 0

        @property
        def weight(self) -> torch.Tensor:
            self.asked += 1
            raise RuntimeError("not there yet")

    lazy = Lazy()

    def program() -> None:
        x = torch.ones(3, requires_grad=True)
        x.add_(len(str(lazy.__dict__.get("weight"))))

    assert scene_of(program).operation == "add_"
    assert lazy.asked == 0
