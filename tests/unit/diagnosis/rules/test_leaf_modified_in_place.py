"""leaf-modified-in-place: updates, initialisation, views, out=, custom Functions."""

from pathlib import Path

import pytest
import torch

from tests.unit.diagnosis.rules.programs import each_case, either_way, explain_program

SLUG = "leaf-modified-in-place"
LEAF = "x = torch.randn(3, requires_grad=True)\n"

UPDATE = LEAF + "(x * x).sum().backward()\nx -= 0.1 * x.grad  # guilty"
UPDATE_IN_LOOP = """
def sgd(params, lr):
    for p in params:
        p -= lr * p.grad  # guilty
w = torch.randn(3, requires_grad=True)
(w * w).sum().backward()
sgd([w], 0.1)
"""
CUSTOM = """
class Increment(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.add_(1)
        ctx.mark_dirty(x)
        return x
    @staticmethod
    def backward(ctx, g):
        return g
x = torch.randn(3, requires_grad=True)
Increment.apply(x)  # guilty
"""
PARAMETER = "lin = torch.nn.Linear(2, 2)\n"
BLOCK = "with torch.no_grad():\n    "

# Program, what the summary says, all code of the hints.
CAUSES = {
    "update": (
        UPDATE,
        "x (f32[3]) is a leaf that requires grad, and `x -= 0.1 * x.grad` would write it",
        [
            f"{BLOCK}x -= 0.1 * x.grad",
            "optimizer = torch.optim.SGD([x], lr=0.1)\noptimizer.step()",
        ],
    ),
    "loop": (
        UPDATE_IN_LOOP,
        "p (f32[3]) is a leaf",
        [
            f"{BLOCK}p -= lr * p.grad",
            "optimizer = torch.optim.SGD([p], lr=0.1)\noptimizer.step()",
        ],
    ),
    "method": (LEAF + "x.add_(1)  # guilty", "`x.add_(1)`", [f"{BLOCK}x.add_(1)", "x = x.add(1)"]),
    "zero": (
        LEAF + "x.zero_()  # guilty",
        "`x.zero_()`",
        [f"{BLOCK}x.zero_()", "x = torch.zeros_like(x)"],
    ),
    "function": (
        LEAF + "torch.relu_(x)  # guilty",
        "`torch.relu_(x)`",
        [f"{BLOCK}torch.relu_(x)", "x = x.relu()"],
    ),
    "inplace": (
        LEAF + "torch.nn.functional.relu(x, inplace=True)  # guilty",
        "would write it in place",
        [
            f"{BLOCK}torch.nn.functional.relu(x, inplace=True)",
            "x = torch.nn.functional.relu(x)",
        ],
    ),
    "parameter": (
        PARAMETER + "lin.weight.fill_(0.5)  # guilty",
        "the parameter lin.weight (f32[2, 2]) is a leaf",
        [f"{BLOCK}lin.weight.fill_(0.5)"],
    ),
    "row": (
        PARAMETER + "lin.weight[0] = 0  # guilty",
        "lin.weight[0] is a view of a leaf that requires grad",
        [f"{BLOCK}lin.weight[0] = 0", "weight = lin.weight.clone()\nweight[0] = 0"],
    ),
    "view": (
        LEAF + "v = x[:2]\nv.zero_()  # guilty",
        "v is a view of a leaf that requires grad, and `v.zero_()` would write to the leaf",
        [f"{BLOCK}v.zero_()", "v = v.clone()\nv.zero_()"],
    ),
    "slice": (
        LEAF + "x[:2].zero_()  # guilty",
        "x[:2] is a view of a leaf",
        [f"{BLOCK}x[:2].zero_()", "x_copy = x.clone()\nx_copy[:2].zero_()"],
    ),
    "out": (
        LEAF + "o = torch.empty(3)\ntorch.add(x, 1, out=o)  # guilty",
        "add() was told to write its result into o with out=, but x (f32[3]) requires grad.",
        ["o = torch.add(x, 1)", f"{BLOCK}torch.add(x, 1, out=o)"],
    ),
    "custom": (
        CUSTOM,
        "Increment writes its argument x (f32[3]) in place (mark_dirty)",
        ["Increment.apply(x.clone())"],
    ),
}


@each_case(SLUG)
def test_the_catalogue(tmp_path: Path, key: str, source: str) -> None:
    found = explain_program(tmp_path, source)
    assert found.slugs == [SLUG]
    assert found.first.certainty == "certain"


@pytest.mark.parametrize("cause", CAUSES)
@either_way
def test_causes_are_told_apart(tmp_path: Path, cause: str, record: bool) -> None:
    source, summary, codes = CAUSES[cause]
    found = explain_program(tmp_path, source, record=record)
    assert found.slugs == [SLUG]
    assert summary in found.first.summary
    assert found.codes == codes
    assert found.line == found.guilty


@pytest.mark.parametrize("cause", ["update", "method", "view", "slice", "custom"])
def test_the_first_fix_works(tmp_path: Path, cause: str) -> None:
    source, _, codes = CAUSES[cause]
    *before, _ = [line for line in source.strip().splitlines() if line]
    exec("\n".join([*before, codes[0]]), {"torch": torch})


def test_what_a_newcomer_reads(tmp_path: Path) -> None:
    text = str(explain_program(tmp_path, UPDATE).report)
    assert text.startswith(
        "x (f32[3]) is a leaf that requires grad, and `x -= 0.1 * x.grad` would write it in place\n"
        "while autograd records.\n"
    )
    steps = text[text.index("What to do") :].splitlines()
    assert steps[:4] == [
        "What to do",
        "  1. Update it without recording, as optimizers do.",
        "         with torch.no_grad():",
        "             x -= 0.1 * x.grad",
    ]


def test_the_same_words_from_the_user(tmp_path: Path) -> None:
    source = (
        "raise RuntimeError('a leaf Variable that requires grad is being used in an in-place op')"
    )
    assert SLUG not in explain_program(tmp_path, source).slugs
