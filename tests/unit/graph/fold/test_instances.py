from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.graph.fold.instances import split_into_instances
from inspect_autograd.graph.records import Edge
from inspect_autograd.graph.tables import EdgeTable
from inspect_autograd.graph.topology import topological_order


def split(edges: str, groups: list[int]) -> dict[int, list[list[int]]]:
    pairs = [tuple(map(int, item.split(">"))) for item in edges.split()]
    table = EdgeTable.from_edges(len(groups), [Edge(a, 0, b, 0) for a, b in pairs])
    return split_into_instances(table, groups)


def test_a_group_in_one_piece_is_one_instance() -> None:
    assert split("0>1 1>2 2>3", [-1, 0, 0, -1]) == {0: [[1, 2]]}


def test_a_group_that_is_left_and_entered_again_is_split() -> None:
    # Node 1 is nearer the loss, so it was called last.
    assert split("0>1 1>2 2>3", [-1, 0, -1, 0]) == {0: [[3], [1]]}


def test_two_groups_that_take_turns_are_split() -> None:
    assert split("0>1 1>2 2>3", [0, 1, 0, 1]) == {0: [[2], [0]], 1: [[3], [1]]}


def test_ways_of_different_length_into_a_group_do_not_split_it() -> None:
    # 0 leads to 3 directly and by way of the ungrouped 1 and 2; 3 and 4 are one group.
    assert split("0>3 0>1 1>2 2>4 3>4", [-1, -1, -1, 0, 0]) == {0: [[3, 4]]}


def test_parts_without_a_way_between_them_are_one_instance() -> None:
    assert split("0>1 0>2 2>3", [-1, 0, -1, 0]) == {0: [[1, 3]]}


def test_joining_one_group_can_forbid_joining_another() -> None:
    # Groups 0 and 1 each have two nodes; 0 leads to 1 in one place and from it in the other.
    instances = split("0>1 2>3 4>0 4>2 4>5 5>2", [0, 1, 1, 0, -1, -1])
    assert sorted(len(calls) for calls in instances.values()) == [1, 2]


def test_many_calls_of_one_module() -> None:
    # cell, glue, cell, glue, ... towards the leaves.
    groups = [0, -1] * 3000
    edges = " ".join(f"{i}>{i + 1}" for i in range(5999))
    assert split(edges, groups) == {0: [[i] for i in range(5998, -1, -2)]}


@st.composite
def grouped_dags(draw: st.DrawFn) -> tuple[EdgeTable, list[int]]:
    size = draw(st.integers(1, 14))
    shuffled = draw(st.permutations(range(size)))
    pairs = draw(
        st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)), max_size=40)
    )
    edges = [Edge(shuffled[a], 0, shuffled[b], 0) for a, b in pairs if a < b]
    groups = draw(st.lists(st.integers(-1, 3), min_size=size, max_size=size))
    return EdgeTable.from_edges(size, edges), groups


@given(grouped_dags())
def test_instances_cover_their_groups_and_close_no_cycle(case: tuple[EdgeTable, list[int]]) -> None:
    edges, groups = case
    instances = split_into_instances(edges, groups)
    covered = {
        group: sorted(node for call in calls for node in call) for group, calls in instances.items()
    }
    expected: dict[int, list[int]] = {}
    for node, group in enumerate(groups):
        if group >= 0:
            expected.setdefault(group, []).append(node)
    assert covered == expected

    box_of = list(range(len(groups)))
    for calls in instances.values():
        for call in calls:
            assert call == sorted(call)
            for node in call:
                box_of[node] = call[0]
    merged = {
        (box_of[a], box_of[b])
        for a, b in zip(edges.sources, edges.targets, strict=True)
        if box_of[a] != box_of[b]
    }
    quotient = EdgeTable.from_edges(len(groups), [Edge(a, 0, b, 0) for a, b in merged])
    order = list(topological_order(quotient))
    assert len(order) == len(groups)
    # Forward order: no gradient flows from an earlier call to a later one.
    reach: dict[int, set[int]] = {box: set() for box in order}
    for box in reversed(order):
        for a, b in merged:
            if a == box:
                reach[box] |= {b} | reach[b]
    for calls in instances.values():
        for earlier, later in pairwise(calls):
            assert later[0] not in reach[earlier[0]]
