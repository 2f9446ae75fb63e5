"""Saved tensors that were written since: which, whose, and by what."""

import torch

import inspect_autograd as ia
from tests.unit.live.post_mortem.failing import scene_of


def test_an_input_that_was_written() -> None:
    def program() -> None:
        w, x = torch.ones(3, requires_grad=True), torch.ones(3)
        y = w * x
        x.mul_(2)
        y.sum().backward()

    scene = scene_of(program)
    (found,) = scene.modified
    assert scene.graph is not None
    assert scene.graph.nodes[found.node].name == "MulBackward0"
    assert (found.saved.name, found.tensor.name, found.is_result) == ("other", "x", False)
    assert (found.version, found.expected, found.is_named) == (1, 0, True)
    assert found.writes == ()  # Nobody recorded.


def test_a_result_that_was_written_through_a_view() -> None:
    def program() -> None:
        y = torch.ones(4, requires_grad=True).sigmoid()
        y[:2].mul_(3)
        y.sum().backward()

    with_recording = ia.record()

    def recorded() -> None:
        with with_recording:
            program()

    (found,) = scene_of(recorded).modified
    assert found.is_result
    assert [write.function for write in found.writes] == ["Tensor.mul_"]
    assert found.writes[0].source is not None
    assert found.writes[0].source.function.endswith("program")


def test_an_optimizer_is_named_and_only_the_weight_that_was_saved() -> None:
    def program() -> None:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with ia.record(model):
            first, second = model(torch.ones(4, 2)).sum(), model(torch.ones(4, 2)).sum()
            first.backward()
            optimizer.step()
            second.backward()

    found = scene_of(program).modified
    assert [facts.saved.alias for facts in found] == [("model[1].weight",)]
    assert [write.function for write in found[0].writes] == ["torch.optim.SGD.step"]
    assert found[0].writes[0].tensor == "1.weight"
    assert found[0].expected is not None
    assert found[0].version == found[0].expected + 1


def test_what_the_message_means_comes_first() -> None:
    def program() -> None:
        x = torch.ones(3, requires_grad=True)
        small, large = x.exp(), torch.cat([x, x]).exp()
        loss = small.sum() + large.sum()
        with torch.no_grad():
            small.add_(1)
            large.add_(1).add_(1)
        loss.backward()

    found = scene_of(program).modified
    assert [facts.is_named for facts in found] == [True, False]
    # The engine runs the node that was made last first.
    assert [facts.version for facts in found] == [2, 1]
    assert found[0].saved.alias == ("large",)


def test_memory_ties_a_variable_to_what_was_saved() -> None:
    def program() -> None:
        w, x = torch.ones(3, requires_grad=True), torch.ones(3)
        y = w * x
        window = x[:2]
        window.zero_()
        y.sum().backward()

    scene = scene_of(program)
    frame = scene.user_frame
    assert frame is not None
    assert frame.tensors["window"].storage == scene.modified[0].saved.storage is not None
    assert frame.tensors["w"].storage != scene.modified[0].saved.storage


def test_without_a_call_the_graph_is_that_of_the_failing_line() -> None:
    def program() -> None:
        y = torch.ones(3, requires_grad=True).exp()
        node = y.grad_fn
        y.add_(1)
        assert node is not None
        node._saved_result  # type: ignore[attr-defined]  # noqa: B018

    scene = scene_of(program)
    assert scene.call is None
    assert [facts.is_result for facts in scene.modified] == [True]
