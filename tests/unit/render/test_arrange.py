"""What the layout is told: spans, columns, and leaves that are drawn elsewhere."""

from hypothesis import given
from hypothesis import strategies as st

from inspect_autograd.graph.graph import Graph
from inspect_autograd.render.arrange import Arrangement, arrange
from inspect_autograd.render.clusters import find_places
from inspect_autograd.render.dot import DotOptions, to_dot
from inspect_autograd.render.layout import lay_out
from tests.unit.render.graphs import arrows, boxes, chain, make_graph, middles, parse_svg


def arranged(graph: Graph, *, to_the_right: bool = False) -> Arrangement:
    return arrange(graph, find_places(graph), to_the_right=to_the_right)


def test_what_follows_a_module_is_below_all_of_it() -> None:
    # A linear module: addmm to bias, to t and weight, and out of the module to a relu.
    graph = make_graph(
        ["AddmmBackward0", "AccumulateGrad", "TBackward0", "AccumulateGrad", "ReluBackward0"],
        [(0, 1), (0, 2), (0, 4), (2, 3)],
        leaves={1: "fc.bias", 3: "fc.weight"},
        columns={"scopes": dict.fromkeys((0, 1, 2, 3), "fc")},
    )
    # Edges by position: 0 to 1, 0 to 2, 0 to 4, 2 to 3. The weight is two rows below addmm.
    assert arranged(graph).spans == {2: 3}
    assert [*arranged(graph).rows] == [0, 1, 1, 2, 3]


def test_without_modules_nothing_is_said() -> None:
    result = arranged(chain(3))
    assert (result.spans, [*result.columns], result.column_count) == ({}, [0, 0, 0, 0], 1)


def test_a_long_chain_is_broken_into_columns_of_about_one_height() -> None:
    result = arranged(chain(150))
    sizes = [[*result.columns].count(column) for column in range(result.column_count)]
    assert result.column_count == 7
    assert sum(sizes) == 151
    assert max(sizes) - min(sizes) <= 2
    assert [*result.columns] == sorted(result.columns)


def test_to_the_right_boxes_are_longer_than_a_row_is_high_so_there_are_more_columns() -> None:
    # A box of 12 letters is 124 points long, one of 14 138. So 11 of the one and one of the other
    # are 1502 points, just over the 1500 that are never broken; down, 26 rows of 58 points are.
    assert chain(1).node_table.names == ["MulBackward0", "AccumulateGrad"]
    assert arranged(chain(10), to_the_right=True).column_count == 1
    assert arranged(chain(11), to_the_right=True).column_count == 2
    assert arranged(chain(24)).column_count == 1
    assert arranged(chain(25)).column_count > 1
    result = arranged(chain(150), to_the_right=True)
    assert [*result.columns] == sorted(result.columns)


def test_a_wide_fan_to_the_right_is_high_enough_for_its_length() -> None:
    # Twelve chains of 13 side by side: about 1700 points long and 600 or more high.
    depth, width = 13, 12
    names = ["StackBackward0", *["MulBackward0"] * (depth * width)]
    edges = [(0, 1 + i) for i in range(width)]
    edges += [(1 + i, 1 + i + width) for i in range(width * (depth - 1))]
    graph = make_graph(names, edges)
    assert arranged(graph, to_the_right=True).column_count == 1


def test_the_lines_of_a_picture_to_the_right_stand_one_below_the_other() -> None:
    options = DotOptions(direction="right")
    picture = lay_out(to_dot(chain(60), options), "svg", timeout=60, boxes=60).data.decode()
    columns = arranged(chain(60), to_the_right=True).columns
    places = middles(picture)
    heights = [
        {places[f"n{id}"][1] for id in range(60) if columns[id] == line} for line in range(3)
    ]
    assert max(heights[0]) < min(heights[1])
    assert max(heights[1]) < min(heights[2])


def test_the_columns_of_a_chain_are_joined_by_numbered_circles() -> None:
    graph = chain(150)
    svg = parse_svg(lay_out(to_dot(graph), "svg", timeout=60, boxes=150).data)
    shown = boxes(svg)
    circles = {key: text for key, text in shown.items() if key[0] in "io"}
    assert sorted(text[0] for text in circles.values()) == sorted("112233445566")
    # Every edge is there: as an arrow, or as one to a circle and one from the circle.
    drawn = arrows(svg)
    for source in range(150):
        direct = f"n{source}->n{source + 1}" in drawn
        around = f"n{source}->o{source}" in drawn
        assert direct != around
        if around:
            (entry,) = [key for key in circles if key.startswith(f"i{source}c")]
            assert f"{entry}->n{source + 1}" in drawn
            assert shown[entry] == shown[f"o{source}"]


def shared_weight(steps: int) -> Graph:
    """A chain in which each step uses the one weight, which has the last id."""
    edges = [(i, i + 1) for i in range(steps - 1)] + [(i, steps) for i in range(steps)]
    return make_graph([*["MmBackward0"] * steps, "AccumulateGrad"], edges, leaves={steps: "weight"})


def test_a_leaf_far_away_is_stood_for_by_its_name() -> None:
    graph = shared_weight(20)
    result = arranged(graph)
    far = {graph.edges[position].source for position in result.far}
    # The weight is in row 20; a use in row 8 or below is near enough for an arrow.
    assert far == {*range(8)}
    svg = parse_svg(lay_out(to_dot(graph), "svg", timeout=60, boxes=40).data)
    assert boxes(svg)["f0n20"] == ["weight"]
    assert "n0->f0n20" in arrows(svg)
    assert "n0->n20" not in arrows(svg)
    assert "n19->n20" in arrows(svg)


def test_many_leaves_of_one_node_stand_in_several_rows() -> None:
    count = 36
    graph = make_graph(
        ["StackBackward0", *["AccumulateGrad"] * count],
        [(0, 1 + i) for i in range(count)],
        leaves={1 + i: f"x{i}" for i in range(count)},
    )
    rows = [*arranged(graph).rows][1:]
    assert [rows.count(row) for row in (1, 2, 3)] == [12, 12, 12]


def test_a_second_root_stands_right_above_what_it_leads_to() -> None:
    graph = make_graph([f"N{i}" for i in range(6)], [(0, 1), (1, 2), (2, 3), (3, 4), (5, 4)])
    assert [*arranged(graph).rows] == [0, 1, 2, 3, 4, 3]


@given(st.integers(1, 40), st.data())
def test_every_edge_leads_to_a_lower_row_and_no_earlier_column(
    size: int, data: st.DataObject
) -> None:
    pairs = [(i, j) for i in range(size) for j in range(i + 1, min(size, i + 6))]
    edges = data.draw(st.lists(st.sampled_from(pairs), max_size=80)) if pairs else []
    names = st.sampled_from(["", "a", "a.b", "a.b.c", "d", "d.e"])
    scopes = {i: data.draw(names) for i in range(size)}
    graph = make_graph(["N"] * size, edges, columns={"scopes": scopes})
    result = arranged(graph)
    for edge in graph.edges:
        assert result.rows[edge.source] < result.rows[edge.target]
        assert result.columns[edge.source] <= result.columns[edge.target]
    assert min(result.rows) >= 0
