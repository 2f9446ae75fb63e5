"""A comparison as a report."""

from inspect_autograd.events.compare import Comparison, compare_traces
from inspect_autograd.events.records import RootGradient
from inspect_autograd.events.trace import Trace
from inspect_autograd.render.comparison_text import MAX_LINES
from tests.unit.hand_traces import make_pass, make_trace, stats
from tests.unit.render.graphs import chain, layers


def series(sizes: list[float], **fields: object) -> Trace:
    """A chain whose node i receives and returns a gradient of this norm."""
    events = [(i, 0, [stats(size)], [stats(size)]) for i, size in enumerate(sizes)]
    return make_trace(chain(len(sizes)), events, **fields)  # type: ignore[arg-type]


def compare(a: Trace, b: Trace) -> Comparison:
    return compare_traces(a, b)


def test_the_same() -> None:
    assert str(compare(series([1.0, 1.0]), series([1.0, 1.0]))) == (
        "Traces are the same: 2 events, within the tolerances\n"
        "\n"
        "a is this trace (2 events), b the other one (2 events)\n"
        "structure: identical; events matched by position in the graph\n"
        "tolerances: rtol=1e-05, atol=1e-08"
    )


def test_one_difference_as_a_whole() -> None:
    graph = layers(1)
    event = (1, 0, [stats(1.0)], [stats(1.0)])
    a = make_trace(graph, [event, (2, 0, [stats(1.0)], [None, stats(0.41), None])])
    b = make_trace(graph, [event, (2, 0, [stats(1.0)], [None, stats(0.52), None])])
    assert str(compare(a, b)) == (
        "Traces differ first at #2 AddmmBackward0 (layers.0.bias): returned[1] |0.41| against "
        "|0.52|, relative difference 0.21\n"
        "What it received agrees, so the node itself differs, or what it saved in the forward "
        "pass.\n"
        "1 of 2 events that both have differ; 1 before the first one agree.\n"
        "\n"
        "a is this trace (2 events), b the other one (2 events)\n"
        "structure: identical; events matched by position in the graph\n"
        "tolerances: rtol=1e-05, atol=1e-08"
    )


def test_several_differences_are_listed() -> None:
    lines = str(compare(series([1.0, 1.0, 1.0]), series([1.0, 2.0, 4.0]))).splitlines()
    assert lines[4].split() == ["event", "a", "event", "b", "node", "what", "a", "b", "relative"]
    assert lines[5].split() == ["1", "1", "#1", "MulBackward0", "received[0]", "norm", "|1|",
                                "|2|", "0.5"]  # fmt: skip
    assert lines[6].split()[-3:] == ["|1|", "|4|", "0.75"]


def test_a_long_list_is_cut_and_says_so() -> None:
    def last(count: int) -> str:
        text = str(compare(series([1.0] * count), series([2.0] * count)))
        return text.split("\n\n")[1].splitlines()[-1]

    assert last(MAX_LINES).startswith("19 ")
    assert last(MAX_LINES + 1) == "… and 1 more; Comparison.differences has the first 21"
    assert last(150) == "… and 130 more; Comparison.differences has the first 100"


def test_where_a_difference_came_from() -> None:
    root = [make_pass(roots=(RootGradient(0, 0, False, stats(1.0)),))]
    text = str(compare(series([1.0, 1.0], passes=root), series([2.0, 2.0], passes=root)))
    assert "It is where the pass began: it was given another gradient" in text
    text = str(compare(series([1.0, 1.0]), series([1.0, 2.0])))
    assert "What it received differs, though all matched events before it agree" in text


def test_events_without_a_counterpart_are_listed_in_runs() -> None:
    a, b = series([1.0] * 3), series([1.0] * 8)
    text = str(compare(a, b))
    assert text.startswith("Traces agree in all 3 events that both have, but differ in structure")
    assert "structure: node #3 is AccumulateGrad in a and MulBackward0 in b" in text
    assert "events matched by parameter name and likeness" in text
    assert "without a counterpart: 5 events of b (3–7)" in text
    assert "a is this trace (3 events), b the other one (8 events)" in text


def test_nothing_in_common() -> None:
    text = str(compare(series([]), series([1.0])))
    assert text.startswith("Traces have no events in common")


def test_names_are_shown_safely() -> None:
    graph = chain(1)
    named = {1: graph.node_table.parameters[1].__class__(("a\nb",), stats(1.0).meta)}
    graph.node_table.parameters.update(named)  # type: ignore[attr-defined]
    a, b = (make_trace(graph, [(1, 0, [stats(size)], [])]) for size in (1.0, 2.0))
    assert str(compare(a, b)).startswith(
        "Traces differ first at #1 AccumulateGrad (a␊b): received[0] |1| against |2|"
    )
