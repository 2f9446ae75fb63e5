"""What the program calls its tensors."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from inspect_autograd.diagnosis.scene import Scene
from tests.unit.live.post_mortem.failing import scene_of

TABLE = torch.ones(4, requires_grad=True)


def names_of_output(program: Callable[[], Any], **options: Any) -> tuple[str, ...]:
    output = scene_of(program, **options).output
    assert output is not None
    return output.names


def differentiate(value: torch.Tensor) -> None:
    value.backward()


def test_a_variable_of_the_failing_frame() -> None:
    def program() -> None:
        y = torch.ones(3, requires_grad=True) * 2
        y.backward()

    assert names_of_output(program) == ("y",)


def test_names_come_innermost_frame_first() -> None:
    def program() -> None:
        scores = torch.ones(3, requires_grad=True) * 2
        differentiate(scores)

    assert names_of_output(program) == ("value", "scores")


def test_a_caller_that_the_exception_did_not_reach_knows_a_name() -> None:
    far = torch.ones(3, requires_grad=True) * 2
    scene = scene_of(lambda: differentiate(far))
    # `far` is a variable of this test, which has handled nothing: it is the caller of a caller.
    assert scene.output is not None
    assert "far" in scene.output.names


def test_elements_are_named_by_how_python_reaches_them() -> None:
    def program() -> None:
        losses = [torch.ones(3, requires_grad=True) * k for k in (1, 2, 3)]
        losses[2].backward()

    assert names_of_output(program) == ("losses[2]",)

    def with_dict() -> None:
        batch = OrderedDict(x=torch.ones(3, requires_grad=True) * 2)
        batch["x"].backward()

    assert names_of_output(with_dict) == ('batch["x"]',)


def test_an_attribute_of_self() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.loss = torch.ones(3, requires_grad=True) * 2

        def step(self) -> None:
            self.loss.backward()

    assert names_of_output(Trainer().step)[0] == "self.loss"


def test_parameters_are_named_after_the_variable_that_holds_the_model() -> None:
    def program() -> None:
        model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 3))
        model(torch.ones(2)).backward()

    graph = scene_of(program).graph
    assert graph is not None
    names = {node.parameter.name for node in graph.nodes if node.parameter is not None}
    assert names == {f"model[{i}].{kind}" for i in (0, 1) for kind in ("weight", "bias")}


def test_given_names_come_first() -> None:
    x = torch.ones(3, requires_grad=True)

    def program() -> None:
        (x * 2).backward()

    graph = scene_of(program, params={"the input": x}).graph
    assert graph is not None
    leaf = next(node.parameter for node in graph.nodes if node.parameter is not None)
    assert leaf.names[0] == "the input"


def test_a_leaf_is_not_called_by_the_name_of_what_was_detached_from_it() -> None:
    def program() -> None:
        detached = torch.ones(3)
        weight = detached.requires_grad_()
        detached = weight.detach()
        (weight * 2 + detached).backward()

    graph = scene_of(program).graph
    assert graph is not None
    assert next(n.parameter.name for n in graph.nodes if n.parameter is not None) == "weight"


def test_a_global_variable_that_the_function_names() -> None:
    def program() -> None:
        (TABLE * 2).backward()

    frame = scene_of(program).user_frame
    assert frame is not None
    assert frame.tensors["TABLE"].requires_grad
    assert "OTHER" not in frame.tensors


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


def frame_facts(scene: Scene) -> dict[str, str]:
    assert scene.user_frame is not None
    return dict(scene.user_frame.others)


def test_other_variables_are_described_without_their_code() -> None:
    def program() -> None:
        pair = Pair(torch.ones(1), torch.ones(2))
        rate, name, steps = 0.5, "sgd", [1, 2.0]
        _ = pair, rate, name, steps
        torch.ones(3, requires_grad=True).sum().backward(torch.ones(2))

    scene = scene_of(program)
    others = frame_facts(scene)
    assert others["rate"] == "0.5"
    assert others["name"] == "'sgd'"
    assert others["steps"] == "list of 2 (int, float)"
    assert others["pair"] == "Pair"
    assert scene.user_frame is not None
    assert scene.user_frame.tensors["pair[1]"].meta.shape == (2,)
