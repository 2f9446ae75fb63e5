"""functorch-transform: calls that do not work inside of torch.func's transforms."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "functorch-transform"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.line == 1


def test_what_is_said(tmp_path: Path) -> None:
    program = """
    def energy(x):
        loss = x.square().sum()
        loss.backward()  # guilty
        return loss

    torch.func.grad(energy)(torch.randn(3))
    """
    assert told(explain_program(tmp_path, program).first) == dedent("""\
        loss.backward() was called inside torch.func.grad, where it does not work.

        Inside a transform PyTorch computes with wrappers of the tensors, and the
        transform itself takes the derivative. The graph that backward(),
        requires_grad_() and .grad work on belongs to the world outside of it.

        - `loss.backward()` at program.py:4 is what failed @4
        - it runs inside `torch.func.grad(energy)(torch.randn(3))` at program.py:7 @7
        * Leave out backward(): return the loss, and let the transform differentiate.
              def energy(x):
                  ...
                  return loss

              gradient = torch.func.grad(energy)(x)
        * For a gradient inside of another, nest the transforms.
              torch.func.grad(lambda x: torch.func.grad(inner)(x).sum())(x)
        * Or do without the transform.
              loss = energy(x)  # x.requires_grad_() before
              loss.backward()
        (certain, line 4)
        """)


@pytest.mark.parametrize("transform", ["vmap", "jacrev", "vjp"])
def test_other_transforms_are_named(transform: str, tmp_path: Path) -> None:
    arguments = "(f, torch.ones(3))" if transform == "vjp" else "(f)(torch.ones(3))"
    program = f"""
def f(x):
    y = (x * x).sum()
    y.backward()  # guilty
    return y

torch.func.{transform}{arguments}
"""
    explained = explain_program(tmp_path, program)
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith(
        f"y.backward() was called inside torch.func.{transform}"
    )
    assert explained.line == explained.guilty


def test_requires_grad_inside(tmp_path: Path) -> None:
    program = """
    def f(x):
        w = torch.ones(3)
        w.requires_grad_()  # guilty
        return (x * w).sum()

    torch.func.grad(f)(torch.randn(3))
    """
    explained = explain_program(tmp_path, program)
    assert explained.slugs == [SLUG]
    assert explained.first.summary.startswith("requires_grad_() was called inside torch.func.grad")
    assert explained.line == explained.guilty


@pytest.mark.parametrize("line", ["scale = x.max().item()", "scale = 1 if x.sum() > 0 else 2"])
def test_a_value_inside_of_vmap(line: str, tmp_path: Path) -> None:
    program = f"""
def f(x):
    {line}  # guilty
    return x * scale

torch.func.vmap(f)(torch.randn(2, 3))
"""
    explained = explain_program(tmp_path, program)
    assert explained.slugs == [SLUG]
    assert "single value of a tensor was asked for inside torch.func.vmap" in (
        explained.first.summary
    )
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        'raise RuntimeError("backward() called inside a functorch transform.")',
        (
            "def f(x):\n    raise RuntimeError('vmap: It looks like you\\'re calling .item()')\n"
            "torch.func.vmap(f)(torch.ones(2))"
        ),
        "torch.func.grad(lambda x: x * 2)(torch.ones(3))",  # Its result is no scalar.
    ],
)
def test_what_is_none_of_it(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs
