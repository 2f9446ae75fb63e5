"""Where nodes come from, in the text of graphs and traces and in tooltips."""

from dataclasses import replace

from inspect_autograd.events.trace import Trace
from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.graph import Graph
from inspect_autograd.graph.records import Fold
from inspect_autograd.render.labels import describe_node, module_text, node_lines
from inspect_autograd.render.origin_text import line_text
from inspect_autograd.render.text import render_document, render_overview, render_tree
from tests.unit.render.graphs import layers, make_graph
from tests.unit.render.hand_traces import Slots, make_data

TRAIN = SourceLine("/somewhere/train.py", 12, "Net.forward")
DEEP = "encoder.layers.11.self_attention.output_projection"


def recorded() -> Graph:
    """Sum, made outside of modules; Mul in a deep module; a leaf of it; and one of no module."""
    library = SourceLine("functional.py", 3, "mul")
    creations = {
        0: Creation("Tensor.sum", replace(TRAIN, line=7, function="<module>"), call=None),
        1: Creation("torch.mul", TRAIN, (library,), 2, "MainThread"),
    }
    return make_graph(
        ["SumBackward0", "MulBackward0", "AccumulateGrad", "AccumulateGrad"],
        [(0, 1), (1, 2), (1, 3)],
        leaves={2: f"{DEEP}.weight", 3: "x"},
        columns={"scopes": {1: DEEP, 2: DEEP}, "creations": creations},
        scopes="recorded",
    )


def test_modules_and_lines_stand_one_below_the_other() -> None:
    assert render_tree(recorded()) == (
        f"loss → SumBackward0  f32[4]  #0{40 * ' '}train.py:7\n"
        "MulBackward0  f32[4]  #1         encoder.layers.11.…output_projection  train.py:12\n"
        f"├─ {DEEP}.weight  leaf f32[4]  #2\n"
        "└─ x  leaf f32[4]  #3"
    )


def test_lines_without_modules_follow_the_nodes() -> None:
    graph = recorded()
    plain = replace(graph, scopes=None, node_table=replace(graph.node_table, scopes={}))
    assert render_tree(plain).splitlines()[:2] == [
        "loss → SumBackward0  f32[4]  #0  train.py:7",
        "MulBackward0  f32[4]  #1         train.py:12",
    ]


def test_inferred_modules_are_not_written_to_every_node() -> None:
    graph = replace(layers(1), scopes="inferred")
    assert "layers.0\n" not in render_tree(graph) + "\n"
    assert render_tree(graph).splitlines()[1] == "ReluBackward0  f32[4]  #1"


def test_a_long_line_pushes_its_own_module_aside_only() -> None:
    folds = {1: Fold("chain", "x" * 90, 9, (1,), ())}
    graph = make_graph(
        ["SumBackward0", "chain", "MulBackward0"],
        [(0, 1), (1, 2)],
        kinds={1: "fold"},
        columns={"scopes": {0: "a", 1: "b", 2: "c"}, "folds": folds},
        scopes="recorded",
    )
    starts = [line.rindex("  ") + 2 for line in render_tree(graph).splitlines()]
    assert starts[0] == starts[2] == 66
    assert starts[1] > 100


def test_the_overview_and_files_of_text_have_them_too() -> None:
    for text in (render_overview(recorded()), render_document(recorded(), (), None)):
        assert "MulBackward0  f32[4]  #1         encoder.layers.11.…output_projection" in text


def test_a_name_that_says_the_module_is_enough() -> None:
    nodes = recorded().nodes
    assert module_text(nodes[2]) == ""
    assert module_text(replace(nodes[2], parameter=None)) == "encoder.layers.11.…output_projection"
    assert module_text(replace(nodes[0], scope="")) == "(outermost)"
    fold = Fold("scope", f"{DEEP} (call 1 of 2)", 1, (1,), ())
    assert module_text(replace(nodes[1], kind="fold", fold=fold)) == ""


def test_what_a_backward_pass_made_is_told_apart() -> None:
    made = replace(recorded().nodes[1], creation=Creation(made_by="ReluBackward0"))
    assert module_text(replace(made, scope="encoder.0")) == "encoder.0 (in backward)"
    assert module_text(made) == "encoder.lay…projection (in backward)"
    assert module_text(replace(made, scope=None)) == ""


def test_a_long_file_name_keeps_its_line() -> None:
    name = "a_very_long_name_of_a_training_script.py"
    creation = Creation(source=SourceLine(f"/somewhere/{name}", 1234, "f"))
    node = replace(recorded().nodes[1], creation=creation)
    assert line_text(node) == "a_very_lo…script.py:1234"
    assert line_text(recorded().nodes[2]) == ""


def test_a_tooltip_tells_the_call_the_line_and_the_module() -> None:
    assert describe_node(recorded().nodes[1])[2:] == [
        f"module {DEEP}, call 3",
        "made by torch.mul",
        "at /somewhere/train.py:12 in Net.forward",
    ]
    made = replace(recorded().nodes[0], creation=Creation(made_by="SinBackward0", reason="no call"))
    assert describe_node(made)[-2:] == ["while SinBackward0 ran", "origin unknown: no call"]


def test_the_line_in_a_box() -> None:
    node = recorded().nodes[1]
    assert node_lines(node) == ["MulBackward0", "f32[4]"]
    assert node_lines(node, show_source=True) == ["MulBackward0", "f32[4]", "train.py:12"]
    assert node_lines(recorded().nodes[3], show_source=True) == ["x", "f32[4]"]


def test_the_table_of_a_trace_ends_with_module_and_line() -> None:
    events: list[tuple[int, Slots, Slots]] = [
        (0, [1.0], [1.0]),
        (1, [1.0], [2.0, None]),
        (2, [2.0], []),
    ]
    lines = str(Trace(make_data(recorded(), events))).splitlines()
    start = lines.index(next(line for line in lines if line.startswith("order")))
    assert [line[line.index("µs") :] for line in lines[start + 1 : start + 4]] == [
        "µs                                train.py:7",
        "µs  encoder.layers…ut_projection  train.py:12",
        "µs",
    ]
    assert lines[start].split()[-3:] == ["time", "module", "line"]
    assert max(map(len, lines[start : start + 4])) <= 154


def test_the_table_of_a_trace_without_recording_is_as_it_was() -> None:
    events = [(0, [1.0], [1.0])]
    title = str(Trace(make_data(replace(layers(1), scopes="inferred"), events))).splitlines()[2]
    assert title.split() == ["order", "node", "received", "returned", "time"]
