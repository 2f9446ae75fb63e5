"""Advice for Python becomes advice for the command line, and all other text stays."""

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.cli.wording import reword


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'not shown: 3 events; trace.table(max_lines=12) shows all, trace.table(nodes="…") some',
            'not shown: 3 events; --max-lines 12 shows all, --find "…" some',
        ),
        ("x (order 1);\n  see trace.first_nonfinite()\nnote", "x (order 1);\n  see below\nnote"),
        ("… and 4 more: trace.notes", "… and 4 more, which --json shows"),
        ("… and 4 more: trace.edits", "… and 4 more, which --json shows"),
        (
            "… and 2 more rows, none of them flagged; GradientFlow.rows has all\n",
            "… and 2 more rows, none of them flagged; --json has all\n",
        ),
        (
            "… and 90 more; Comparison.differences has the first 100",
            "… and 90 more; --json has the first 100",
        ),
        (
            "note: one of 2 passes; backward_pass= chooses another",
            "note: one of 2 passes; --pass chooses another",
        ),
        ("a parameter trace.notes", "a parameter trace.notes"),
        ("", ""),
    ],
)
def test_reword(text: str, expected: str) -> None:
    assert reword(text) == expected


def test_what_is_printed_today_has_the_words_that_are_looked_for() -> None:
    # Fails where one of these texts is changed and this module is forgotten.
    root = torch.tensor([0.0], requires_grad=True)
    others = [torch.ones(1, requires_grad=True) for _ in range(70)]
    y = root.sqrt()
    for tensor in others:
        y = y * tensor
    names = {"root": root} | {f"p{i}": tensor for i, tensor in enumerate(others)}
    with ia.trace(y, params=names) as trace:
        y.backward(retain_graph=True)
        y.backward()
    table, flow = trace.table(max_lines=30), str(trace.gradient_flow())
    for text, python, ours in (
        (table, "trace.table(max_lines=", "--max-lines "),
        (table, 'trace.table(nodes="…")', '--find "…"'),
        (table, "trace.first_nonfinite()", "see below"),
        (flow, "GradientFlow.rows has all", "--json has all"),
        (flow, "backward_pass= chooses another", "--pass chooses another"),
    ):
        assert (python in text, ours in text) == (True, False)
        assert (python in reword(text), ours in reword(text)) == (False, True)
