"""A gradient was asked of whole numbers."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "integer-requires-grad"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.line == 1
    assert explained.first.summary.startswith("A tensor of dtype int64 cannot")


@pytest.mark.parametrize(
    ("program", "start", "code"),
    [
        (
            "labels = torch.tensor([1, 2])\nlabels.requires_grad_()  # guilty",
            "labels (i64[2]) cannot",
            "labels = labels.float().requires_grad_()",
        ),
        (
            "mask = torch.ones(3) > 0\nmask.requires_grad = True  # guilty",
            "mask (b8[3]) cannot",
            "mask = mask.float().requires_grad_()",
        ),
        (
            "w = torch.tensor([1, 2], requires_grad=True)  # guilty",
            "A tensor of dtype int64 cannot",
            "torch.tensor([1.0, 2.0], requires_grad=True)  # 1.0, not 1",
        ),
        (
            "w = torch.zeros(3, dtype=torch.bool, requires_grad=True)  # guilty",
            "A tensor of dtype bool cannot",
            "w = torch.zeros(3, dtype=torch.float32, requires_grad=True)",
        ),
        (
            "ids = torch.arange(3)\np = torch.nn.Parameter(ids)  # guilty",
            "ids (i64[3]) cannot",
            "ids = ids.float().requires_grad_()",
        ),
    ],
)
def test_others(program: str, start: str, code: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, program)
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith(start)
    assert explained.codes[0] == code
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        "raise RuntimeError('only Tensors of floating point dtype can require gradients')",
        "raise ValueError('our layer: only tensors of floating point dtype can require gradients')",
        "torch.arange(3).mean()",
    ],
)
def test_other_failures_are_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


def test_golden(tmp_path: Path) -> None:
    explained = explain_program(tmp_path, "labels = torch.tensor([1, 2])\nlabels.requires_grad_()")
    assert told(explained.first) == dedent("""\
        labels (i64[2]) cannot require a gradient; only floating-point and complex
        tensors can.

        A gradient says how the result changes when an element changes a little, and
        whole numbers or truth values cannot change a little.

        - asked for by labels.requires_grad_() @2
        * Convert it first.
              labels = labels.float().requires_grad_()
        * If these are indices, labels or a mask, leave requires_grad out: what they
        select gets its gradient without it.
        (certain, line 2)
        """)
