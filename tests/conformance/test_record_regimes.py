"""Recordings under autocast, DistributedDataParallel, DataParallel's threads, and transforms."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import inspect_autograd as ia

from .reference import assert_same_bits


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 1)
        self.spare = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.second(self.first(x).tanh())
        return result


def gradients(model: nn.Module) -> list[Tensor | None]:
    return [parameter.grad for parameter in model.parameters()]


def assert_attributed(graph: ia.Graph, scopes: dict[str, str | None]) -> None:
    """The first node of each name has this scope, and every node has a line of this file."""
    for name, scope in scopes.items():
        assert graph.find(name)[0].scope == scope, name
    for node in graph.nodes:
        if node.kind != "leaf":
            assert node.source is not None, node
            assert node.source.file == __file__


def test_autocast() -> None:
    model, x = Net(), torch.randn(3, 4)
    twin = copy.deepcopy(model)
    with torch.autocast("cpu", torch.bfloat16):
        twin(x).sum().backward()
    with ia.record(model) as recording, torch.autocast("cpu", torch.bfloat16):
        model(x).sum().backward()
    assert_same_bits(gradients(model), gradients(twin))
    # The weights are cast where they are first used.
    assert_attributed(recording.graph, {"ToCopy*": "second", "Tanh*": "", "Sum*": None})


@pytest.fixture
def group(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_distributed_data_parallel_in_one_process() -> None:
    model, x = Net(), torch.randn(3, 4)
    twin = copy.deepcopy(model)
    plain = DistributedDataParallel(twin, find_unused_parameters=True)
    watched = DistributedDataParallel(model, find_unused_parameters=True)
    for _ in range(2):
        plain(x).sum().backward()
    with ia.record(watched) as recording:
        for _ in range(2):
            watched(x).sum().backward()
    assert_same_bits(gradients(model), gradients(twin))
    assert [step.traces for step in recording.steps] == [(0,), (1,)]
    for trace in recording.traces:
        assert_attributed(trace.graph, {"Tanh*": "module", "Addmm*": "module.second"})
        assert {node.scope for node in trace.graph.leaves()} == {"module.first", "module.second"}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_function_transforms_go_on_as_they_do() -> None:
    x = torch.randn(3, dtype=torch.float64)

    def program() -> list[Tensor]:
        def f(t: Tensor) -> Tensor:
            return (t**3).sin().sum()

        return [
            torch.func.grad(f)(x),
            torch.func.hessian(f)(x),
            torch.func.vmap(torch.func.grad(f))(x[:, None]),
            torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
        ]

    expected = program()
    with ia.record() as recording:
        found = program()
    assert_same_bits(found, expected)
    assert recording.notes == ()


def test_double_backward_through_a_model_keeps_its_modules() -> None:
    """A gradient penalty: the nodes of the first pass belong to the modules of the forward pass."""
    model, x = Net(), torch.randn(3, 4, requires_grad=True)
    twin, y = copy.deepcopy(model), x.detach().requires_grad_()

    def penalty(net: nn.Module, inputs: Tensor) -> None:
        (slope,) = torch.autograd.grad(net(inputs).sum(), inputs, create_graph=True)
        slope.square().sum().backward()

    penalty(twin, y)
    with ia.record(model) as recording:
        penalty(model, x)
    assert_same_bits(gradients(model), gradients(twin))
    graph = recording.graph
    made = [node for node in graph.nodes if node.creation and node.creation.made_by]
    assert {node.scope for node in made} == {"", "first", "second"}
    tanh = next(node for node in made if node.name == "TanhBackwardBackward0")
    assert tanh.creation is not None
    assert tanh.creation.made_by == "TanhBackward0"
    assert tanh.scope == ""


def test_a_model_that_is_called_in_no_grad_is_seen_but_makes_no_node() -> None:
    model = Net()
    with ia.record(model) as recording:
        with torch.no_grad():
            model(torch.ones(2, 4))
        model(torch.ones(2, 4)).sum().backward()
    assert [(span.path, span.call) for span in recording.modules] == [
        ("", 0),
        ("first", 0),
        ("second", 0),
        ("", 1),
        ("first", 1),
        ("second", 1),
    ]
    assert_attributed(recording.graph, {"Tanh*": ""})
