"""derivative-not-implemented: which operation, which argument, which line."""

from pathlib import Path

import pytest

from tests.unit.diagnosis.rules.programs import each_case, either_way, explain_program

SLUG = "derivative-not-implemented"
X = "x = torch.rand(3, requires_grad=True)\n"

# Program, operation in the summary, code of the most likely fix.
CAUSES = {
    "argument": (
        X + "y = torch.igamma(x, torch.ones(3))  # guilty\ny.sum().backward()",
        "PyTorch has no derivative of it with respect to its argument `input`",
        "torch.igamma(x.detach(), torch.ones(3))",
    ),
    "whole": (
        X + "y = torch.special.zeta(x + 2, torch.ones(3))  # guilty\ny.sum().backward()",
        "through zeta(), but PyTorch has no derivative of it.",
        "torch.special.zeta((x + 2).detach(), torch.ones(3))",
    ),
    "a method": (
        X + "y = (x + 2).igamma(torch.ones(3))  # guilty\ny.sum().backward()",
        "PyTorch has no derivative of it with respect to its argument `input`",
        "(x + 2).detach().igamma(torch.ones(3))",
    ),
    "one line": (
        X + "torch.igammac(x, torch.ones(3)).sum().backward()  # guilty",
        "through igammac()",
        "torch.igammac(x.detach(), torch.ones(3))",
    ),
    "in a function": (
        X + "def loss(x):\n    return torch.special.zeta(x + 2, torch.ones(3)).sum()  # guilty\n"
        "loss(x).backward()",
        "through zeta()",
        "value.detach()",
    ),
}


@each_case(SLUG)
@either_way
def test_the_catalogue(tmp_path: Path, key: str, source: str, record: bool) -> None:
    assert explain_program(tmp_path, source, record=record).slugs == [SLUG]


@pytest.mark.parametrize("cause", CAUSES)
@either_way
def test_operation_and_argument(tmp_path: Path, cause: str, record: bool) -> None:
    source, summary, code = CAUSES[cause]
    found = explain_program(tmp_path, source, record=record)
    assert found.slugs == [SLUG]
    assert summary in found.first.summary
    assert found.codes[0] == code
    # A line of another function is known from a recording only.
    assert found.line == (found.guilty if record or cause != "in a function" else None)
    assert found.has("is the node that cannot be differentiated")


@pytest.mark.parametrize(
    "source",
    [
        "raise NotImplementedError('the derivative for zeta is not implemented')",
        "raise NotImplementedError('the derivative of the price has not been implemented')",
        "torch.ones(3, dtype=torch.int64).requires_grad_()",
    ],
)
def test_other_failures(tmp_path: Path, source: str) -> None:
    assert SLUG not in explain_program(tmp_path, source).slugs
