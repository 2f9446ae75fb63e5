"""How nodes are asked for, and what is said of those that are not there."""

from __future__ import annotations

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError
from inspect_autograd.live.node_selection import name_nodes, select_by_glob, select_nodes
from inspect_autograd.live.parameters import collect_names
from inspect_autograd.live.walk import LiveGraph, walk_graph


def walked() -> tuple[torch.Tensor, LiveGraph, list[tuple[str, ...]]]:
    model = torch.nn.Linear(2, 3)
    loss = model(torch.ones(1, 2)).exp().exp().sum()
    live = walk_graph([loss.grad_fn])
    return loss, live, name_nodes(live.nodes, collect_names(model))


def test_names_are_those_of_nodes_and_parameters() -> None:
    _, _, names = walked()
    assert names == [
        ("SumBackward0",),
        ("ExpBackward0",),
        ("ExpBackward0",),
        ("AddmmBackward0",),
        ("AccumulateGrad", "bias"),
        ("TBackward0",),
        ("AccumulateGrad", "weight"),
    ]


def test_globs() -> None:
    _, live, names = walked()
    assert select_nodes("Exp*", live, names) == [1, 2]
    assert select_nodes("weight", live, names) == [6]
    assert select_nodes("Acc*", live, names) == [4, 6]
    assert select_nodes(None, live, names) == list(range(7))


def test_a_fold_stands_for_its_members() -> None:
    loss, live, names = walked()
    folded = ia.capture(loss).fold("chain")
    (fold,) = (node for node in folded.nodes if node.kind == "fold" and "Exp" in node.label)
    assert set(select_nodes(fold, live, names)) == set(fold.members)
    assert {1, 2} <= set(fold.members)


@pytest.mark.parametrize(
    ("pattern", "closest"),
    [
        ("exp*", "ExpBackward0"),
        ("Adm*", "AddmmBackward0"),
        ("AddBackward0", "AddmmBackward0"),
        ("wieght", "weight"),
        ("*Softmax*", "ExpBackward0, AccumulateGrad, SumBackward0, AddmmBackward0"),
    ],
)
def test_the_closest_names_are_given(pattern: str, closest: str) -> None:
    _, _, names = walked()
    with pytest.raises(ArgumentError) as caught:
        select_by_glob(pattern, names, "node")
    assert caught.value.remedy.startswith(f"The closest names are {closest}")
    assert caught.value.message.startswith(f"node {pattern!r} matches none of the 7 nodes")
