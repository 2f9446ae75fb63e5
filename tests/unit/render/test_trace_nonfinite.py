"""A picture tells of NaN and Inf what `Trace.first_nonfinite` tells."""

import random
import re
from dataclasses import replace
from math import inf, nan
from pathlib import Path

import pytest
import torch

from inspect_autograd.events.first_nonfinite import NonfiniteReport
from inspect_autograd.events.nonfinite_report import NonfiniteKind
from inspect_autograd.events.records import Evidence, PassInput, RootGradient, TensorStats
from inspect_autograd.events.trace import Trace
from inspect_autograd.render.pass_facts import PassFacts
from inspect_autograd.render.pass_text import remarks
from tests.conformance.plain_hooks import naive_stats, record_by_plain_hooks
from tests.unit.render.graphs import F4, chain, make_graph
from tests.unit.render.hand_traces import make_data, make_pass, stats_of
from tests.unit.render.traces import attributes, change_pass, draw, inf_of_sum, nan_of_sqrt

pytestmark = pytest.mark.usefixtures("no_dot")

WORDS: dict[NonfiniteKind, str] = {
    "born": "BORN HERE",
    "root": "WAS GIVEN",
    "accumulated": "BORN IN A SUM",
    "changed": "BORN IN A HOOK",
    "unknown": "FIRST SEEN HERE",
}


def changed_by_hook() -> Trace:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda gradient: gradient / 0)
    return record_by_plain_hooks(y.sum(), {"x": x})


def two_changed_by_hook() -> Trace:
    """Two gradients are added up; that of NaN cannot be their sum."""
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda gradient: gradient * nan)
    return record_by_plain_hooks((y.sin() + y.cos()).sum(), {"x": x})


def given() -> Trace:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    bad = torch.tensor([nan, 1.0])
    trace = record_by_plain_hooks(y, {"x": x}, lambda: y.backward(bad))
    return change_pass(trace, roots=(RootGradient(0, 0, False, naive_stats(bad)),))


def unknown() -> Trace:
    data = make_data(chain(2), [(0, [1], [1]), (1, [1], [nan]), (2, [nan], [])])
    stats = [TensorStats(F4), *data.table.stats[1:]]
    stats = [TensorStats(F4) if i in (1, 3) else one for i, one in enumerate(stats)]
    return Trace(replace(data, table=replace(data.table, stats=stats)))


def taken() -> Trace:
    """The sum of what `autograd.grad` returned for a leaf overflows; its node did not run."""
    graph = make_graph(["Add", "Mul", "Mul", "AccumulateGrad"], [(0, 1), (0, 2), (1, 3), (2, 3)])
    events = [(0, [1.0], [1.0, 1.0]), (1, [1.0], [3e38]), (2, [1.0], [2e38])]
    asked = make_pass(call="grad", inputs=(PassInput(3, 0, ("w",), stats_of(inf)),))
    return Trace(make_data(graph, events, passes=[asked]))


def root_that_did_not_run() -> Trace:
    bad = make_pass(roots=(RootGradient(0, 0, False, stats_of(nan)),))
    return Trace(make_data(chain(1), [], passes=[bad]))


def handed_on() -> Trace:
    """Node 1 hands on to a pass that it calls what it was sent, NaN."""
    inner = RootGradient(2, 0, False, stats_of(nan))
    passes = [make_pass(0), make_pass(1, parent=1, parent_pass=0, roots=(inner,))]
    events = [(0, [1.0], [nan]), (2, [nan], [nan]), (3, [nan], []), (1, [nan], [nan])]
    return Trace(make_data(chain(3), events, passes=passes, pass_of=[0, 1, 1, 0]))


def born_in_an_inner_pass() -> Trace:
    """Node 1 receives finite numbers and returns NaN, which is born in the pass that it calls."""
    passes = [make_pass(0), make_pass(1, parent=1, parent_pass=0)]
    events = [(0, [1.0], [1.0]), (2, [1.0], [nan]), (3, [nan], []), (1, [1.0], [nan])]
    return Trace(make_data(chain(3), events, passes=passes, pass_of=[0, 1, 1, 0]))


def report_of(trace: Trace) -> NonfiniteReport:
    report = trace.first_nonfinite()
    assert report is not None
    return report


def octagons(trace: Trace, folder: Path) -> set[int]:
    """Ids of the nodes that are drawn as the origin of NaN or Inf."""
    source = draw(trace, folder, view="full")
    keys = [f"n{node.id}" for node in trace.graph.nodes]
    return {int(k[1:]) for k in keys if attributes(source, k).get("shape") == "doubleoctagon"}


def check(trace: Trace, folder: Path) -> None:
    """The first origin, and all origins, are those of the report."""
    report = report_of(trace)
    text = draw(trace, folder, ".txt", view="full")
    verb = "first seen" if report.kind == "unknown" else "beginning"
    when = "not run" if report.event is None else f"order {report.event}"
    found = re.search(rf"NaN or Inf at \d+ nodes?, {verb} at (\S+) \(([^)]*)\)", text)
    assert found is not None, text
    label = trace.graph.nodes[report.node].label
    assert found.groups() == (label, when)
    assert f"  #{report.node}  {report.what} {WORDS[report.kind]}" in text
    shown = octagons(trace, folder)
    assert (report.node in shown) == (report.kind != "unknown")
    names = {trace.graph.node_table.names[id] for id in shown - {report.node}}
    assert names == set(report.others)


@pytest.mark.parametrize(
    ("make", "kind", "origins"),
    [
        (nan_of_sqrt, "born", {"SqrtBackward0"}),
        (inf_of_sum, "accumulated", {"MulBackward0"}),
        (changed_by_hook, "changed", {"MulBackward0"}),
        (two_changed_by_hook, "changed", {"MulBackward0"}),
        (given, "root", {"MulBackward0"}),
        (unknown, "unknown", set()),
        (taken, "accumulated", {"AccumulateGrad"}),
        (root_that_did_not_run, "root", {"MulBackward0"}),
        (handed_on, "born", {"MulBackward0"}),
        (born_in_an_inner_pass, "born", {"MulBackward0"}),
    ],
)
def test_each_kind(make: object, kind: str, origins: set[str], tmp_path: Path) -> None:
    assert callable(make)
    trace = make()
    assert report_of(trace).kind == kind
    check(trace, tmp_path)
    found = octagons(trace, tmp_path)
    assert {trace.graph.node_table.names[id] for id in found} == origins
    assert len(found) == len(origins)


def test_what_an_inner_pass_made_is_not_born_again_in_the_node_that_called_it(
    tmp_path: Path,
) -> None:
    assert octagons(handed_on(), tmp_path) == {0}
    assert octagons(born_in_an_inner_pass(), tmp_path) == {2}


def test_what_grad_took_and_is_not_finite_looks_so_though_its_node_did_not_run(
    tmp_path: Path,
) -> None:
    text = draw(taken(), tmp_path, ".txt", view="full")
    assert "NaN or Inf at 1 node, beginning at AccumulateGrad (not run)." in text
    assert "Inf BORN IN A SUM" in text
    passed_on = make_data(
        chain(1),
        [(0, [1.0], [nan])],
        passes=[make_pass(call="grad", inputs=(PassInput(1, 0, ("w",), stats_of(nan)),))],
    )
    source = draw(Trace(passed_on), tmp_path)
    assert attributes(source, "n1")["color"] == "#D55E00"
    assert "NaN or Inf at 2 nodes, beginning at MulBackward0 (order 0)." in source


def test_only_what_came_up_in_the_passes_that_are_drawn(tmp_path: Path) -> None:
    events = [(0, [1.0], [1.0]), (1, [1.0], []), (0, [1.0], [nan]), (1, [nan], [])]
    passes = [make_pass(0), make_pass(1)]
    trace = Trace(make_data(chain(1), events, passes=passes, pass_of=[0, 0, 1, 1]))
    assert "NaN" not in draw(trace, tmp_path, ".txt", backward_pass=0)
    last = draw(trace, tmp_path, ".txt", backward_pass=1)
    assert "beginning at MulBackward0 (order 2)." in last


def test_what_was_given_is_told_though_a_hook_replaced_it(tmp_path: Path) -> None:
    bad = make_pass(roots=(RootGradient(0, 0, False, stats_of(nan)),))
    trace = Trace(make_data(chain(1), [(0, [1.0], [1.0]), (1, [1.0], [])], passes=[bad]))
    text = draw(trace, tmp_path, ".txt")
    assert "NaN or Inf at 1 node, beginning at MulBackward0 (order 0)." in text
    assert "#0  NaN WAS GIVEN" in text


def test_what_was_given_to_a_node_that_did_not_run_is_counted_in_its_box(tmp_path: Path) -> None:
    bad = make_pass(roots=(RootGradient(0, 0, False, stats_of(nan)),))
    data = make_data(chain(3), [], passes=[bad])
    facts = PassFacts(data, data.graph.fold("chain"), data.passes)
    assert [line.text for line in remarks(facts.nodes[0], data)][:2] == [
        "NaN at 1 of 3 nodes",
        "NaN WAS GIVEN",
    ]


def test_what_is_unknown_later_is_not_called_a_beginning(tmp_path: Path) -> None:
    # Node 1 makes NaN of finite numbers, node 2 Inf of what is not known.
    graph = make_graph(["A", "B", "C"], [(0, 1), (0, 2)])
    data = make_data(graph, [(0, [1.0], [1.0, 1.0]), (1, [1.0], [nan]), (2, [1.0], [inf])])
    unknown = {data.table.received[2][0]}
    stats = [TensorStats(F4) if i in unknown else s for i, s in enumerate(data.table.stats)]
    trace = Trace(replace(data, table=replace(data.table, stats=stats)))
    text = draw(trace, tmp_path, ".txt", view="full")
    assert "beginning at B (order 1)." in text
    assert "Inf FIRST SEEN HERE" in text


def test_only_what_was_seen_at_births_is_told(tmp_path: Path) -> None:
    trace = changed_by_hook()
    found = tuple(Evidence(order, "", "the reason") for order in range(len(trace)))
    trace = Trace(replace(trace.data, evidence=found))
    assert "the reason" not in report_of(trace).explanation
    assert "the reason" not in draw(trace, tmp_path, ".txt")


@pytest.mark.parametrize("seed", range(40))
def test_random_traces(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    size = chance.randint(3, 8)
    edges = [(chance.randrange(target), target) for target in range(1, size)]
    edges += [(s, t) for s in range(size) for t in range(s + 1, size) if chance.random() < 0.15]
    degree = [sum(source == node for source, _ in edges) for node in range(size)]
    graph = make_graph([f"Node{i}" for i in range(size)], edges)
    numbers = [1.0, 1.0, 1.0, 3e38, nan, inf, None]
    events = [
        (node, chance.choices(numbers), chance.choices(numbers, k=degree[node]))
        for node in range(size)
        if node == 0 or chance.random() < 0.9
    ]
    data = make_data(graph, events)
    stats = [TensorStats(F4) if chance.random() < 0.1 else one for one in data.table.stats]
    trace = Trace(replace(data, table=replace(data.table, stats=stats)))
    if trace.first_nonfinite() is None:
        assert "NaN or Inf" not in draw(trace, tmp_path, ".txt", view="full")
    else:
        check(trace, tmp_path)
