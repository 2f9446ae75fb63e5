"""Which call of a module each node belongs to."""

from collections.abc import Mapping
from dataclasses import replace

from inspect_autograd.graph.creation import Creation
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.module_calls import find_calls
from tests.unit.graph.fold.building import build


def recorded(edges: str, names: str, made: Mapping[int, tuple[str, int | None]]) -> Graph:
    """A graph whose nodes were made in these modules and calls; leaves have no call."""
    graph = build(edges, names, scopes={node: scope for node, (scope, _) in made.items()})
    creations = {node: Creation(call=call) for node, (_, call) in made.items() if call is not None}
    return replace(graph, node_table=replace(graph.node_table, creations=creations))


def calls_of(graph: Graph) -> dict[str, dict[int, int]]:
    return {path: dict(sorted(calls.call_of.items())) for path, calls in find_calls(graph).items()}


def test_the_calls_of_a_module_are_those_of_its_nodes() -> None:
    # A node with a lower id was made later.
    graph = recorded("0>1 1>2 2>3", "Mul Mul Mul Mul", {0: ("a", 1), 1: ("b", 0), 2: ("a", 0)})
    assert calls_of(graph) == {"a": {0: 1, 2: 0}}
    assert find_calls(graph)["a"].label(1) == "call 2 of 2"


def test_without_calls_nothing_is_found() -> None:
    assert find_calls(build("0>1 1>2", "Mul Mul Mul", scopes={0: "a", 2: "a"})) == {}
    once = recorded("0>1", "Mul Mul", {0: ("a", 2), 1: ("a", 2)})
    assert find_calls(once) == {}


def test_a_call_that_left_no_node_counts() -> None:
    graph = recorded("0>1", "Mul Mul", {0: ("a", 4), 1: ("a", 1)})
    assert find_calls(graph)["a"].label(4) == "call 5 of 5"


def test_a_parameter_belongs_to_the_first_call_that_uses_it() -> None:
    graph = recorded(
        "0>1 0>2 0>3 1>2",
        "Addmm Addmm Leaf Leaf",
        {0: ("fc", 1), 1: ("fc", 0), 2: ("fc", None), 3: ("fc", None)},
    )
    assert calls_of(graph) == {"fc": {0: 1, 1: 0, 2: 0, 3: 1}}


def test_a_submodule_belongs_to_the_call_between_whose_nodes_it_was_made() -> None:
    # Made in the order 7 … 0: a calls its part three times in its first call, never in the other.
    graph = recorded(
        "0>1 1>2 2>3 3>4 4>5 5>6 6>7",
        "M M M M M M M M",
        {
            7: ("a", 0),
            6: ("a.x", 0),
            5: ("a.x", 1),
            4: ("a.x", 2),
            3: ("a", 0),
            2: ("b", 0),
            1: ("a", 1),
            0: ("a", 1),
        },
    )
    assert calls_of(graph)["a"] == {7: 0, 6: 0, 5: 0, 4: 0, 3: 0, 1: 1, 0: 1}


def test_a_submodule_that_each_call_calls_equally_often() -> None:
    # The own node of each call was made last, so nothing else tells where a call began.
    graph = recorded(
        "0>1 1>2 2>3 3>4 4>5",
        "M M M M M M",
        {
            5: ("a.x", 0),
            4: ("a.x", 1),
            3: ("a", 0),
            2: ("a.x", 2),
            1: ("a.x", 3),
            0: ("a", 1),
        },
    )
    assert calls_of(graph)["a"] == {5: 0, 4: 0, 3: 0, 2: 1, 1: 1, 0: 1}


def test_a_module_without_nodes_of_its_own_has_the_calls_of_its_submodules() -> None:
    # Two ways that join in node 0, each through s.0 and s.1.
    made = {1: ("s.1", 1), 2: ("s.0", 1), 3: ("s.1", 0), 4: ("s.0", 0)}
    graph = recorded("0>1 1>2 0>3 3>4", "Add M M M M", made)
    assert calls_of(graph)["s"] == {1: 1, 2: 1, 3: 0, 4: 0}


def test_a_loop_over_submodules_is_no_call_of_what_is_around_them() -> None:
    made = {1: ("s.1", 1), 2: ("s.0", 1), 3: ("s.1", 0), 4: ("s.0", 0)}
    graph = recorded("0>1 1>2 2>3 3>4", "Add M M M M", made)
    assert {*calls_of(graph)} == {"s.0", "s.1"}


def test_folds_have_no_sequence_numbers_and_keep_their_calls() -> None:
    made = {0: ("a", 1), 1: ("a", 1), 2: ("b", 0), 3: ("a", 0), 4: ("a", 0)}
    graph = recorded("0>1 1>2 2>3 3>4", "M M M M M", made)
    folded = graph.fold("scope")
    assert [node.label for node in folded.nodes] == ["a (call 2 of 2)", "M", "a (call 1 of 2)"]
    assert calls_of(folded) == {"a": {0: 1, 2: 0}}
