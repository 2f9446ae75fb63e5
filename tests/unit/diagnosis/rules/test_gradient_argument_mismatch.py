"""gradient-argument-mismatch: a gradient of another shape or kind, or no tensor to start from."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "gradient-argument-mismatch"
START = "x = torch.arange(3.0, requires_grad=True)\ny = x * 2\n"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.line == 1


def test_what_is_said(tmp_path: Path) -> None:
    program = f"{START}weights = torch.ones(3, 1)\ny.backward(weights)\n"
    assert told(explain_program(tmp_path, program).first) == dedent("""\
        The gradient weights (f32[3, 1]) does not have the shape of the output y
        (f32[3]).

        The gradient argument v holds one weight for each number of the output, and
        backward() computes vᵀJ, the weighted sum of the rows of the Jacobian. So v must
        have exactly the shape of the output; it is not broadcast.

        - MulBackward0 made y; it takes a gradient f32[3]
        * It has as many numbers, so reshape it.
              y.backward(weights.reshape_as(y))
        * Give one weight for each number.
              y.backward(torch.ones_like(y))
        * Or start from one number.
              y.sum().backward()
        (certain, line 4)
        """)


CASES = {
    "too few": (
        "y.backward(torch.ones(2))",
        "The gradient torch.ones(2) (f32[2]) does not have the shape of the output y (f32[3]).",
        "y.backward(torch.ones_like(y))",
    ),
    "second output": (
        "torch.autograd.backward([y.sum(), y], [None, torch.ones(2)])",
        "The gradient torch.ones(2) (f32[2]) does not have the shape of the output y (f32[3]).",
        "y.backward(torch.ones_like(y))",
    ),
    "grad": (
        "torch.autograd.grad(y, x, grad_outputs=torch.ones(1, 3))",
        "The gradient torch.ones(1, 3) (f32[1, 3]) does not have the shape of the output y (f32[3]",
        "torch.autograd.grad(y, x, torch.ones(1, 3).reshape_as(y))",
    ),
    "complex": (
        "v = torch.ones(3, dtype=torch.complex64)\ny.backward(v)",
        "The gradient v (c64[3]) is complex, but the output y (f32[3]) is real.",
        "y.backward(torch.ones_like(y))",
    ),
    "real": (
        "z = torch.complex(y, y)\nz.backward(torch.ones(3))",
        "The gradient torch.ones(3) (f32[3]) is real, but the output z (c64[3]) is complex.",
        "z.backward(torch.ones_like(z))",
    ),
    "batched": (
        "torch.autograd.grad(y, x, torch.ones(3), is_grads_batched=True)",
        "With is_grads_batched=True the gradient must have the shape [k, 3], but torch.ones(3)",
        "torch.autograd.grad(y, x, torch.ones(3))",
    ),
    "number": (
        "y.backward(1.0)",
        "The gradient argument is a float, but it must be a tensor of the shape of y (f32[3]), or",
        "y.backward(torch.full_like(y, 1.0))",
    ),
    "count": (
        "torch.autograd.backward([y.sum(), x.sum()], [torch.ones(())])",
        "2 outputs were given, but 1 gradient.",
        "torch.autograd.backward(outputs, [torch.ones_like(t) for t in outputs])",
    ),
    "tuple": (
        "parts = y.split(2)\nparts.backward()",
        "backward() was called on parts, which is no tensor but a tuple.",
        "sum(part.sum() for part in parts).backward()",
    ),
    "dict": (
        'losses = {"loss": y.sum()}\nlosses.backward()',
        "backward() was called on losses, which is no tensor but a dict.",
        'losses["loss"].backward()',
    ),
    "nothing": (
        "def criterion(y):\n    y.sum()\nloss = criterion(y)\nloss.backward()",
        "backward() was called on loss, which is no tensor but None.",
        "return loss",
    ),
    "result of a model": (
        "class ModelOutput:\n    pass\nout = ModelOutput()\nout.backward()",
        "backward() was called on out, which is no tensor but a ModelOutput.",
        "out.loss.backward()",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_does_not_fit(name: str, tmp_path: Path) -> None:
    lines, summary, code = CASES[name]
    explained = explain_program(tmp_path, f"{START}{lines}\n")
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith(summary), explained.first.summary
    assert explained.codes[0] == code


def test_a_row_of_weights_may_be_broadcast_by_hand(tmp_path: Path) -> None:
    program = """
    x = torch.ones(2, 3, requires_grad=True)
    y, row = x * 2, torch.tensor([1.0, 2.0, 3.0])
    y.backward(row)
    """
    explained = explain_program(tmp_path, program)
    assert "y.backward(row.expand_as(y))" in explained.codes


@pytest.mark.parametrize(
    "program",
    [
        "class Trainer:\n    pass\nTrainer().backward()",
        'raise RuntimeError("Mismatch in shape: grad_output[0] has a shape of [2]")',
        "x.sum().item().backward()",  # A plain number belongs to leaves-autograd.
        "torch.ones(2) + torch.ones(3)",
    ],
)
def test_what_is_none_of_it(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, START + program).slugs
