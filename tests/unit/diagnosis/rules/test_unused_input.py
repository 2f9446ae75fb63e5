"""unused-input: a tensor that the output does not depend on, or another one than was meant."""

from pathlib import Path
from textwrap import dedent

import pytest
import torch

from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "unused-input"
START = "x = torch.randn(3, requires_grad=True)\nz = torch.randn(3, requires_grad=True)\n"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    assert explain_program(tmp_path, source).slugs == [SLUG]


def test_what_is_said(tmp_path: Path) -> None:
    program = """
    x = torch.randn(6, requires_grad=True)
    loss = x.square().sum()
    table = x.view(2, 3)
    torch.autograd.grad(loss, table)
    """
    assert told(explain_program(tmp_path, program).first) == dedent("""\
        table (f32[2, 3]) is not part of the graph of loss: it is a view of x that was
        made beside it, and nothing was computed from the view.

        grad() looks for this very tensor in the graph behind the output. A tensor with
        the same values, a view of it or a copy is another tensor there.

        - the graph of loss leads to x (f32[6])
        - table was made by ViewBackward0, which is not in that graph
        * Ask for the gradient of x, and give it the other shape afterwards.
              torch.autograd.grad(loss, x)[0].reshape_as(table)
        * Or compute loss from table, after table was made.
        * If it need not depend on table, allow that: the gradient then is None.
              torch.autograd.grad(loss, table, allow_unused=True)
        * Or get zeros instead of None.
              torch.autograd.grad(loss, table, materialize_grads=True)
        (certain)
        """)


CASES = {
    "not used": (
        "loss = (x * 2).sum()\ntorch.autograd.grad(loss, [x, z])",
        "z (f32[3]), input 1 of 2, is not part of the graph of loss: nothing on the way to it",
        "torch.autograd.grad(loss, [x, z], allow_unused=True)",
    ),
    "used without its graph": (
        "loss = (x * z.detach()).sum()\ntorch.autograd.grad(loss, z)",
        (
            "z (f32[3]) is not part of the graph of loss: nothing on the way to it used this "
            "tensor, or it was used without its graph"
        ),
        "torch.autograd.grad(loss, z, allow_unused=True)",
    ),
    "a part": (
        "loss = x.square().sum()\ntorch.autograd.grad(loss, x[0])",
        "x[0] (f32[]) is not part of the graph of loss: taking a part makes a new tensor each time",
        "torch.autograd.grad(loss, x)[0][0]",
    ),
    "a copy": (
        "loss = x.square().sum()\ncopy = x.clone()\ntorch.autograd.grad(loss, copy)",
        "copy (f32[3]) is not part of the graph of loss: it was computed from x by CloneBackward0",
        "torch.autograd.grad(loss, x)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons(name: str, tmp_path: Path) -> None:
    lines, summary, code = CASES[name]
    explained = explain_program(tmp_path, f"{START}{lines}\n")
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith(summary), explained.first.summary
    assert explained.codes[0] == code


def test_an_element_of_a_list_is_no_part(tmp_path: Path) -> None:
    program = START + "inputs = [x, z]\ntorch.autograd.grad(x.sum(), inputs[1])\n"
    explained = explain_program(tmp_path, program)
    assert "nothing on the way to it used this tensor" in explained.first.summary


def test_two_options_that_contradict_each_other(tmp_path: Path) -> None:
    program = START + (
        "torch.autograd.grad(x.sum(), z, allow_unused=False, materialize_grads=True)  # guilty\n"
    )
    explained = explain_program(tmp_path, program)
    assert explained.first.summary.startswith("materialize_grads=True and allow_unused=False")
    assert explained.codes[0] == "torch.autograd.grad(x.sum(), z, materialize_grads=True)"
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        (
            "raise RuntimeError('The differentiated Tensor at index 0 appears to not have been "
            "used in the graph')"
        ),
        "torch.autograd.grad(x.sum(), torch.ones(3))",  # Does not require grad at all.
    ],
)
def test_what_is_none_of_it(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, START + program).slugs


@pytest.mark.parametrize("name", CASES)
def test_the_code_of_every_hint_can_be_pasted(name: str, tmp_path: Path) -> None:
    lines = CASES[name][0]
    before = f"{START}{lines}".rpartition("\n")[0]
    for code in explain_program(tmp_path, f"{START}{lines}\n").codes:
        exec(f"{before}\n{code}", {"torch": torch})


def test_an_option_takes_the_place_of_one_that_says_the_contrary(tmp_path: Path) -> None:
    program = START + "torch.autograd.grad(x.sum(), z, allow_unused=False, retain_graph=True)\n"
    assert explain_program(tmp_path, program).codes[0] == (
        "torch.autograd.grad(x.sum(), z, retain_graph=True, allow_unused=True)"
    )
