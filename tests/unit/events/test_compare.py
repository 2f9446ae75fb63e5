"""The first node where two traces differ."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.events.compare import MAX_DIFFERENCES, Comparison, compare_traces
from inspect_autograd.events.records import Environment, Outcome, RootGradient, TensorStats
from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.graph import Graph
from tests.conformance.plain_hooks import record_by_plain_hooks
from tests.unit.hand_traces import Gradients, make_pass, make_trace, stats
from tests.unit.render.graphs import F4, chain, product


def compare(a: Trace, b: Trace, **options: Any) -> Comparison:
    return compare_traces(a, b, **options)


def model_trace(
    seed: int = 0,
    *,
    change: Callable[[nn.Sequential], object] | None = None,
    depth: int = 2,
    rows: int = 6,
    factor: float = 1.0,
    compiled: bool = False,
) -> Trace:
    torch.manual_seed(seed)
    layers = [module for _ in range(depth) for module in (nn.Linear(5, 5), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(5, 3))
    if change is not None:
        with torch.no_grad():
            change(model)
    x = torch.linspace(-1, 1, 30).reshape(6, 5)[:rows]
    runner = torch.compile(model, backend="aot_eager") if compiled else model
    loss = cross_entropy(runner(x), torch.arange(rows) % 3) * factor
    return record_by_plain_hooks(loss, runner)


def line(received: Gradients, returned: Gradients, graph: Graph | None = None) -> Trace:
    """A trace of one event, of the node before the leaf."""
    return make_trace(graph or chain(1), [(0, 0, received, returned)])


# -- real runs ---------------------------------------------------------------------------------


def test_the_same_program_twice_is_the_same() -> None:
    comparison = compare(model_trace(), model_trace())
    assert comparison.is_same
    assert comparison.first is None
    assert comparison.structure == "identical"
    assert comparison.by_position
    assert comparison.matched == tuple((i, i) for i in range(len(model_trace())))
    assert (comparison.unmatched_a, comparison.unmatched_b) == ((), ())
    assert str(comparison).startswith(f"Traces are the same: {len(comparison.matched)} events")


def test_two_seeds_differ_where_the_loss_saved_other_values() -> None:
    a, b = model_trace(0), model_trace(1)
    comparison = compare(a, b)
    assert comparison.first is not None
    # The root and the mean over the samples are the same; the softmax saved other probabilities.
    assert comparison.first.name == "LogSoftmaxBackward0"
    assert comparison.first.upstream == "same received"
    assert comparison.first.gradient.side == "returned"
    assert not comparison.is_same
    assert any("6 of 6 parameters" in note for note in comparison.notes)
    assert comparison.difference_count == len(a) - 2, "all but the first two"


def test_a_changed_layer_is_named_in_the_notes() -> None:
    def double(model: nn.Sequential) -> None:
        model.get_parameter("2.weight").mul_(2.0)

    (note,) = compare(model_trace(), model_trace(change=double)).notes
    assert note.startswith("the values of 1 of 6 parameters had other norms")
    assert "2.weight" in note


def test_a_backward_formula_that_differs_is_found_with_its_parameter() -> None:
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor, weight: Tensor, wrong: float) -> Tensor:
            ctx.save_for_backward(x, weight)
            ctx.wrong = wrong
            return x @ weight

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
            x, weight = ctx.saved_tensors
            return gradients[0] @ weight.T, (x.T @ gradients[0]) * ctx.wrong, None

    def run(wrong: float) -> Trace:
        torch.manual_seed(0)
        model = nn.Linear(4, 4)
        weight = torch.ones(4, 4, requires_grad=True)
        y = Scaled.apply(  # type: ignore[no-untyped-call]
            model(torch.ones(2, 4)), weight, wrong
        )
        names = dict(model.named_parameters()) | {"scaled.weight": weight}
        return record_by_plain_hooks(y.sum(), names)

    first = compare(run(1.0), run(1.25)).first
    assert first is not None
    assert first.name == "ScaledBackward"
    assert first.place == "scaled.weight"
    assert first.gradient.place == "returned[1]"
    assert first.gradient.relative == pytest.approx(0.2)
    assert first.upstream == "same received"
    assert str(first).startswith(f"#{first.node_a} ScaledBackward (scaled.weight): returned[1] |")
    assert str(first).endswith("relative difference 0.2")
    assert compare(run(1.0), run(1.25)).difference_count == 2, "the function and the leaf behind it"


def test_a_scaled_loss_differs_at_its_first_node() -> None:
    first = compare(model_trace(), model_trace(factor=2.0)).first
    assert first is not None
    assert first.name == "MulBackward0"
    assert (first.gradient.a, first.gradient.b) == ("|1|", "|2|")
    assert first.gradient.relative == 0.5


def test_another_batch_size_differs_in_shape_but_matches_all() -> None:
    comparison = compare(model_trace(), model_trace(rows=3))
    assert comparison.structure == "identical"
    assert comparison.unmatched_a == ()
    assert comparison.first is not None
    assert comparison.first.gradient.what == "shape"
    assert (comparison.first.gradient.a, comparison.first.gradient.b) == ("[6, 3]", "[3, 3]")


def test_a_deeper_model_leaves_the_new_layer_over() -> None:
    a, b = model_trace(), model_trace(depth=3)
    comparison = compare(a, b)
    assert comparison.structure != "identical"
    assert not comparison.by_position
    assert comparison.unmatched_a == ()
    assert len(comparison.unmatched_b) == len(b) - len(a)
    matched = [(a.node_of(a.events[i]), b.node_of(b.events[j])) for i, j in comparison.matched]
    assert all(ours.name == theirs.name for ours, theirs in matched)
    leaves = [(x.label, y.label) for x, y in matched if x.kind == "leaf"]
    assert sorted(leaves) == sorted(
        (f"{i}.{k}",) * 2 for i in (0, 2, 4) for k in ("weight", "bias")
    )


def test_eager_against_compiled_matches_the_leaves() -> None:
    a, b = model_trace(), model_trace(compiled=True)
    comparison = compare(a, b)
    assert comparison.first is None, "both compute the same gradients"
    assert not comparison.is_same
    leaves = [a.node_of(a.events[i]).label for i, _ in comparison.matched]
    assert {"0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"} <= {*leaves}
    there = [b.node_of(b.events[j]).label for _, j in comparison.matched]
    assert "_orig_mod.0.weight" in there
    names = [b.node_of(b.events[j]).name for j in comparison.unmatched_b]
    assert names == ["CompiledFunctionBackward"]
    first_line = str(comparison).splitlines()[0]
    assert first_line == (
        f"Traces agree in all {len(comparison.matched)} events that both have, "
        "but differ in structure"
    )


# -- what is compared --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "what", "texts"),
    [
        (stats(1.0), stats(1.25), "l2", ("|1|", "|1.25|")),
        (stats(1.0), stats(1.0, min=-0.5), "min", ("-1", "-0.5")),
        (stats(1.0), stats(1.0, max=0.5), "max", ("1", "0.5")),
        (stats(1.0, mean=0.5), stats(1.0, mean=0.25), "mean", ("0.5", "0.25")),
        (stats(1.0), None, "presence", ("f32[4] |1|", "None")),
        (None, stats(1.0), "presence", ("None", "f32[4] |1|")),
        (stats(1.0), stats(1.0, (2, 2)), "shape", ("[4]", "[2, 2]")),
        (stats(1.0), stats(1.0, dtype="float64"), "dtype", ("float32", "float64")),
        (stats(3.0), stats(math.nan), "non-finite", ("finite |3|", "NaN")),
        (stats(3.0), stats(math.inf), "non-finite", ("finite |3|", "Inf")),
        (
            stats(math.nan, nan_count=2, inf_count=0),
            stats(math.nan, nan_count=3, inf_count=1),
            "non-finite",
            ("2 NaN", "3 NaN and 1 Inf"),
        ),
    ],
)
def test_each_kind_of_difference(
    a: TensorStats | None, b: TensorStats | None, what: str, texts: tuple[str, str]
) -> None:
    first = compare(line([stats(9.0)], [a]), line([stats(9.0)], [b])).first
    assert first is not None
    assert first.gradient.what == what
    assert (first.gradient.a, first.gradient.b) == texts
    assert first.gradient.place == "returned[0]"
    assert first.place == "w"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (stats(1.0), stats(1.000005)),  # within rtol
        (stats(1e-9), stats(5e-9)),  # within atol
        (stats(math.nan), stats(math.nan)),
        (stats(math.inf, min=1.0, max=2.0), stats(math.inf, min=1.0, max=2.0)),
        (stats(1.0, mean=1e-9), stats(1.0, mean=9e-6)),  # the mean is measured by the elements
        (stats(1.0, min=1e-7), stats(1.0, min=2e-7)),
        (stats(1.0, zero_count=1), stats(1.0, zero_count=3)),
        (stats(1.0, mean=0.5), stats(1.0)),  # the mean is known on one side only
        (None, None),
    ],
)
def test_what_agrees(a: TensorStats | None, b: TensorStats | None) -> None:
    assert compare(line([a], [a]), line([b], [b])).is_same


def test_tolerances_are_those_given() -> None:
    a, b = line([stats(1.0)], []), line([stats(1.1)], [])
    assert not compare(a, b).is_same
    assert compare(a, b, rtol=0.1).is_same
    assert compare(a, b, atol=0.11).is_same
    assert not compare(a, b, rtol=0.05, atol=0.01).is_same
    same, near = line([stats(1.0)], []), line([stats(1.0 + 1e-15)], [])
    assert not compare(same, near, rtol=0, atol=0).is_same
    first = compare(same, near, rtol=0, atol=0).first
    assert first is not None
    assert first.gradient.a != first.gradient.b, "enough digits to tell them apart"


def test_devices_layouts_and_symbolic_sizes() -> None:
    def with_meta(**fields: Any) -> Trace:
        gradient = stats(1.0)
        return line([replace(gradient, meta=replace(gradient.meta, **fields))], [])

    assert compare(with_meta(device="cuda:0"), with_meta(device="cuda:1")).is_same
    assert compare(with_meta(layout=None), with_meta(layout="strided")).is_same
    first = compare(with_meta(layout="sparse_coo"), with_meta(layout="strided")).first
    assert first is not None
    assert first.gradient.what == "layout"
    assert compare(with_meta(shape=("s0", 4)), with_meta(shape=(7, 4))).is_same
    assert not compare(with_meta(shape=("s0", 4)), with_meta(shape=(7, 5))).is_same


def test_another_number_of_slots() -> None:
    first = compare(line([stats(1.0)], []), line([stats(1.0), None], [])).first
    assert first is not None
    assert (first.gradient.what, first.gradient.slot) == ("slots", None)
    assert str(first.gradient) == "received 1 slot against 2 slots"


# -- where the difference came from ------------------------------------------------------------


def test_another_root_gradient_is_told_from_one_that_came_later() -> None:
    root = make_pass(roots=(RootGradient(0, 0, False, stats(1.0)),))
    graph = chain(2)

    def trace(first: float, second: float) -> Trace:
        events = [(0, 0, [stats(first)], [stats(1.0)]), (1, 0, [stats(second)], [stats(1.0)])]
        return make_trace(graph, events, passes=[root])

    found = compare(trace(1.0, 1.0), trace(2.0, 1.0)).first
    assert found is not None
    assert (found.node_a, found.upstream) == (0, "root differs")
    found = compare(trace(1.0, 1.0), trace(1.0, 2.0)).first
    assert found is not None
    assert (found.node_a, found.upstream) == (1, "received differs")
    assert "a hook" in str(compare(trace(1.0, 1.0), trace(1.0, 2.0)))


def test_the_first_in_the_order_of_a_is_reported() -> None:
    graph = product()
    a = make_trace(graph, [(3, 0, [stats(1.0)], []), (2, 0, [stats(1.0)], [])])
    b = make_trace(graph, [(2, 0, [stats(2.0)], []), (3, 0, [stats(2.0)], [])])
    first = compare(a, b).first
    assert first is not None
    assert (first.node_a, first.event_a, first.event_b) == (3, 0, 1)


def test_many_differences_are_counted_and_the_first_kept() -> None:
    count = MAX_DIFFERENCES + 30
    graph = chain(count)
    traces = [
        make_trace(graph, [(i, 0, [stats(size)], []) for i in range(count)]) for size in (1.0, 2.0)
    ]
    comparison = compare(*traces)
    assert comparison.difference_count == count
    assert len(comparison.differences) == MAX_DIFFERENCES
    assert [d.event_a for d in comparison.differences] == [*range(MAX_DIFFERENCES)]


# -- notes -------------------------------------------------------------------------------------


def test_levels_of_statistics() -> None:
    full = line([stats(1.0, mean=0.5, nan_count=0, inf_count=0)], [])
    basic = Trace(replace(line([stats(1.0)], []).data, stats_level="basic"))
    comparison = compare(full, basic)
    assert comparison.is_same
    assert comparison.notes == (
        'a was traced with stats="full" and b with stats="basic"; compared is what both have',
    )
    bare = line([TensorStats(F4)], [])
    meta = Trace(replace(bare.data, stats_level="meta"))
    for a, b, which in ((meta, full, "a was"), (full, meta, "b was"), (meta, meta, "both were")):
        comparison = compare(a, b)
        assert comparison.is_same
        assert comparison.notes == (
            f'no numbers were compared, only shapes and dtypes: {which} traced with stats="meta"',
        )
    assert not compare(meta, line([stats(1.0, (5,))], [])).is_same


def test_gradients_without_a_norm_are_counted() -> None:
    (note,) = compare(line([TensorStats(F4)], []), line([stats(1.0)], [])).notes
    assert note.startswith("1 matched gradients have no norm")


def test_passes_outcomes_edits_and_versions() -> None:
    graph = chain(1)
    event = (0, 0, [stats(1.0)], [stats(1.0)])
    a = make_trace(graph, [event])
    b = make_trace(
        graph,
        [event, (0, 1, [stats(1.0)], [stats(1.0)])],
        passes=[make_pass(0), make_pass(1)],
        outcome=Outcome("raised", "RuntimeError", "boom"),
        edits=("scale of w by 2",),
        environment=Environment(torch_version="2.13.0"),
    )
    comparison = compare(a, b)
    assert comparison.matched == ((0, 0),)
    assert comparison.unmatched_b == (1,)
    assert not comparison.is_same
    assert comparison.notes == (
        "a has 1 pass, b has 2",
        "a: completed; b: raised RuntimeError",
        "gradients were edited: in a none; in b scale of w by 2",
        "a was made by torch ?, b by torch 2.13.0",
    )
    assert "but one has more events" in str(comparison).splitlines()[0]


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["rtol", "atol"])
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1e-9, ArgumentError, "is -1e-09; expected a finite number, 0 or more"),
        (math.nan, ArgumentError, "is nan"),
        (math.inf, ArgumentError, "is inf"),
        (True, ArgumentTypeError, "is True of type bool"),
        ("0.1", ArgumentTypeError, "of type str"),
        (None, ArgumentTypeError, "of type NoneType"),
    ],
)
def test_bad_tolerances(argument: str, value: Any, error: type[Exception], text: str) -> None:
    trace = line([stats(1.0)], [])
    with pytest.raises(error) as caught:
        compare(trace, trace, **{argument: value})
    assert str(caught.value).startswith(f"{argument} is")
    assert text in str(caught.value)


def test_something_else_than_a_trace_is_refused() -> None:
    trace = line([stats(1.0)], [])
    with pytest.raises(ArgumentTypeError, match=r"other is of type dict; expected a Trace"):
        trace.compare({})  # type: ignore[arg-type]
    assert trace.compare(trace).is_same


def test_repr() -> None:
    trace, other = line([stats(1.0)], []), line([stats(2.0)], [])
    assert repr(trace.compare(trace)) == "<Comparison: the same, 1 matched>"
    assert repr(trace.compare(other)) == "<Comparison: 1 events differ, 1 matched>"
