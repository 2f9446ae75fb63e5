"""view-modified-in-place: several outputs, no_grad, custom Functions, detach_."""

from pathlib import Path

import pytest
import torch

from tests.unit.diagnosis.rules.programs import each_case, either_way, explain_program

SLUG = "view-modified-in-place"
BASE = "x = torch.randn(4, 2, requires_grad=True) * 2\n"

CUSTOM = """
class Flat(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.view(-1)
    @staticmethod
    def backward(ctx, g):
        return g.view(4, 2)
x = torch.randn(4, 2, requires_grad=True) * 2
v = Flat.apply(x)
v.add_(1)  # guilty
"""

# Program, what the summary says, code of the most likely fix.
CAUSES = {
    "unbind": (
        BASE + "r = x.unbind()\nr[1].add_(1)  # guilty",
        "`r[1].add_(1)` would write to r[1], output 1 of unbind(), which returns several views",
        "part = r[1].add(1)",
    ),
    "chunk": (BASE + "a, b = x.chunk(2)\na += 1  # guilty", "output 0 of split()", "a = a + 1"),
    "rows": (
        BASE + "for row in x:\n    row.mul_(2)  # guilty",
        "`row.mul_(2)` would write to row, output 0 of unbind()",
        "row = row.mul(2)",
    ),
    "base": (
        BASE + "a, b = x.split(2)\nx += 1  # guilty\nloss = a.sum()",
        "Output 0 of split() can no longer be used",
        "x = x + 1",
    ),
    "no_grad": (
        BASE + "with torch.no_grad():\n    v = x[:2]\nv.mul_(x[2:])  # guilty",
        "v is a view that was made inside torch.no_grad(), and `v.mul_(x[2:])` would write",
        "with torch.no_grad():\n    v.mul_(x[2:])",
    ),
    "inference_mode": (
        (
            "y = torch.randn(4)\nwith torch.inference_mode():\n    v = y[:2]\n"
            "v.mul_(torch.ones(2, requires_grad=True))  # guilty"
        ),
        "v is a view that was made inside torch.inference_mode()",
        "with torch.inference_mode():\n    v.mul_",
    ),
    "custom": (
        CUSTOM,
        "`v.add_(1)` would write to v, which the custom Function Flat returned as a view",
        "v = v.clone()\nv.add_(1)",
    ),
    "detach": (
        BASE + "x[:2].detach_()  # guilty",
        "`x[:2].detach_()` would cut x[:2] off its graph, but it is a view.",
        "part = x[:2].detach()",
    ),
    "detach_name": (
        BASE + "v = x[:2]\nv.detach_()  # guilty",
        "`v.detach_()` would cut v off its graph",
        "v = v.detach()",
    ),
}


@each_case(SLUG)
def test_the_catalogue(tmp_path: Path, key: str, source: str) -> None:
    assert explain_program(tmp_path, source).slugs == [SLUG]


@pytest.mark.parametrize("cause", CAUSES)
@either_way
def test_causes_are_told_apart(tmp_path: Path, cause: str, record: bool) -> None:
    source, summary, code = CAUSES[cause]
    found = explain_program(tmp_path, source, record=record)
    assert found.slugs == [SLUG]
    assert summary in found.first.summary
    assert found.codes[0].startswith(code)
    assert found.line == found.guilty


def test_indexing_instead_of_unbinding(tmp_path: Path) -> None:
    codes = explain_program(tmp_path, CAUSES["unbind"][0]).codes
    assert codes[1:] == ["x[1].add_(1)", "part = r[1].clone()"]
    for code in codes:
        exec(BASE + "r = x.unbind()\n" + code, {"torch": torch})


def test_what_a_newcomer_reads(tmp_path: Path) -> None:
    text = str(explain_program(tmp_path, CAUSES["unbind"][0]).report)
    assert text.startswith(
        "`r[1].add_(1)` would write to r[1], output 1 of unbind(), which returns several views of\n"
        "one tensor.\n"
    )


def test_the_same_words_from_the_user(tmp_path: Path) -> None:
    source = 'raise RuntimeError("Can\'t detach views in-place")'
    assert SLUG not in explain_program(tmp_path, source).slugs
