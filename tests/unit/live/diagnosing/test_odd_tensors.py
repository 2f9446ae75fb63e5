"""Models whose tensors cannot be looked at like others: nothing fails, and nothing is made up."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.live.diagnosing.values import describe_values


class Scaled(torch.Tensor):
    """A subclass whose operators are code of its own."""

    @classmethod
    def __torch_dispatch__(cls, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("code of the user's was run")

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]


def with_parameter(tensor: torch.Tensor) -> nn.Module:
    model = nn.Linear(2, 2)
    model.odd = nn.Parameter(tensor, requires_grad=tensor.is_floating_point())
    return model


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 3))


def subclass() -> nn.Module:
    model = nn.Linear(2, 2)
    odd = torch.Tensor._make_subclass(Scaled, torch.ones(2))
    vars(model)["_parameters"]["odd"] = odd
    return model


def nested() -> nn.Module:
    model = nn.Linear(2, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.odd = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], requires_grad=True)
    return model


def cyclic() -> nn.Module:
    model = nn.Sequential(nn.Linear(2, 2))
    vars(model[0])["_modules"]["parent"] = model
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "lazy": lazy,
    "subclass": subclass,
    "cyclic": cyclic,
    "empty": lambda: with_parameter(torch.ones(0, 3)),
    "scalar": lambda: with_parameter(torch.ones(())),
    "complex": lambda: with_parameter(torch.ones(2, dtype=torch.complex64)),
    "integers": lambda: with_parameter(torch.ones(2, dtype=torch.int8)),
    "float8": lambda: with_parameter(torch.ones(2).to(torch.float8_e4m3fn)),
    "no module inside": nn.Sequential,
    "dropout": nn.Dropout,
}


@pytest.mark.parametrize("name", MODELS)
def test_odd_models_raise_nothing(name: str) -> None:
    model = MODELS[name]()
    assert ia.diagnose(model=model).diagnoses == ()
    optimizer = torch.optim.SGD([torch.ones(1, requires_grad=True)])
    with ia.watch(model, optimizer) as watch:
        optimizer.step()
    assert watch.findings == ()
    why = ia.why_no_grad(torch.ones(1, requires_grad=True).sum(), model)
    assert len(why.missing) == len(list(vars(model)["_parameters"])) or name in ("lazy", "cyclic")


def test_a_nested_tensor_is_a_tensor_that_is_not_registered() -> None:
    report = ia.diagnose(model=nested())
    assert [d.slug for d in report.diagnoses] == ["parameter-unregistered"]


def test_values_of_odd_tensors() -> None:
    tensors = [
        torch.zeros(2),
        torch.tensor([1.0, float("nan"), float("-inf")]),
        torch.full((70_000,), 65504.0, dtype=torch.float16),
        torch.full((3,), 1e-30),
        torch.ones(2, device="meta"),
        torch.sparse_coo_tensor(torch.zeros(1, 1), torch.ones(1), (3,), check_invariants=True),
        torch.tensor([complex(0, float("inf"))]),
        torch.ones(0),
        torch.ones(2, dtype=torch.int64),
    ]
    found = [(v.problem, v.is_zero, v.is_known) for v in describe_values(tensors)]
    assert found == [
        ("", True, True),
        ("NaN and Inf", False, True),
        ("", False, True),
        ("", False, True),
        ("", False, False),
        ("", False, False),
        ("Inf", False, True),
        ("", False, False),
        ("", False, False),
    ]


def test_gradients_that_were_not_looked_at_are_said() -> None:
    model = nn.Embedding(5, 2, sparse=True)
    model(torch.tensor([1])).sum().backward()
    (fact,) = ia.diagnose(model=model).facts
    assert fact.text == "the values of these gradients were not looked at: weight"


def test_half_gradients_whose_norm_half_cannot_hold() -> None:
    model = nn.Linear(2, 70_000, bias=False, dtype=torch.float16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with ia.watch(model, optimizer) as watch:
        for _ in range(3):
            model.weight.grad = torch.full_like(model.weight, 60_000)
            optimizer.step()
    assert watch.findings == ()


def test_a_deep_graph() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = y + 1
    assert ia.diagnose(y, params={"x": x}).diagnoses == ()
    assert ia.why_no_grad(y, {"x": x}).counts == {"backward not run": 1}
    del y


# The compiler itself asks the loss that it hands over for its .grad.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_inside_of_a_compiled_function() -> None:
    model = nn.Linear(2, 2)

    def run(x: torch.Tensor) -> torch.Tensor:
        loss: torch.Tensor = model(x).sum()
        seen.append(len(ia.diagnose(loss, model).diagnoses))
        return loss * 2

    seen: list[int] = []
    assert torch.compile(run, backend="eager")(torch.ones(1, 2)).requires_grad
    assert seen == [0]
