"""Which event of one trace corresponds to which of another."""

import random
from collections.abc import Sequence
from itertools import pairwise
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.events import match_events as module
from inspect_autograd.events.match_events import align, match_events, plain_name
from inspect_autograd.events.trace import Trace
from tests.unit.hand_traces import EventRow, make_pass, make_trace, stats
from tests.unit.render.graphs import chain, make_graph

SEQUENCES = st.lists(st.integers(0, 4), max_size=30)


def longest_common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the longest common subsequence, by the textbook's table."""
    row = [0] * (len(b) + 1)
    for x in a:
        previous = 0
        for j, y in enumerate(b):
            previous, row[j + 1] = row[j + 1], previous + 1 if x == y else max(row[j], row[j + 1])
    return row[-1]


# -- aligning sequences ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "pairs"),
    [
        ("", "abc", []),
        ("abc", "abc", [(0, 0), (1, 1), (2, 2)]),
        ("abc", "abxc", [(0, 0), (1, 1), (2, 3)]),
        ("abxc", "abc", [(0, 0), (1, 1), (3, 2)]),
        ("xay", "uav", [(1, 1)]),
        ("mmmm", "mmm", [(0, 0), (1, 1), (2, 2)]),
        # K and L occur once: they hold the repeated letters beside them in place.
        ("pmKmmLq", "rmmKmLs", [(1, 2), (2, 3), (3, 4), (5, 5)]),
        # Once each, but in another order: the longer run that both share is kept.
        ("Xabc", "abcX", [(1, 0), (2, 1), (3, 2)]),
    ],
)
def test_alignment_by_hand(a: str, b: str, pairs: list[tuple[int, int]]) -> None:
    assert align(a, b) == pairs


@given(SEQUENCES, SEQUENCES)
def test_an_alignment_pairs_equal_elements_in_order(a: list[int], b: list[int]) -> None:
    pairs = align(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert all(i < k and j < m for (i, j), (k, m) in pairwise(pairs))
    assert len(pairs) <= longest_common(a, b)
    assert align(a, a) == [(i, i) for i in range(len(a))]


@given(SEQUENCES, st.integers(0, 30), st.lists(st.integers(5, 9), max_size=5))
def test_an_insertion_leaves_only_itself_over(a: list[int], at: int, new: list[int]) -> None:
    b = [*a[:at], *new, *a[at:]]
    assert len(align(a, b)) == len(a)
    assert len(align(b, a)) == len(a)


def test_long_sequences_take_no_quadratic_time() -> None:
    random.seed(0)
    count = 50_000
    chains = [i % 2 for i in range(count)]
    cases = [
        (chains, [*chains[:20_000], 7, *chains[20_000:]]),
        ([5, *chains[9:], 6], [8, *chains, 9]),
        ([random.randrange(3) for _ in range(count)], [random.randrange(3) for _ in range(count)]),
        ([*range(count)], random.sample(range(count), count)),
    ]
    begin = perf_counter()
    lengths = [len(align(a, b)) for a, b in cases]
    assert perf_counter() - begin < 20, "quadratic time would take many minutes"
    assert lengths[0] == count
    # Counting is a rough guess where nothing is unique: one of the two kinds is matched.
    assert lengths[1] > 0.49 * count
    assert lengths[2] > 0.05 * count


def test_a_stretch_too_large_for_difflib_is_matched_by_counting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b = "xabab", "babay"
    assert align(a, b) == [(1, 1), (2, 2), (3, 3)], "what difflib finds"
    monkeypatch.setattr(module, "MAX_DIFFLIB_EVENTS", 3)
    # The first a with the first a, the second b with the second b; crossing pairs are left out.
    pairs = align(a, b)
    assert all(a[i] == b[j] for i, j in pairs)
    assert 2 <= len(pairs) <= 3
    monkeypatch.setattr(module, "MAX_DIFFLIB_EVENTS", 3000)
    monkeypatch.setattr(module, "MAX_DIFFLIB_PAIRS", 3)
    assert align(a, b) == pairs


# -- matching events ---------------------------------------------------------------------------


def layered(names: Sequence[str], *, nodes: Sequence[str] = (), width: int = 4) -> Trace:
    """A pass through layers: for each leaf name a node, then the leaf."""
    kinds: list[str] = []
    edges: list[tuple[int, ...]] = []
    leaves: dict[int, str] = {}
    events: list[EventRow] = []
    for layer, name in enumerate(names):
        kinds += [nodes[layer] if nodes else "AddmmBackward0", "AccumulateGrad"]
        leaves[2 * layer + 1] = name
        edges.append((2 * layer, 2 * layer + 1))
        if layer:
            edges.append((2 * layer - 2, 2 * layer))
        gradient = stats(1.0, (width,))
        events += [(2 * layer, 0, [gradient], []), (2 * layer + 1, 0, [stats(1.0)], [])]
    return make_trace(make_graph(kinds, sorted(edges), leaves=leaves), events)


def pairs_of(a: Trace, b: Trace) -> list[tuple[int, int]]:
    return [*match_events(a, b, by_position=False).pairs]


def test_leaves_hold_repeated_layers_in_place() -> None:
    a, b = layered(["l3", "l2", "l1", "l0"]), layered(["l3", "l1", "l0"])
    matching = match_events(a, b, by_position=False)
    assert {(3, 3), (5, 3), (7, 5)} & {*matching.pairs} == {(5, 3), (7, 5)}
    assert (1, 1) in matching.pairs
    assert matching.unmatched_b == ()
    assert len(matching.unmatched_a) == 2
    assert 3 in matching.unmatched_a, "the leaf of the layer that is gone"


def test_leaves_are_matched_by_name_in_any_order() -> None:
    a, b = layered(["x", "y", "z"]), layered(["z", "x", "y"])
    pairs = pairs_of(a, b)
    assert {(1, 3), (3, 5), (5, 1)} <= {*pairs}
    assert len({i for i, _ in pairs}) == len(pairs)
    assert len({j for _, j in pairs}) == len(pairs)


def test_other_leaves_are_left_over_rather_than_matched() -> None:
    matching = match_events(layered(["x", "y"]), layered(["x", "q"]), by_position=False)
    assert matching.pairs == ((0, 0), (1, 1), (2, 2))
    assert (matching.unmatched_a, matching.unmatched_b) == ((3,), (3,))


def test_without_common_names_leaves_are_known_by_their_shape() -> None:
    assert pairs_of(layered(["x", "y"]), layered(["p", "q"])) == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_another_width_is_matched_by_the_name_of_the_node() -> None:
    a = layered(["x", "y"], nodes=["MulBackward0", "AddBackward0"])
    b = layered(["x", "y"], nodes=["MulBackward0", "SubBackward0"], width=8)
    assert pairs_of(a, b) == [(0, 0), (1, 1), (3, 3)]


def test_by_position_passes_and_repetitions_are_told_apart() -> None:
    graph, gradient = chain(1), stats(1.0)
    passes = [make_pass(0), make_pass(1)]

    def trace(*events: tuple[int, int]) -> Trace:
        rows: list[EventRow] = [(node, index, [gradient], []) for node, index in events]
        return make_trace(graph, rows, passes=passes)

    a = trace((0, 0), (1, 0), (0, 1), (0, 1))
    b = trace((1, 0), (0, 0), (0, 1), (1, 1))
    matching = match_events(a, b, by_position=True)
    assert matching.pairs == ((0, 1), (1, 0), (2, 2))
    assert matching.unmatched_a == (3,)
    assert matching.unmatched_b == (3,)


def test_the_deliveries_of_a_leaf_are_matched_one_by_one() -> None:
    graph, gradient = chain(1), stats(1.0)
    passes = [make_pass(0), make_pass(1)]
    a = make_trace(graph, [(1, 0, [gradient], []), (1, 1, [gradient], [])], passes=passes)
    b = make_trace(graph, [(1, 0, [gradient], [])])
    matching = match_events(a, b, by_position=False)
    assert matching.pairs == ((0, 0),)
    assert matching.unmatched_a == (1,)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("layers.0.weight", "layers.0.weight"),
        ("_orig_mod.layers.0.weight", "layers.0.weight"),
        ("module.layers.0.weight", "layers.0.weight"),
        ("module._orig_mod.a._checkpoint_wrapped_module.b", "a.b"),
        ("_fsdp_wrapped_module.module.a", "a"),
        ("a.module.b", "a.module.b"),
        ("module", "module"),
    ],
)
def test_wrappers_are_no_part_of_a_name(name: str, plain: str) -> None:
    assert plain_name(name) == plain
