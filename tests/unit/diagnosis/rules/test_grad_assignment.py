"""Something that does not fit was assigned to `.grad` or `.data`."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.grad_assignment import GRAD_ASSIGNMENT
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "grad-assignment"
START = "model = torch.nn.Linear(3, 2)\nw = torch.randn(3, requires_grad=True)\n"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith("x ")
    assert explained.line == 1


@pytest.mark.parametrize(
    ("line", "summary", "code"),
    [
        (
            "model.weight.grad = torch.ones(3, 2)",
            "model.weight has shape [2, 3], but its .grad was given shape [3, 2].",
            "model.weight.grad = torch.ones(3, 2).reshape(model.weight.shape)",
        ),
        (
            "w.grad = w.detach()[:2] * 2",
            "w has shape [3], but its .grad was given shape [2].",
            (
                "w.grad = torch.zeros_like(w)\n"
                "w.grad[: len((w.detach()[:2] * 2))] = (w.detach()[:2] * 2)"
            ),
        ),
        (
            "w.grad = torch.ones(3, dtype=torch.double)",
            "w takes gradients of dtype float32, but its .grad was given float64.",
            "w.grad = torch.ones(3, dtype=torch.double).to(w.dtype)",
        ),
        (
            "w.grad = torch.ones(3, device='meta')",
            "w and the tensor that its .grad was given are on different devices (cpu and meta).",
            "w.grad = torch.ones(3, device='meta').to(w.device)",
        ),
        (
            "w.grad = 1.0",
            "w.grad was given a float, and takes only a tensor or None.",
            "w.grad = torch.full_like(w, 1.0)",
        ),
        (
            "w.grad = w",
            "w was assigned as its own gradient.",
            "w.grad = w.detach().clone()",
        ),
        (
            "w.data = 1.0",
            "w.data was given a float, and takes only a tensor.",
            "with torch.no_grad():\n    w.copy_(1.0)",
        ),
        (
            "w.data = torch.arange(3)",
            "w (f32[3]) requires a gradient, so its .data cannot be whole numbers or truth values.",
            "with torch.no_grad():\n    w.copy_(torch.arange(3))",
        ),
        (
            "w.data = torch.ones(3, device='meta')",
            "w.data was given a tensor of another kind (device or layout).",
            "with torch.no_grad():\n    w.copy_(torch.ones(3, device='meta'))",
        ),
    ],
)
def test_other_assignments(line: str, summary: str, code: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}{line}  # guilty\n")
    assert explained.slugs == [SLUG]
    assert explained.first.summary == summary
    assert explained.codes[0] == code
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        'raise RuntimeError("can\'t assign Variable as its own grad")',
        "raise TypeError('assigned grad expected to be a Tensor or None but got grad of type int')",
        START + "w.data = torch.ones(4)\nw.grad = torch.ones(4)\nw += w.grad[:2]",
    ],
)
def test_other_failures_are_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


@pytest.mark.parametrize(
    ("message", "summary"),
    [
        (
            "assigned grad has data of a different size",
            "the tensor.grad was given a tensor of another shape than the tensor has.",
        ),
        (
            "assigned grad has data located on a different device",
            "the tensor and the tensor that its .grad was given are on different devices.",
        ),
        (
            (
                "attempting to assign a gradient with dtype 'double' to a tensor with dtype "
                "'float'. Please ensure"
            ),
            "the tensor takes gradients of dtype float32, but its .grad was given float64.",
        ),
    ],
)
def test_words_of_other_versions(message: str, summary: str) -> None:
    diagnosis = GRAD_ASSIGNMENT.diagnose(Scene(Failure("RuntimeError", message)))
    assert diagnosis is not None
    assert diagnosis.summary == summary[0].upper() + summary[1:]


def test_golden(tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}w.grad = torch.ones(2)\n")
    assert told(explained.first) == dedent("""\
        w has shape [3], but its .grad was given shape [2].

        The gradient has one number for each element of the tensor, so PyTorch takes
        only a tensor of the same shape, dtype and device as .grad.

        - assigned by w.grad = torch.ones(2) @3
        * A gradient for a part of the tensor is put into zeros.
              w.grad = torch.zeros_like(w)
              w.grad[: len(torch.ones(2))] = torch.ones(2)
        (certain, line 3)
        """)
