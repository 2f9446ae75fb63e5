from tests.unit.graph.fold.building import SCALAR, arrows, build, labels, line


def test_the_nodes_of_a_module_become_one() -> None:
    graph = build(
        "0>1 1>2 1>3 3>4 3>5",
        "Sum Addmm Leaf Relu Addmm Leaf",
        scopes={0: "", 1: "head", 2: "head", 3: "", 4: "body", 5: "body.fc"},
    )
    folded = graph.fold("scope")
    assert labels(folded) == ["Sum", "head", "Relu", "body"]
    assert arrows(folded) == {(0, 1): 1, (1, 2): 1, (2, 3): 2}
    assert [node.scope for node in folded.nodes] == ["", "head", "", "body"]
    assert folded.nodes[3].members == (4, 5)
    assert folded.fold_notes[0].text == "folded 4 nodes in 2 modules at depth 1"


def test_depth_says_how_much_of_the_path_counts() -> None:
    scopes = {0: "a.x.1", 1: "a.x.2", 2: "a.y", 3: "a.y", 4: "b", 5: "b"}
    graph = build("0>1 1>2 2>3 3>4 4>5", "M M M M M M", scopes=scopes)
    assert labels(graph.fold("scope", depth=1)) == ["a", "b"]
    assert labels(graph.fold("scope", depth=2)) == ["a.x", "a.y", "b"]
    # A node that is alone in its module says more than the module's name.
    assert labels(graph.fold("scope", depth=3)) == ["M", "M", "a.y", "b"]


def test_what_all_paths_have_in_common_does_not_count() -> None:
    scopes = {0: "model", 1: "model.a.x", 2: "model.a.y", 3: "model.b", 4: "model.b"}
    graph = build("0>1 1>2 2>3 3>4", "M M M M M", scopes=scopes)
    assert labels(graph.fold("scope")) == ["M", "model.a", "model.b"]


def test_a_single_module_is_folded() -> None:
    graph = build("0>1 1>2", "Sum M M", scopes={1: "net.fc", 2: "net.fc"})
    assert labels(graph.fold("scope")) == ["Sum", "net.fc"]


def test_nodes_between_submodules_stay() -> None:
    # Sum and activation belong to the layer itself, between its norm and its linear.
    scopes = {0: "l.0.norm", 1: "l.0.norm", 2: "l.0", 3: "l.0", 4: "l.0.fc", 5: "l.0.fc"}
    graph = build(
        "0>1 0>2 2>3 3>4 4>5 4>6 6>7",
        "Norm Leaf Add Relu Addmm Leaf M M",
        scopes={**scopes, 6: "m", 7: "m"},
    )
    assert labels(graph.fold("scope", depth=3)) == ["l.0.norm", "Add", "Relu", "l.0.fc", "m"]
    assert labels(graph.fold("scope", depth=2)) == ["l.0", "m"]


def test_a_module_called_twice_becomes_a_node_per_call() -> None:
    # The parameter, node 6, is reached by both calls and goes with the first.
    graph = build(
        "0>1 1>2 2>3 3>4 4>5 2>6 5>6",
        "Sum Relu Addmm Relu Relu Addmm Leaf",
        scopes={1: "fc", 2: "fc", 4: "fc", 5: "fc", 6: "fc"},
    )
    folded = graph.fold("scope")
    assert labels(folded) == ["Sum", "fc (call 2 of 2)", "Relu", "fc (call 1 of 2)"]
    assert arrows(folded) == {(0, 1): 1, (1, 2): 1, (1, 3): 1, (2, 3): 1}
    assert folded.nodes[3].members == (4, 5, 6)


def test_folding_again_is_the_same_graph_and_folding_coarser_goes_on() -> None:
    scopes = {0: "a.x", 1: "a.x", 2: "a.y", 3: "a.y", 4: "b", 5: "b"}
    graph = build("0>1 1>2 2>3 3>4 4>5", "M M M M M M", scopes=scopes)
    fine = graph.fold("scope", depth=2)
    assert fine.fold("scope", depth=2) is fine
    coarse = fine.fold("scope", depth=1)
    assert labels(coarse) == ["a", "b"]
    assert [node.members for node in coarse.nodes] == [(0, 1, 2, 3), (4, 5)]


def test_scopes_are_inferred_where_there_are_none() -> None:
    # The None edge of Addmm is the input.
    graph = build(
        "0>1 1>2 1>3 3>4",
        "Sum Addmm Leaf T Leaf",
        parameters={2: "fc.bias", 4: "fc.weight"},
        none_slots={1: 1},
        receives={0: SCALAR},
    )
    folded = graph.fold("scope")
    assert (graph.scopes, folded.scopes) == (None, "inferred")
    assert labels(folded) == ["Sum", "fc"]
    assert folded.nodes[1].members == (1, 2, 3, 4)


def test_a_graph_without_names_is_left_alone() -> None:
    graph = line("Sum Mul Mul Leaf")
    assert graph.fold("scope") is graph
    # Nothing to fold, so the inferred scopes are not passed on either.
    named = build("0>1 0>2", "Dot Leaf Leaf", parameters={1: "a.weight", 2: "b.weight"})
    assert named.fold("scope") is named
