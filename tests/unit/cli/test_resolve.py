"""Names for leaves, taken from the variables of the user's file."""

from types import ModuleType
from typing import Any

import torch
from torch import nn

from inspect_autograd.cli.resolve import find_names, to_outputs


def module_with(**variables: Any) -> ModuleType:
    module = ModuleType("of_user")
    vars(module).update(variables)
    return module


def names(module: ModuleType, model: nn.Module | None = None) -> list[str]:
    return [name for name, _ in find_names(module, model)]


def test_the_only_model_names_its_parameters_without_a_prefix() -> None:
    net = nn.Linear(2, 1)
    assert names(module_with(net=net, same=net, loss=nn.MSELoss())) == ["weight", "bias"]


def test_a_part_of_another_model_gives_no_names_of_its_own() -> None:
    encoder = nn.Linear(2, 1)
    whole = nn.Sequential(encoder)
    assert names(module_with(encoder=encoder, whole=whole)) == ["0.weight", "0.bias"]


def test_several_models_are_told_apart_by_their_variables() -> None:
    module = module_with(g=nn.Linear(2, 1, bias=False), d=nn.BatchNorm1d(2, affine=False))
    assert names(module) == ["g.weight", "d.running_mean", "d.running_var", "d.num_batches_tracked"]


def test_the_model_that_was_returned_comes_before_those_of_the_file() -> None:
    module = module_with(
        g=nn.Linear(2, 1), w=torch.ones(1), y=torch.ones(1, requires_grad=True) * 2
    )
    # y is no leaf, so no gradient ends there.
    assert names(module, nn.Linear(3, 1, bias=False)) == ["weight", "w"]


def test_the_model_is_taken_out_of_what_a_function_returns() -> None:
    net, loss = nn.Linear(2, 1), torch.ones((), requires_grad=True)
    assert to_outputs(lambda: (loss, net), "t:f") == (loss, net)
    assert to_outputs(lambda: [net, loss], "t:f") == (loss, net)
    assert to_outputs((loss, {"a": loss}, net), "t:v") == ([loss, {"a": loss}], net)
    # Two models: which one knows the names cannot be told, so capture() says what is wrong.
    assert to_outputs((net, net), "t:v") == ((net, net), None)


def test_a_node_is_not_called_though_it_could_be() -> None:
    node: Any = (torch.ones((), requires_grad=True) * 2).grad_fn
    assert callable(node)
    assert to_outputs(node, "t:n") == (node, None)
