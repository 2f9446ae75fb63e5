"""Who refers to objects is found in two ways; both are compared with looking at every object."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch

from inspect_autograd.live.garbage_collector import collector_paused
from inspect_autograd.live.holders.referrers import FEW, find_referrers
from inspect_autograd.live.holders.snapshot import take_snapshot
from inspect_autograd.live.stepping_stones import METADATA_KEY, SPACING
from inspect_autograd.live.walk import walk_graph


class Box:
    """Holds a value in its `__dict__`."""

    def __init__(self, value: Any) -> None:
        self.value = value


@pytest.mark.parametrize("count", [1, 2, FEW, FEW + 1, 400])
def test_the_same_as_looking_at_every_object(count: int) -> None:
    values: list[Any] = [[n] for n in range(count)]
    several = {"first": values[0], "last": values[-1]}
    boxes = [Box((value,)) for value in values]
    late = None
    with collector_paused():
        snapshot = take_snapshot()
        late = [values[0]]  # Made after the snapshot, as all our own lists are.
        found = list(map(id, find_referrers(values, snapshot)))
        sought = set(map(id, values))
        wanted = [
            id(value)
            for value in snapshot.objects
            if any(id(member) in sought for member in gc.get_referents(value))
        ]
        assert found == wanted
    assert {id(values), id(several)} <= set(found)
    assert {id(box.value) for box in boxes} <= set(found)
    assert id(late) not in found


def test_nothing_refers_to_nothing() -> None:
    assert list(find_referrers([], take_snapshot())) == []


@pytest.mark.parametrize("all_of_them", [True, False])
def test_what_frees_a_deep_graph_is_no_referrer(all_of_them: bool) -> None:
    y = torch.ones(2, requires_grad=True)
    for _ in range(3 * SPACING):
        y = y.neg()
    nodes = list(walk_graph([y.grad_fn]).nodes)
    with collector_paused():
        snapshot = take_snapshot()
        stones = [n.metadata[METADATA_KEY] for n in nodes if METADATA_KEY in n.metadata]
        held_by_stones = gc.get_referents(*gc.get_referents(*stones))
        stoned = [node for node in nodes if any(node is held for held in held_by_stones)]
        found = [
            value
            for value in find_referrers(nodes if all_of_them else stoned[:FEW], snapshot)
            if value is not nodes
        ]
    assert len(stoned) > 1
    assert snapshot.ours.isdisjoint(map(id, found))
