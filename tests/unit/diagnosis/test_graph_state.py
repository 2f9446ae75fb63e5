"""What a failure left of a graph."""

import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.graph_state import GraphState, find_graph_state, find_tensors
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.live.post_mortem.failing import error_of


def scene_of(error: Exception) -> Scene:
    scene = ia.explain(error).scene
    assert scene is not None
    return scene


def state_of(scene: Scene) -> GraphState:
    state = find_graph_state(scene)
    assert state is not None
    return state


def names(scene: Scene, ids: tuple[int, ...]) -> list[str]:
    assert scene.graph is not None
    return [scene.graph.nodes[id].name for id in ids]


def hidden_state() -> Scene:
    w, h = torch.ones(3, 3, requires_grad=True), torch.zeros(3)
    try:
        for _ in range(2):
            h = torch.tanh(w @ h + 1)
            h.sum().backward()
    except RuntimeError as error:
        return scene_of(error)
    raise AssertionError


def test_a_recording_tells_what_was_run_before() -> None:
    with ia.record():
        scene = hidden_state()
    state = state_of(scene)
    assert state.is_exact
    # Four nodes lack what they saved; the newer two were run by the pass that failed.
    assert names(scene, state.freed) == ["TanhBackward0", "MvBackward0"] * 2
    assert state.freed_before == state.freed[2:]
    (seam,) = state.seams
    assert names(scene, (seam.edge.source, seam.edge.target)) == ["MvBackward0", "TanhBackward0"]
    assert seam.ran_in == 0


def test_without_one_it_does_not_guess() -> None:
    state = state_of(hidden_state())
    assert not state.is_exact
    assert len(state.freed) == 4
    assert state.freed_before == ()
    assert state.seams == ()


def test_a_node_beyond_one_that_is_whole_was_freed_before() -> None:
    x = torch.ones(3, requires_grad=True)
    old = x.exp()
    old.sum().backward()
    new = old.sin()
    broken = x.log1p()
    broken.sum().backward()

    # The engine runs what was made last first: it fails at log1p before it comes to sin.
    def program() -> None:
        kept = old  # The variable that carries the older part over.
        _ = kept
        (new + broken.neg()).sum().backward()

    scene = scene_of(error_of(program))
    state = state_of(scene)
    assert not state.is_exact
    assert names(scene, state.whole) == ["SinBackward0"]
    assert set(names(scene, state.freed)) == {"ExpBackward0", "Log1PBackward0"}
    assert names(scene, state.freed_before) == ["ExpBackward0"]
    (seam,) = state.seams
    assert names(scene, (seam.edge.source, seam.edge.target)) == ["SinBackward0", "ExpBackward0"]
    assert ([facts.name for facts in seam.tensors], seam.ran_in) == (["kept"], None)


def test_the_tensor_that_stands_at_a_node() -> None:
    x = torch.ones(3, requires_grad=True)
    table = x.exp()

    def program() -> None:
        with ia.record():
            for _ in range(2):
                (table * 3).sum().backward()

    scene = scene_of(error_of(program))
    state = state_of(scene)
    (seam,) = state.seams
    assert [facts.name for facts in seam.tensors] == ["table"]
    assert [f.name for f in find_tensors(scene, seam.edge.target)] == ["table"]
    assert find_tensors(scene, seam.edge.target, slot=1) == ()


def test_a_scene_without_a_graph_has_no_state() -> None:
    assert find_graph_state(Scene()) is None
