"""complex-output: a number to start from, but not a real one."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "complex-output"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.has("complex from the start: x (c64[")


def test_what_is_said(tmp_path: Path) -> None:
    program = """
    x = torch.ones(4, requires_grad=True)
    spectrum = torch.fft.fft(x).sum()
    spectrum.backward()
    """
    assert told(explain_program(tmp_path, program).first) == dedent("""\
        spectrum (c64[]) is a complex number, but backward() without a gradient can
        start from a real number only.

        Training makes a number smaller, and of two complex numbers none is the smaller
        one. So a loss must be real, even where everything before it is complex:
        gradients flow through complex operations without trouble.

        - spectrum was made by SumBackward0
        - its leaves are real: an operation on the way made it complex
        * Minimise its absolute value.
              spectrum.abs().backward()
        * Or the square of it, which is smooth at 0.
              spectrum.abs().square().backward()
        * Or its real part, if the imaginary part is known to be 0.
              spectrum.real.backward()
        * Or say what the gradient is to be: 1 here gives that of the real part.
              spectrum.backward(torch.ones_like(spectrum))
        (certain)
        """)


def test_what_is_pasted_runs_and_two_ways_agree(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    program = "z = torch.ones((), dtype=torch.complex64, requires_grad=True)\n(z * 2j).backward()\n"
    codes = explain_program(tmp_path, program).codes
    found = []
    for code in codes:
        z = torch.ones((), dtype=torch.complex64, requires_grad=True)
        exec(code, {"torch": torch, "z": z})
        found.append(z.grad.item())
    # |2jz| = 2|z| and |2jz|² = 4|z|²; the real part of 2jz is -2 times the imaginary part of z.
    assert found == [2, 8, -2j, -2j]


def test_grad_is_answered_with_grad(tmp_path: Path) -> None:
    program = """
    z = torch.ones(2, dtype=torch.complex64, requires_grad=True)
    torch.autograd.grad(z.prod(), z)
    """
    explained = explain_program(tmp_path, program)
    assert explained.first.summary.startswith("z.prod() (c64[]) is a complex number, but grad()")
    assert explained.codes[0] == "torch.autograd.grad(z.prod().abs(), z)"


@pytest.mark.parametrize(
    "program",
    [
        "raise RuntimeError('grad can be implicitly created only for real scalar outputs')",
        "z = torch.ones(2, dtype=torch.complex64, requires_grad=True)\nz.backward()",  # Two.
        "z = torch.ones((), dtype=torch.complex64)\nz.backward()",  # No graph.
    ],
)
def test_what_is_none_of_it(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs
