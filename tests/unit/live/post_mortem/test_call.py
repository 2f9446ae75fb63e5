"""The call of backward or grad, whichever way it was made."""

import subprocess
import sys
import threading

import torch
from torch.autograd.graph import get_gradient_edge

import inspect_autograd as ia
from tests.unit.live.post_mortem.failing import error_of, scene_of


def test_all_arguments() -> None:
    def program() -> None:
        x, z = torch.ones(3, requires_grad=True), torch.ones(2, requires_grad=True)
        y = (x * 2).sum()
        torch.autograd.grad(y, [x, z], retain_graph=True, create_graph=True)

    call = scene_of(program).call
    assert call is not None
    assert call.call == "grad"
    assert [facts.name for facts in call.outputs] == ["y"]
    assert [facts.name for facts in call.inputs or ()] == ["x", "z"]
    assert (call.retain_graph, call.create_graph, call.failing) == (True, True, 1)


def test_the_failing_one_of_several_outputs() -> None:
    def program() -> None:
        x = torch.ones((), requires_grad=True)
        first, second = x * 1, torch.ones(())
        torch.autograd.backward([first, second])

    output = scene_of(program).output
    assert output is not None
    assert output.name == "second"
    assert output.why_no_graph is not None


def test_a_gradient_edge_is_an_output_too() -> None:
    def program() -> None:
        y = (torch.ones(3, requires_grad=True) ** 2).sum()
        edge = get_gradient_edge(y)
        torch.autograd.backward(edge)
        torch.autograd.backward(edge)

    scene = scene_of(program)
    assert scene.call is not None
    (output,) = scene.call.outputs
    assert (output.kind, output.grad_fn, output.node) == ("GradientEdge", "SumBackward0", 0)
    assert scene.graph is not None
    assert any(saved.state == "freed" for node in scene.graph.nodes for saved in node.saved)


def test_functions_that_call_back_are_told() -> None:
    def inner(x: torch.Tensor) -> torch.Tensor:
        y = x.sum()
        y.backward()
        return y

    assert scene_of(lambda: torch.func.grad(inner)(torch.ones(3))).transforms == (
        "torch.func.grad",
    )
    scene = scene_of(
        lambda: torch.autograd.functional.jacobian(lambda x: x.detach(), torch.ones(3), strict=True)
    )
    assert scene.transforms == ("torch.autograd.functional.jacobian",)


def test_what_was_raised_from_it_is_explained_by_it() -> None:
    def program() -> None:
        y = torch.ones(3, requires_grad=True) * 2
        try:
            y.backward()
        except RuntimeError as error:
            raise ValueError("the step failed") from error

    report = ia.explain(error_of(program))
    assert [diagnosis.slug for diagnosis in report.diagnoses] == ["non-scalar-output"]
    assert report.scene is not None
    assert [failure.type for failure in report.scene.led_to] == ["ValueError"]
    assert report.failure is not None
    assert report.failure.type == "RuntimeError"


def test_what_was_hidden_stays_hidden() -> None:
    def program() -> None:
        y = torch.ones(3, requires_grad=True) * 2
        try:
            y.backward()
        except RuntimeError:
            raise KeyError("x") from None

    report = ia.explain(error_of(program))
    assert report.diagnoses == ()
    assert report.scene is not None
    assert report.scene.chain == ()


WARNED = """
import sys; sys.path[:] = {path!r}
import warnings, torch, inspect_autograd as ia
warnings.warn("nothing to do with it")
w = torch.ones(3, requires_grad=True) * 2
try:
    0.1 * w.grad
except TypeError as error:
    for category, text in ia.explain(error).scene.warnings:
        print(category, text[:40])
"""


def test_warnings_that_python_remembers() -> None:
    # In a process of its own: pytest has every warning shown, and then Python notes none.
    command = [sys.executable, "-c", WARNED.format(path=sys.path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["UserWarning The .grad attribute of a Tensor that is "]


def test_a_group_of_exceptions() -> None:
    def program() -> None:
        y = torch.ones(3, requires_grad=True) * 2
        raise ExceptionGroup("two", [KeyError("x"), error_of(y.backward)])

    report = ia.explain(error_of(program))
    assert [diagnosis.slug for diagnosis in report.diagnoses] == ["non-scalar-output"]
    assert report.scene is not None
    assert [failure.type for failure in report.scene.led_to] == ["ExceptionGroup"]


def test_an_error_that_nobody_knows_is_described_as_it_is() -> None:
    report = ia.explain(error_of(lambda: {"y": 1}["x"]))
    assert report.diagnoses == ()
    assert report.failure is not None
    assert report.failure.type == "KeyError"


def test_lost_frames_are_read_from_the_message() -> None:
    message = (
        "Caught RuntimeError in replica 0 on device 0.\nOriginal Traceback (most recent call "
        'last):\n  File "train.py", line 12, in step\n    loss.backward()\n  '
        'File "model.py", line 3, in forward\nRuntimeError: grad can be implicitly created only '
        "for scalar outputs\n"
    )

    def program() -> None:
        raise RuntimeError(message)

    lost = [frame for frame in scene_of(program).frames if frame.is_from_text]
    assert [(f.source.file, f.source.line, f.source.function, f.code) for f in lost] == [
        ("train.py", 12, "step", "loss.backward()"),
        ("model.py", 3, "forward", ""),
    ]


def test_many_threads_explain_at_once() -> None:
    errors = []
    for size in range(2, 12):
        y = torch.ones(size, requires_grad=True) * 2
        errors.append((size, error_of(y.backward)))
    shapes: dict[int, object] = {}

    def explain(size: int, error: Exception) -> None:
        scene = ia.explain(error).scene
        assert scene is not None
        assert scene.output is not None
        shapes[size] = scene.output.meta.shape

    threads = [threading.Thread(target=explain, args=pair) for pair in errors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == {size: (size,) for size, _ in errors}
