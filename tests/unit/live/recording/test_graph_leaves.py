"""The leaves behind a tensor are the same as a plain walk finds, whatever was asked before."""

from __future__ import annotations

import random
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
import torch
from torch import Tensor

from inspect_autograd.live.parameters import TensorNames
from inspect_autograd.live.recording.graph_leaves import METADATA_KEY, GraphLeaves
from inspect_autograd.live.recording.known_tensors import KnownTensors
from inspect_autograd.live.stepping_stones import METADATA_KEY as STONE
from inspect_autograd.live.stepping_stones import SPACING, drain
from inspect_autograd.live.walk import walk_graph


class NoNames:
    def names(self) -> TensorNames:
        return TensorNames(())


def leaves_by_walking(tensor: Tensor) -> set[int]:
    nodes = walk_graph([tensor.grad_fn]).nodes
    return {id(node.variable) for node in nodes if type(node).__name__ == "AccumulateGrad"}


def leaves_found(leaves: GraphLeaves, known: KnownTensors, tensor: Tensor) -> set[int]:
    mask = leaves.behind(tensor, NoNames())
    return {id(member.ref()) for member in known.members(mask)}


def random_graph(seed: int, run: Callable[[Callable[[], None]], None]) -> list[Tensor]:
    choose = random.Random(seed)
    tensors = [torch.ones(1, requires_grad=True) for _ in range(6)]

    def grow() -> None:
        for _ in range(60):
            picked = choose.sample(tensors[-12:], choose.randint(1, 3))
            tensors.append(torch.stack(picked).sum(0) * 2)

    for _ in range(3):
        run(grow)
    return tensors


def in_this_thread(grow: Callable[[], None]) -> None:
    grow()


def in_its_own_thread(grow: Callable[[], None]) -> None:
    """Sequence numbers begin again, so they do not fall along every edge."""
    thread = Thread(target=grow)
    thread.start()
    thread.join()


@pytest.mark.parametrize("run", [in_this_thread, in_its_own_thread])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_leaves_as_a_plain_walk(
    seed: int, run: Callable[[Callable[[], None]], None]
) -> None:
    tensors = random_graph(seed, run)
    known = KnownTensors()
    leaves = GraphLeaves(known)
    asked = [tensor for tensor in tensors if tensor.grad_fn is not None]
    random.Random(seed).shuffle(asked)
    for tensor in asked[:40]:
        assert leaves_found(leaves, known, tensor) == leaves_by_walking(tensor)


def test_a_leaf_is_its_own() -> None:
    known = KnownTensors()
    leaf = torch.ones(1, requires_grad=True)
    assert leaves_found(GraphLeaves(known), known, leaf) == {id(leaf)}


def test_what_was_found_is_noted_in_the_node_that_was_asked_for() -> None:
    known = KnownTensors()
    leaves = GraphLeaves(known)
    x = torch.ones(1, requires_grad=True) * 2
    node: Any = x.grad_fn
    mask = leaves.behind(x, NoNames())
    assert node.metadata[METADATA_KEY][1] == mask
    # Of another recording, whose bits mean other leaves, it is not believed.
    other = KnownTensors()
    torch_leaf = torch.ones(1, requires_grad=True)
    other.mask_of(torch_leaf, NoNames())
    assert leaves_found(GraphLeaves(other), other, x) == leaves_by_walking(x)


def test_a_walk_that_goes_on_from_others_plants_stones_all_along() -> None:
    known = KnownTensors()
    leaves = GraphLeaves(known)
    x = torch.ones(1, requires_grad=True)
    for step in range(6 * SPACING):
        x = x + 1
        if step % 7 == 0:
            leaves.behind(x, NoNames())
    leaves.behind(x, NoNames())
    node: Any = x.grad_fn
    distance = longest = 0
    while node is not None:
        distance = 0 if STONE in node.metadata else distance + 1
        longest = max(longest, distance)
        node = node.next_functions[0][0] if node.next_functions else None
    assert longest <= SPACING + 1
    del x, node
    assert drain()


def test_a_bit_is_given_back_when_its_leaf_dies() -> None:
    known = KnownTensors()
    source = NoNames()
    first, second = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    assert (known.mask_of(first, source), known.mask_of(second, source)) == (1, 2)
    del first
    assert known.generation == 1
    assert [member.ref() is second for member in known.members(3)] == [True]
    third = torch.ones(1, requires_grad=True)
    assert known.mask_of(third, source) == 1
