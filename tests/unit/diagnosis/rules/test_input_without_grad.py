"""input-without-grad: inputs, hooks and edges of tensors that have no gradient."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "input-without-grad"
START = "x = torch.randn(3, requires_grad=True)\nz = torch.randn(3)\n"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.line == 1


def test_what_is_said(tmp_path: Path) -> None:
    program = """
    x = torch.randn(3, requires_grad=True)
    layer = torch.nn.Linear(3, 1).requires_grad_(False)
    loss = layer(x).sum()
    torch.autograd.grad(loss, [x, layer.weight])
    """
    assert told(explain_program(tmp_path, program).first) == dedent("""\
        grad() is to give the gradient of layer.weight (f32[1, 3]), which does not
        require grad.

        PyTorch notes operations only for tensors that require grad, from the moment on
        at which they do. So requires_grad_() must come before the tensor is used;
        afterwards is too late for what was computed already.

        - layer.weight: a parameter, requires_grad False; it is a frozen parameter
        (requires_grad=False)
        - it came from `layer = torch.nn.Linear(3, 1).requires_grad_(False)` @3
        * Let layer.weight require grad before anything is computed from it, and compute
        again.
              layer.weight.requires_grad_()
        * Or leave layer.weight out of the inputs.
        (certain, line 3)
        """)


CASES = {
    "plain data": (
        "torch.autograd.grad((x * z).sum(), z)",
        "grad() is to give the gradient of z (f32[3]), which does not require grad.",
        "z.requires_grad_()",
    ),
    "two of them": (
        "w = torch.ones(3)\ntorch.autograd.grad((x * z * w).sum(), [x, z, w])",
        "grad() is to give the gradient of z (f32[3]) and w (f32[3]), which do not require grad.",
        "z.requires_grad_()",
    ),
    "backward": (
        "(x * z).sum().backward(inputs=[z])",
        "backward() is to give the gradient of z (f32[3]), which does not require grad.",
        "z.requires_grad_()",
    ),
    "whole numbers": (
        "index = torch.tensor([0, 1])\ntorch.autograd.grad(x[index].sum(), index)",
        "grad() is to give the gradient of index (i64[2]), which does not require grad.",
        "index = index.float().requires_grad_()",
    ),
    "no inputs": (
        (
            "layer = torch.nn.Linear(3, 1).requires_grad_(False)\n"
            "torch.autograd.grad(x.sum(), [p for p in layer.parameters() if p.requires_grad])"
        ),
        "The list of inputs is empty, so there is nothing to compute a gradient of.",
        "layer.requires_grad_(True)",
    ),
    "hook": (
        "z.register_hook(print)",
        "z (f32[3]) does not require grad, so it has no gradient to hook.",
        "z.requires_grad_()\nz.register_hook(print)",
    ),
    "gradient to keep": (
        "z.retain_grad()",
        "z (f32[3]) does not require grad, so it has no gradient to keep.",
        "z.requires_grad_()\nz.retain_grad()",
    ),
    "edge": (
        "torch.autograd.graph.get_gradient_edge(z)",
        "z (f32[3]) does not require grad, so it has no place in a graph.",
        "z.requires_grad_()\ntorch.autograd.graph.get_gradient_edge(z)",
    ),
    "hook of a leaf": (
        "h = x * 2\nh.register_post_accumulate_grad_hook(print)",
        "h (f32[3]) is no leaf, and only leaves accumulate a gradient",
        "h.register_hook(lambda grad: ...)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_asked_for_in_vain(name: str, tmp_path: Path) -> None:
    lines, summary, code = CASES[name]
    explained = explain_program(tmp_path, f"{START}{lines}\n")
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith(summary), explained.first.summary
    assert explained.codes[0] == code


def test_a_frozen_model_is_named_where_no_input_is_left(tmp_path: Path) -> None:
    explained = explain_program(tmp_path, START + CASES["no inputs"][0])
    assert explained.has("layer: Linear with 2 parameters, none of which require grad")


@pytest.mark.parametrize(
    "program",
    [
        'raise RuntimeError("One of the differentiated Tensors does not require grad")',
        "w = torch.ones(3, requires_grad=True)\ntorch.autograd.grad(x.sum(), w)",  # Unused.
        "z.sum().backward()",
    ],
)
def test_what_is_none_of_it(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, START + program).slugs
