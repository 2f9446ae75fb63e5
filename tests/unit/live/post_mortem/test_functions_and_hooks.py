"""Custom Functions, hooks, and the node that was running."""

from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.live.post_mortem import gather
from inspect_autograd.live.post_mortem.frames import walk_traceback
from tests.unit.live.post_mortem.failing import scene_of


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: float) -> torch.Tensor:
        return x * factor

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        return g * 2


class Raising(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        if x.numel() > 3:
            raise ValueError("too many")
        return x * 2

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        raise ValueError("bad backward")


def test_a_function_of_the_graph_that_the_message_names() -> None:
    scene = scene_of(lambda: Twice.apply(torch.ones(2, requires_grad=True), 2.0).sum().backward())  # type: ignore[no-untyped-call]
    (function,) = scene.functions
    assert (function.name, function.node_name) == ("Twice", "TwiceBackward")
    assert function.inputs == ("x", "factor")
    assert [code for code, _ in function.backward_code] == ["return g * 2"]
    assert function.backward is not None
    assert function.backward_code[0][1].line == function.backward.line + 1
    assert scene.graph is not None
    assert [scene.graph.nodes[id].name for id in function.nodes] == ["TwiceBackward"]
    assert scene.running is not None
    assert (scene.running.node, scene.running.told_by) == (function.nodes[0], "message")


def test_a_function_whose_forward_raised() -> None:
    scene = scene_of(lambda: Raising.apply(torch.ones(4, requires_grad=True)))  # type: ignore[no-untyped-call]
    assert [(f.name, f.nodes) for f in scene.functions] == [("Raising", ())]


def test_the_traceback_tells_the_running_node() -> None:
    # Two custom nodes are in the graph; the one that raised is the one in the traceback.
    class Fine(Twice):
        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> Any:
            return g, None

    def two() -> None:
        Fine.apply(Raising.apply(torch.ones(3, requires_grad=True)), 2.0).sum().backward()  # type: ignore[no-untyped-call]

    scene = scene_of(two)
    assert scene.graph is not None
    assert scene.running is not None
    assert scene.running.told_by == "frames"
    assert scene.running.node is not None
    assert scene.graph.nodes[scene.running.node].name == "RaisingBackward"


def test_the_context_tells_where_apply_has_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    # From torch 2.14 on. Here the frames of PyTorch's own `apply` are taken out.
    def without_apply(traceback: Any) -> list[Any]:
        return [live for live in walk_traceback(traceback) if live.frame.f_code.co_name != "apply"]

    monkeypatch.setattr(gather, "walk_traceback", without_apply)
    scene = scene_of(lambda: Raising.apply(torch.ones(3, requires_grad=True)).sum().backward())  # type: ignore[no-untyped-call]
    assert scene.running is not None
    assert (scene.running.node, scene.running.told_by) == (1, "frames")
    forward = scene_of(lambda: Raising.apply(torch.ones(4, requires_grad=True)))  # type: ignore[no-untyped-call]
    assert [function.name for function in forward.functions] == ["Raising"]


def test_a_trace_tells_the_running_node() -> None:
    def program() -> None:
        x = torch.ones(3, requires_grad=True)
        y = x.exp()
        loss = (y * y).sum()
        with torch.no_grad():
            y.add_(1)
        with ia.trace(loss):
            loss.backward()

    scene = scene_of(program)
    assert scene.trace is not None
    assert scene.running is not None
    assert (scene.running.name, scene.running.told_by) == ("MulBackward0", "trace")
    assert scene.graph is not None
    assert scene.running.node is not None
    assert scene.graph.nodes[scene.running.node].name == "MulBackward0"


def test_a_hook_that_raises() -> None:
    def program() -> None:
        x = torch.ones(3, requires_grad=True)
        y = x * 2

        def halve(g: torch.Tensor) -> torch.Tensor:
            raise ValueError("in the hook")

        y.register_hook(halve)
        y.sum().backward()

    (hook,) = scene_of(program).hooks
    assert hook.name.endswith("halve")
    assert hook.is_running
    assert hook.on == "y (f32[3], MulBackward0)"
    assert hook.tensor is not None
    assert hook.tensor.name == "y"


def test_the_hook_that_the_message_names() -> None:
    def program() -> None:
        x = torch.ones(3, requires_grad=True)
        y = x * 2

        def fine(g: torch.Tensor) -> torch.Tensor:
            return g

        def total(g: torch.Tensor) -> torch.Tensor:
            return g.sum()

        x.register_hook(fine)
        y.register_hook(total)
        y.sum().backward()

    hooks = scene_of(program).hooks
    assert [(h.name.rpartition(".")[2], h.on, h.is_running) for h in hooks] == [
        ("total", "y (f32[3], MulBackward0)", False)
    ]


def test_a_hook_on_a_node_has_a_name_but_no_place() -> None:
    def program() -> None:
        x = torch.ones(3, requires_grad=True)
        y = x * x

        def short(inputs: Any, outputs: Any) -> Any:
            return (inputs[0],)

        assert y.grad_fn is not None
        y.grad_fn.register_hook(short)
        y.sum().backward()

    (hook,) = scene_of(program).hooks
    assert (hook.name, hook.source, hook.on) == ("short", None, "")
