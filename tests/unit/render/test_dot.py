"""The DOT source of a picture, and what Graphviz makes of it."""

import re

import pytest

from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import (
    Edge,
    Fold,
    Parameter,
    Repeat,
    Root,
    SavedTensor,
    Truncation,
)
from inspect_autograd.render.clusters import find_places
from inspect_autograd.render.dot import DotOptions, to_dot
from inspect_autograd.render.layout import lay_out
from tests.unit.render.graphs import (
    F4,
    SCALAR,
    arrows,
    boxes,
    chain,
    frames,
    layers,
    make_graph,
    middles,
    parse_svg,
    product,
    texts,
    tooltips,
)

pytestmark = pytest.mark.usefixtures("no_dot")


def draw(graph: Graph, **options: object) -> str:
    source = to_dot(graph, DotOptions(**options))  # type: ignore[arg-type]
    return lay_out(source, "svg", timeout=60, boxes=len(graph)).data.decode()


def statement(graph: Graph, key: str, **options: object) -> str:
    """The one line of the DOT source that describes a box."""
    source = to_dot(graph, DotOptions(**options))  # type: ignore[arg-type]
    (line,) = [line for line in source.splitlines() if line.startswith(f"\t{key} [")]
    return line


def edges_of(graph: Graph) -> list[str]:
    lines = to_dot(graph).splitlines()
    return [line.strip() for line in lines if re.match(r"\tn\d+ -> n\d+", line)]


def test_boxes_and_arrows_of_a_small_graph() -> None:
    svg = parse_svg(draw(product()))
    assert boxes(svg) == {
        "n0": ["SumBackward0", "f32[4]"],
        "n1": ["MulBackward0", "f32[4]"],
        "n2": ["w", "f32[4]"],
        "n3": ["v", "f32[4]"],
        "r0": ["loss"],
    }
    assert arrows(svg) == ["n0->n1", "n1->n2", "n1->n3", "r0->n0"]


def test_the_loss_is_at_the_top_or_at_the_left() -> None:
    down = middles(draw(chain(3)))
    assert down["n0"][1] < down["n1"][1] < down["n2"][1] < down["n3"][1]
    right = middles(draw(chain(3), direction="right"))
    assert right["n0"][0] < right["n1"][0] < right["n2"][0] < right["n3"][0]
    assert len({y for _, y in right.values()}) == 1


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert to_dot(layers(3)) == to_dot(layers(3))
    assert draw(layers(3)) == draw(layers(3))


def test_the_background_is_not_transparent() -> None:
    assert '<polygon fill="#ffffff" stroke="none"' in draw(product()).lower()


def test_a_root_is_bold_and_named() -> None:
    roots = (Root("['loss']", 0, 0, SCALAR), Root("['parts'][1]", 0, 0, F4), Root("", 2, 0, F4))
    graph = make_graph(["AddBackward0", "MulBackward0", "MulBackward1"], [(0, 1)], roots=roots)
    svg = parse_svg(draw(graph))
    assert boxes(svg)["r0"] == ["['loss'], ['parts'][1]"]
    assert boxes(svg)["r2"] == ["output"]
    assert "penwidth=2.4" in statement(graph, "n0")
    assert "penwidth" not in statement(graph, "n1")


def test_many_roots_at_one_node_are_counted() -> None:
    roots = tuple(Root(f"[{i}]", 0, 0, F4) for i in range(5))
    assert boxes(parse_svg(draw(make_graph(["A"], [], roots=roots))))["r0"] == [
        "[0], [1], [2], … 5 in all"
    ]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("custom", "octagon"), ("cpp-custom", "octagon"), ("compiled", "component"), ("fold", "box")],
)
def test_each_kind_has_a_shape_and_a_colour_of_its_own(kind: str, shape: str) -> None:
    graph = make_graph(["Node"], [], kinds={0: kind})  # type: ignore[dict-item]
    line = statement(graph, "n0")
    assert f"shape={shape}" in line
    assert ("peripheries=2" in line) == (kind in ("cpp-custom", "fold"))


def test_named_and_nameless_leaves_differ() -> None:
    graph = make_graph(
        ["A", "AccumulateGrad", "AccumulateGrad"], [(0, 1), (0, 2)], leaves={1: "w", 2: ""}
    )
    assert 'style="rounded,filled"' in statement(graph, "n1")
    assert 'style="rounded,filled,dashed"' in statement(graph, "n2")
    assert boxes(parse_svg(draw(graph)))["n2"] == ["AccumulateGrad", "leaf f32[4]"]


def test_tied_names_are_listed_and_bounded() -> None:
    graph = make_graph(["A", "AccumulateGrad"], [(0, 1)], leaves={1: "a"})
    names = ("emb.weight", "head.weight", "b", "c", "d")
    graph.node_table.parameters[1] = Parameter(names, F4)  # type: ignore[index]
    assert boxes(parse_svg(draw(graph)))["n1"] == [
        "emb.weight",
        "f32[4]",
        "also head.weight",
        "also b",
        "… and 2 more names",
    ]


def test_slots_are_named_only_where_they_would_be_a_riddle() -> None:
    # mul(x, x) has two edges to x; split has two outputs, both used by one add.
    graph = make_graph(
        ["AddBackward0", "SplitBackward0", "MulBackward0", "AccumulateGrad"],
        [(0, 0, 1, 1), (0, 1, 1, 0), (1, 0, 2, 0), (2, 0, 3, 0), (2, 1, 3, 0)],
        outputs={1: 2},
        leaves={3: "x"},
    )
    assert edges_of(graph) == [
        'n0 -> n1 [label=" input 0 → output 1"]',
        'n0 -> n1 [label=" input 1 → output 0"]',
        "n1 -> n2",
        'n2 -> n3 [label=" input 0"]',
        'n2 -> n3 [label=" input 1"]',
    ]
    single = make_graph(["A", "SplitBackward0"], [(0, 0, 1, 1)], outputs={1: 2})
    assert edges_of(single) == ['n0 -> n1 [label=" output 1"]']


def test_many_parallel_edges_become_one_arrow_that_says_how_many() -> None:
    graph = make_graph(["CatBackward0", "MulBackward0"], [(0, i, 1, 0) for i in range(7)])
    assert edges_of(graph) == ['n0 -> n1 [label=" ×7"]']


def test_edges_of_folds_are_counted_and_have_no_slots() -> None:
    fold = Fold("scope", "block", 1, (1, 2), (("MulBackward0", 2),))
    graph = make_graph(
        ["A", "block"],
        [(0, 0, 1, 0, 2), (0, 1, 1, 3, 1)],
        kinds={1: "fold"},
        outputs={1: 2},
        columns={"folds": {1: fold}},
    )
    assert edges_of(graph) == ['n0 -> n1 [label=" ×3"]']


def test_none_slots_are_told_only_with_the_attributes() -> None:
    graph = make_graph(
        ["MulBackward0", "AccumulateGrad"],
        [(0, 1, 1, 0)],
        slots={0: 3},
        leaves={1: "w"},
        columns={"attributes": {0: {"dim": -1, "text": "<a>", "long": "x" * 99}}},
    )
    assert boxes(parse_svg(draw(graph)))["n0"] == ["MulBackward0", "f32[4]"]
    shown = boxes(parse_svg(draw(graph, show_attributes=True, max_attribute_chars=11)))
    assert shown["n0"] == [
        "MulBackward0",
        "f32[4]",
        "dim = -1",
        "text = '<a>'",
        "long = 'xxxx…xxxx'",
        "no gradient to inputs 0, 2",
    ]


def test_saved_tensors_show_shape_bytes_and_state() -> None:
    saved = (
        SavedTensor("self", F4, 16, 0, "available", ("w",)),
        SavedTensor("result", None, None, None, "freed"),
        SavedTensor("other", F4, 16, 1, "modified"),
        SavedTensor("mask", None, None, None, "packed"),
        SavedTensor("list[0]", F4, 2048, None, "available"),
        SavedTensor("list[0]", F4, 2048, None, "available"),
    )
    graph = make_graph(["MulBackward0"], [], columns={"saved": {0: saved}})
    assert "n0s0" not in to_dot(graph)
    svg = parse_svg(draw(graph, show_saved=True))
    shown = boxes(svg)
    assert shown["n0s0"] == ["self", "f32[4]", "16 B", "= w"]
    assert shown["n0s1"] == ["result", "FREED"]
    assert shown["n0s2"] == ["other", "f32[4]", "16 B", "MODIFIED IN PLACE"]
    assert shown["n0s3"] == ["mask", "PACKED"]
    assert shown["n0s4"] == ["list[0] ×2", "f32[4]", "2.0 KiB each"]
    assert [a for a in arrows(svg) if a.startswith("n0")] == [f"n0->n0s{i}" for i in range(5)]
    lines = [statement(graph, f"n0s{i}", show_saved=True) for i in range(4)]
    looks = [re.sub(r".*(shape=\w+, style=\"[\w,]+\").*", r"\1", line) for line in lines]
    assert len(set(looks)) == 4


def test_saved_tensors_of_one_node_are_bounded() -> None:
    saved = tuple(SavedTensor(f"t[{i}]", F4, 16, None, "available") for i in range(100))
    graph = make_graph(["StackBackward0"], [], columns={"saved": {0: saved}})
    shown = boxes(parse_svg(draw(graph, show_saved=True)))
    assert len([key for key in shown if key.startswith("n0s")]) == 9
    assert shown["n0s8"] == ["… and 92 more"]


def test_a_cut_shows_as_dashed_stubs() -> None:
    graph = make_graph(
        ["A", "B"],
        [(0, 0, 1, 0)],
        slots={0: 3, 1: 1},
        columns={"cut_slots": {0: (1, 2), 1: (0,)}},
        truncation=Truncation(2, 3),
    )
    svg = parse_svg(draw(graph))
    assert boxes(svg)["c0"] == ["… cut by max_nodes=2", "2 edges"]
    assert boxes(svg)["c1"] == ["… cut by max_nodes=2"]
    assert {"n0->c0", "n1->c1"} <= {*arrows(svg)}
    assert "dashed" in statement(graph, "c0")


def test_modules_are_frames() -> None:
    svg = parse_svg(draw(layers(2)))
    assert sorted(frames(svg)) == [["0"], ["1"], ["layers"]]


def test_a_frame_around_one_frame_is_merged_with_it() -> None:
    scopes = {0: "", 1: "model.encoder.layers.0", 2: "model.encoder.layers.0"}
    graph = make_graph(["A", "B", "C"], [(0, 1), (1, 2)], columns={"scopes": scopes})
    assert frames(parse_svg(draw(graph))) == [["model.encoder.layers.0"]]


def called_twice() -> Graph:
    """A module `a` with a part `a.x`, called by two ways that join in node 0."""
    scopes = {0: "", 1: "a", 2: "a.x", 3: "a", 4: "a.x", 5: "a.x", 6: "act", 7: "act"}
    calls = {0: 0, 1: 1, 2: 1, 3: 0, 4: 0, 6: 1, 7: 0}
    return make_graph(
        ["Add", "Mul", "Addmm", "Mul", "Addmm", "AccumulateGrad", "Relu", "Relu"],
        [(0, 1), (0, 3), (1, 2), (3, 4), (2, 5), (4, 5), (2, 6), (4, 7)],
        leaves={5: "a.x.w"},
        columns={
            "scopes": scopes,
            "creations": {
                node: Creation("torch.f", SourceLine("net.py", node + 1, "f"), call=call)
                for node, call in calls.items()
            },
        },
        scopes="recorded",
    )


def test_every_call_of_a_module_has_a_frame() -> None:
    # That the part was called twice too needs no saying inside the calls of what is around it.
    shown = sorted(frames(parse_svg(draw(called_twice()))))
    assert shown == [
        ["a (call 1 of 2)"],
        ["a (call 2 of 2)"],
        ["act (call 1 of 2)"],
        ["act (call 2 of 2)"],
        ["x"],
        ["x"],
    ]


def test_a_shared_parameter_stands_in_the_first_call() -> None:
    places = find_places(called_twice())
    assert places[5] == places[4] == ("a (call 1 of 2)", "x")
    assert places[2] == ("a (call 2 of 2)", "x")
    assert places[0] == ()


def test_a_module_as_a_box_has_no_frame_of_its_own() -> None:
    folded = called_twice().fold("scope")
    assert {node.label for node in folded.nodes if node.kind == "fold"} == {
        "a (call 1 of 2)",
        "a (call 2 of 2)",
    }
    assert sorted(frames(parse_svg(draw(folded)))) == [["act (call 1 of 2)"], ["act (call 2 of 2)"]]


def test_what_all_calls_share_stands_in_the_frame_of_the_repeat() -> None:
    folded = called_twice().fold("repeat")
    assert [repeat.label for repeat in folded.repeats] == ["a (calls 1 … 2) ×2"]
    (leaf,) = folded.leaves()
    (addmm,) = folded.find("Addmm")
    places = find_places(folded)
    assert places[leaf.id] == places[addmm.id] == ("a", 0, "x")


def test_the_line_of_a_node_is_shown_on_request() -> None:
    graph = called_twice()
    assert boxes(parse_svg(draw(graph)))["n1"] == ["Mul", "f32[4]"]
    shown = boxes(parse_svg(draw(graph, show_source=True)))
    assert shown["n1"] == ["Mul", "f32[4]", "net.py:2"]
    assert shown["n5"] == ["a.x.w", "f32[4]"]


def test_the_tooltip_tells_where_a_node_comes_from() -> None:
    (tooltip,) = [text for text in tooltips(parse_svg(draw(called_twice()))) if "#2 " in text]
    assert "module a.x, call 2\nmade by torch.f\nat net.py:3 in f" in tooltip


def repeated() -> Graph:
    """A block of two nodes and a leaf that stands for twelve, then an embedding."""
    members = {id: Fold("repeat", "x", 12, tuple(range(12)), ()) for id in (1, 2, 3)}
    return make_graph(
        ["SumBackward0", "AddBackward0", "MulBackward0", "AccumulateGrad", "EmbeddingBackward0"],
        [
            (0, 0, 1, 0, 1),
            (1, 0, 2, 0, 12),
            (2, 0, 3, 0, 12),
            (2, 1, 4, 0, 1),
        ],
        leaves={3: "layers.0.weight"},
        columns={
            "scopes": dict.fromkeys((1, 2, 3), "layers.0…11"),
            "folds": members,
        },
        repeats=(
            Repeat(
                "layers.0 … layers.11 ×12",
                tuple(f"layers.{i}" for i in range(12)),
                (Edge(2, 1, 1, 0, 11),),
                (1, 2, 3),
                "layers.0…11",
            ),
        ),
    )


def test_a_repeated_block_is_one_frame_with_a_way_back() -> None:
    graph = repeated()
    svg = parse_svg(draw(graph))
    assert frames(svg) == [["layers.0 … layers.11 ×12"]]
    assert boxes(svg)["n3"] == ["layers.0…11.weight", "f32[4] ×12"]
    # Inside the frame, that every arrow stands for twelve is said by the frame.
    assert edges_of(graph)[:4] == ["n0 -> n1", "n1 -> n2", "n2 -> n3", "n2 -> n4 [minlen=2]"]
    assert re.fullmatch(
        r'n2 -> n1 \[label=" ×11", style=dashed, .*constraint=false\]', edges_of(graph)[4]
    )


def test_the_legend_explains_what_occurs_and_nothing_else() -> None:
    svg = parse_svg(draw(product()))
    assert {"operation", "parameter or input"} <= {*texts(svg)}
    assert not [text for text in texts(svg) if "Function" in text or "saved" in text]


def test_title_and_captions_stand_above() -> None:
    captions = ["20000 nodes shown as 3 boxes.", "A <b>caption</b> & more."]
    shown = texts(parse_svg(draw(product(), title='The "title" <1>', captions=captions)))
    assert {'The "title" <1>', *captions} <= {*shown}


def test_attributes_of_a_large_graph_make_the_layout_hurry() -> None:
    assert "nslimit" not in to_dot(chain(100))
    assert 'nslimit="0.799"' in to_dot(chain(1000))
    assert 'splines="line"' in to_dot(chain(10_000))


def test_order_of_derivative_and_outputs_are_told() -> None:
    graph = make_graph(["MulBackwardBackward0"], [], outputs={0: 3}, columns={"orders": {0: 2}})
    assert boxes(parse_svg(draw(graph)))["n0"] == [
        "MulBackwardBackward0",
        "f32[4] ×3",
        "derivative order 2",
    ]


def test_what_is_in_a_fold_is_told_and_bounded() -> None:
    names = (("AccumulateGrad", 4), ("AddmmBackward0", 2), ("TBackward0", 2), ("ReluBackward0", 1))
    fold = Fold("scope", "mlp", 1, tuple(range(9)), names)
    graph = make_graph(["mlp"], [], kinds={0: "fold"}, columns={"folds": {0: fold}})
    assert boxes(parse_svg(draw(graph)))["n0"] == [
        "mlp",
        "9 nodes",
        "AccumulateGrad ×4",
        "AddmmBackward0 ×2",
        "… and 2 more kinds",
        "f32[4]",
    ]
