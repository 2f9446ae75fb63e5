"""find_growth on graphs worked out by hand: chains of sums, and what only looks like one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from inspect_autograd.graph.holders import Growth
from inspect_autograd.graph.records import Edge
from inspect_autograd.graph.tables import EdgeTable
from inspect_autograd.live.holders.group_graphs import Union
from inspect_autograd.live.holders.growth import find_growth

ADD, CAT, MUL, EXP, LEAF = "AddBackward0", "CatBackward0", "MulBackward0", "ExpBackward0", "leaf"


def growth_of(names: list[str], edges: Mapping[int, list[int]], starts: list[int]) -> Growth | None:
    made = [
        Edge(source, slot, target, 0)
        for source in sorted(edges)
        for slot, target in enumerate(edges[source])
    ]
    table = EdgeTable.from_edges(len(names), made)
    inner = [index for index, name in enumerate(names) if name != LEAF]
    return find_growth(starts, inner, table, names.__getitem__, lambda index: names[index] == LEAF)


def test_terms_that_share_only_leaves() -> None:
    names = [ADD, ADD, ADD, EXP, EXP, EXP, LEAF]
    edges = {0: [1, 3], 1: [2, 4], 2: [5], 3: [6], 4: [6], 5: [6]}
    assert growth_of(names, edges, [0]) == Growth("sum", 3, 3)


def test_terms_that_share_a_trunk() -> None:
    names = [ADD, ADD, ADD, EXP, EXP, MUL, LEAF]
    edges = {0: [1, 3], 1: [2, 4], 2: [5, 5], 3: [5], 4: [5], 5: [6]}
    assert growth_of(names, edges, [0]) == Growth("sum", 3, 1)


def test_two_sums_are_no_chain() -> None:
    assert growth_of([ADD, ADD, EXP, LEAF], {0: [1, 2], 1: [2], 2: [3]}, [0]) is None


def test_sums_further_down_do_not_count() -> None:
    names = [EXP, ADD, ADD, ADD, LEAF]
    edges = {0: [1], 1: [2, 4], 2: [3, 4], 3: [4]}
    assert growth_of(names, edges, [0]) is None
    assert growth_of(names, edges, [0, 1]) == Growth("sum", 3, 3)


def test_the_longest_way_is_followed() -> None:
    # The term of the first sum ends in a sum itself.
    names = [ADD, ADD, ADD, ADD, LEAF]
    edges = {0: [1, 2], 1: [4, 4], 2: [3, 4], 3: [4, 4]}
    assert growth_of(names, edges, [0]) == Growth("sum", 3, 4)


def test_a_factor_between_sums_is_passed_a_product_is_not() -> None:
    names = [ADD, MUL, ADD, MUL, ADD, MUL, LEAF]
    edges = {0: [1], 1: [2], 2: [3], 3: [4], 4: [5], 5: [6]}
    growth = growth_of(names, edges, [0])
    assert growth is not None
    assert growth.steps == 3
    product = {0: [1], 1: [2, 6], 2: [3], 3: [4, 6], 4: [5], 5: [6]}
    assert growth_of(names, product, [0]) is None


def test_sums_and_concatenations_do_not_mix() -> None:
    names = [CAT, CAT, CAT, ADD, ADD, ADD, LEAF]
    edges = {0: [1], 1: [2], 2: [3], 3: [4], 4: [5], 5: [6]}
    growth = growth_of(names, edges, [0])
    assert growth == Growth("concatenation", 3, 1)


@pytest.mark.parametrize(
    ("pairs", "sets"),
    [
        ([], [0, 1, 2, 3]),
        ([(0, 1), (2, 3)], [0, 0, 2, 2]),
        ([(0, 1), (2, 3), (3, 0)], [0, 0, 0, 0]),
        ([(3, 2), (2, 1), (1, 0)], [0, 0, 0, 0]),
    ],
)
def test_union(pairs: list[tuple[int, int]], sets: list[int]) -> None:
    union = Union(4)
    union.merge(pairs)
    found = [union.find(index) for index in range(4)]
    assert [found.index(top) for top in found] == sets
