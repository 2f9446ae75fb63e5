"""no-double-backward: operators, compiled graphs, once_differentiable."""

from pathlib import Path

import pytest

from inspect_autograd.diagnosis.explain_scene import explain_scene
from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, either_way, explain_program

SLUG = "no-double-backward"

ATTENTION = """
q = torch.randn(1, 1, 4, 8, requires_grad=True)
y = torch.nn.functional.scaled_dot_product_attention(q, q, q)  # guilty
(g,) = torch.autograd.grad(y.sum(), q, create_graph=True)
g.pow(2).sum().backward()
"""
ONCE = """
from torch.autograd.function import once_differentiable
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    @once_differentiable
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g
x = torch.randn(3, requires_grad=True)
(g,) = torch.autograd.grad(Square.apply(x).pow(2).sum(), x, create_graph=True)
g.sum().backward()
"""


@each_case(SLUG)
def test_the_catalogue(tmp_path: Path, key: str, source: str) -> None:
    found = explain_program(tmp_path, source)
    assert found.slugs == [SLUG]
    assert any("torch.autograd.grad(" in code for code in found.codes)
    assert not any("create_graph=True" in code for code in found.codes)


@either_way
def test_attention(tmp_path: Path, record: bool) -> None:
    found = explain_program(tmp_path, ATTENTION, record=record)
    assert found.line == found.guilty
    assert found.slugs == [SLUG]
    assert "scaled_dot_product_flash_attention_for_cpu)" in found.first.summary
    assert "sdpa_kernel(SDPBackend.MATH)" in found.codes[0]
    assert found.codes[1] == "g, = torch.autograd.grad(y.sum(), q)"


def test_attention_by_the_plain_formula_works(tmp_path: Path) -> None:
    fixed = ATTENTION.replace("y = torch.nn", "with kernel: y = torch.nn").replace(
        "q = torch",
        "from torch.nn.attention import SDPBackend, sdpa_kernel\n"
        "kernel = sdpa_kernel(SDPBackend.MATH)\nq = torch",
    )
    found = explain_program(tmp_path, fixed + "\nraise KeyError('it came so far')")
    assert isinstance(found.error, KeyError)


def test_a_custom_function_marked_once_differentiable(tmp_path: Path) -> None:
    found = explain_program(tmp_path, ONCE)
    assert found.slugs == [SLUG]
    assert found.first.summary == (
        "Square was differentiated twice, but its backward is marked with @once_differentiable."
    )


@pytest.mark.parametrize(
    ("message", "summary"),
    [
        (
            "Double backwards is not supported for CuDNN RNNs due to limitations in the CuDNN API.",
            "the backward pass of cuDNN's recurrent networks",
        ),
        ("the derivative for '_cudnn_ctc_loss_backward' is not implemented", "cudnn_ctc_loss"),
    ],
)
def test_what_this_machine_cannot_raise(message: str, summary: str) -> None:
    (first,) = explain_scene(Scene(Failure("RuntimeError", message))).diagnoses
    assert first.slug == SLUG
    assert summary in first.summary


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('derivative for aten::_ctc_loss_backward is not implemented')",
        "raise NotImplementedError('double backward is not implemented')",
        "torch.igamma(torch.ones(3, requires_grad=True), torch.ones(3)).sum().backward()",
    ],
)
def test_other_failures(tmp_path: Path, source: str) -> None:
    assert SLUG not in explain_program(tmp_path, source).slugs
