"""non-scalar-output: one text, but each kind of output has a way of its own to one number."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.explain_scene import explain_scene
from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "non-scalar-output"
MODEL = """
model = torch.nn.Linear(4, 3)
x, target = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
out = model(x)
"""


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.first.certainty == "certain"


def test_what_is_said(tmp_path: Path) -> None:
    program = """
    x = torch.arange(3.0, requires_grad=True)
    y = x * x
    y.backward()
    """
    assert told(explain_program(tmp_path, program).first) == dedent("""\
        y (f32[3]) holds 3 numbers, but backward() without a gradient can start from
        exactly one number only.

        A gradient says how one number changes when others do, and y has 3 numbers, so
        there are as many gradients. Together they are the Jacobian J, 3 × 3: a row for
        each number of y, a column for each number of x.  One backward pass computes one
        weighted sum of the rows, vᵀJ. From a single number the weight is 1; for
        several, PyTorch does not guess v. The shape does not matter: f32[1] and f32[1,
        1] may be started from too.

        - y was made by MulBackward0, which is the node that would have received the
        gradient, f32[3]
        - its values are [0, 1, 4]
        - its graph leads to x (f32[3])
        * Minimise the average of the 3 numbers: each weighs 1/3; here x.grad = [0,
        0.6667, 1.333].
              y.mean().backward()
        * Minimise their sum: each weighs 1, which is 3 times the gradient of the
        average, and the same as gradient=torch.ones_like(y); here x.grad = [0, 2, 4].
              y.sum().backward()
        * Choose the weights yourself: v is a tensor f32[3], and the result is vᵀJ.
              y.backward(gradient=v)
        * Get the whole Jacobian, if that is what you want; f is the function that
        computes y from x.
              torch.func.jacrev(f)(x)
        (certain)
        """)


@pytest.mark.parametrize(
    ("lines", "fact", "code"),
    [
        (
            'loss = torch.nn.functional.cross_entropy(out, target, reduction="none")',
            'NllLossBackward0 was computed with reduction="none"',
            "loss.mean().backward()",
        ),
        (
            'loss = torch.nn.functional.cross_entropy(out, target, reduction="none") * x[:, 0]',
            'NllLossBackward0 was computed with reduction="none"',
            "loss.mean().backward()",
        ),
        (
            "loss = out",
            "AddmmBackward0 makes the result of a layer: this looks like a prediction",
            "loss = criterion(loss, target)\nloss.backward()",
        ),
        (
            "loss = torch.stack([out.mean(), out.pow(2).sum()])",
            "StackBackward0 put 2 single numbers side by side",
            "loss.sum().backward()",
        ),
        (
            "loss = out.pow(2).mean(dim=1)",
            "MeanBackward1 reduced dimension 1 only, and left f32[5]",
            "loss.mean().backward()",
        ),
        (
            "loss = (x @ model.weight[0] - x[:, 0]) ** 2",
            "5 is also the first dimension of x (f32[5, 4])",
            "loss.mean().backward()",
        ),
    ],
    ids=["unreduced", "unreduced and weighted", "prediction", "stack", "dim", "per sample"],
)
def test_kinds_of_outputs(lines: str, fact: str, code: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{MODEL}{lines}\nloss.backward()\n")
    assert explained.slugs == [SLUG]
    assert explained.has(fact), told(explained.first)
    assert explained.codes[0] == code


def test_numbers_from_several_devices(tmp_path: Path) -> None:
    program = """
    class Gather(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *losses):
            return torch.stack(losses)

        @staticmethod
        def backward(ctx, gradient):
            return tuple(gradient)

    x = torch.randn(3, requires_grad=True)
    loss = Gather.apply(x.sum(), x.mean())
    loss.backward()
    """
    explained = explain_program(tmp_path, program)
    assert explained.has("GatherBackward put together one number from each device")
    assert explained.codes[0] == "loss.mean().backward()"


def test_an_empty_output(tmp_path: Path) -> None:
    program = "x = torch.zeros(3, requires_grad=True)\nloss = x[x > 1]\nloss.backward()\n"
    explained = explain_program(tmp_path, program)
    assert explained.first.summary.startswith("loss (f32[0]) holds no numbers")
    assert explained.codes == ["if loss.numel():\n    loss.mean().backward()"]


def test_one_of_several_outputs(tmp_path: Path) -> None:
    program = """
    x = torch.randn(3, requires_grad=True)
    a, b = x.sum(), x * 2
    torch.autograd.backward([a, b])
    """
    explained = explain_program(tmp_path, program)
    assert explained.first.summary.startswith("b (f32[3]), output 1 of 2, holds 3 numbers")
    assert explained.codes == [
        "(a + b.sum()).backward()",
        "torch.autograd.backward([a, b], [None, torch.ones_like(b)])",
    ]


def test_what_is_pasted_runs_and_does_what_is_said(tmp_path: Path) -> None:
    program = "x = torch.arange(3.0, requires_grad=True)\ny = x * x\ny.backward()\n"
    explained = explain_program(tmp_path, program)
    found = []
    for code in explained.codes[:3]:
        torch = pytest.importorskip("torch")
        x = torch.arange(3.0, requires_grad=True)
        exec(code, {"torch": torch, "y": x * x, "v": torch.tensor([1.0, 10.0, 100.0])})
        found.append([round(value, 4) for value in x.grad.tolist()])
    # dy/dx is 2x: [0, 2, 4], times the weights 1/3, 1 and v.
    assert found == [[0, 0.6667, 1.3333], [0, 2, 4], [0, 20, 400]]


def test_a_derivative_at_each_point(tmp_path: Path) -> None:
    program = """
    x = torch.linspace(0, 1, 5).requires_grad_()
    u = torch.sin(x)
    torch.autograd.grad(u, x, create_graph=True)
    """
    explained = explain_program(tmp_path, program)
    assert explained.first.summary.endswith("but grad() without a gradient can start from exactly "
                                            "one number only.")  # fmt: skip
    first = "torch.autograd.grad(u, x, grad_outputs=torch.ones_like(u), create_graph=True)"
    assert explained.codes[0] == first


def test_a_complex_vector_is_told_that_its_sum_will_not_do(tmp_path: Path) -> None:
    program = "z = torch.ones(3, dtype=torch.complex64, requires_grad=True)\n(z * 2).backward()\n"
    explained = explain_program(tmp_path, program)
    assert explained.has("z * 2 is complex: its sum alone would be refused again")
    assert explained.codes[0] == "(z * 2).abs().mean().backward()"


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("torch.func.grad(energy)(torch.ones(3))", "torch.func.grad"),
        ("torch.func.grad_and_value(energy)(torch.ones(3))", "torch.func.grad_and_value"),
    ],
)
def test_a_transform_wants_no_dimension_at_all(call: str, name: str, tmp_path: Path) -> None:
    program = f"def energy(x):\n    return (x * x).sum(0, keepdim=True)  # guilty\n{call}\n"
    explained = explain_program(tmp_path, program)
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith(
        f"The function given to {name} returns a tensor with 1 dimension"
    )
    assert "torch.func.grad(lambda x: energy(x).squeeze())(x)" in explained.codes
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        'raise RuntimeError("grad can be implicitly created only for scalar outputs")',
        'assert False, "grad can be implicitly created only for scalar outputs"',
        'raise ValueError("to return a scalar Tensor, got tensor with 1 dims")',
    ],
)
def test_what_the_program_raises_itself_is_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


def test_the_message_alone_is_enough_for_a_short_answer() -> None:
    failure = Failure("RuntimeError", "Grad can be implicitly created  only for scalar outputs.")
    (diagnosis,) = explain_scene(Scene(failure=failure)).diagnoses
    assert (diagnosis.slug, diagnosis.certainty) == (SLUG, "likely")
    assert explain_scene(Scene(failure=Failure("KeyError", failure.message))).diagnoses == ()
