"""A hook returned something that cannot take the place of a gradient."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.hook_return import HOOK_RETURN
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "hook-return"
START = """
x = torch.randn(3, requires_grad=True)
y = x * 2
"""


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.first.certainty == "certain"
    assert explained.line == 1


@pytest.mark.parametrize(
    ("returned", "summary", "code"),
    [
        (
            "g.sum()",
            "The hook halve on y (f32[3], MulBackward0) returned a gradient of another shape.",
            "return grad / grad.norm()",
        ),
        (
            "g.double()",
            (
                "The hook halve on y (f32[3], MulBackward0) returned a gradient of dtype float64 "
                "instead of float32."
            ),
            "return result.to(grad.dtype)",
        ),
        (
            "0.5",
            "The hook halve on y (f32[3], MulBackward0) returned a float instead of a tensor.",
            "return grad * 0.5",
        ),
    ],
)
def test_a_hook_of_a_tensor(returned: str, summary: str, code: str, tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        "def halve(g):  # guilty\n"
        f"    return {returned}\n"
        f"{START}"
        "y.register_hook(halve)\n"
        "y.sum().backward()\n",
    )
    assert explained.first.summary == summary
    assert explained.codes == [code, "return None"]
    assert explained.line == explained.guilty


def test_a_hook_of_a_leaf(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, START + "x.register_hook(lambda g: g[:1])  # guilty\ny.sum().backward()\n"
    )
    assert explained.slugs == [SLUG]
    assert "returned a gradient of another shape" in explained.first.summary
    assert explained.line == explained.guilty


def test_a_hook_of_a_node_is_found_where_it_is_registered(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        START + "y.grad_fn.register_hook(lambda gi, go: (gi[0],))  # guilty\ny.sum().backward()\n",
    )
    assert explained.first.summary == (
        "The hook, a lambda, returned 1 value, but 2 gradients are to be replaced."
    )
    assert explained.codes[0] == "return (grad_inputs[0], grad_inputs[1])"
    assert explained.line == explained.guilty


def test_a_prehook_that_returns_no_tuple(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, START + "y.grad_fn.register_prehook(lambda g: 3)\ny.sum().backward()\n"
    )
    assert explained.slugs == [SLUG]


def test_a_hook_without_a_name(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        "import functools\ndef scale(k, g):\n    return g.sum() * k\n"
        + START
        + "y.register_hook(functools.partial(scale, 2))  # guilty\ny.sum().backward()\n",
    )
    assert explained.first.summary == "A hook returned a gradient of another shape."
    assert explained.line == explained.guilty


def test_a_hook_of_a_module(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        "layer = torch.nn.Linear(3, 1)\n"
        "layer.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))  # guilty\n"
        "layer(torch.randn(2, 3, requires_grad=True)).sum().backward()\n",
    )
    assert explained.slugs == [SLUG]
    assert "returned 2 values, but 1 gradient is to be replaced." in explained.first.summary
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        "raise RuntimeError(\"hook 'git' has changed the size of value\")",
        "raise TypeError(\"expected Variable, but hook returned 'float'\")",
        START + "def hook(g):\n    raise ValueError('no hook for you')\n"
        "y.register_hook(hook)\ny.sum().backward()",
    ],
)
def test_what_the_program_raises_itself_is_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


@pytest.mark.parametrize(
    ("message", "summary"),
    [
        (
            'hook "clip" has changed the size of value',
            "The hook clip returned a gradient of another shape.",
        ),
        (
            (
                "hook 'clip' has changed the type of value (was torch.cuda.HalfTensor got "
                "torch.cuda.FloatTensor)"
            ),
            "The hook clip returned a gradient of dtype float32 instead of float16.",
        ),
        (
            "can't replace a None gradient with a non-None value",
            "A hook returned a gradient where there was none.",
        ),
    ],
)
def test_the_text_alone(message: str, summary: str) -> None:
    diagnosis = HOOK_RETURN.diagnose(Scene(Failure("RuntimeError", message)))
    assert diagnosis is not None
    assert diagnosis.summary == summary


@pytest.mark.parametrize(
    "message", ["the hook has changed", "hooks 'a' returned a value", "webhook returned 'float'"]
)
def test_other_texts(message: str) -> None:
    assert HOOK_RETURN.diagnose(Scene(Failure("RuntimeError", message))) is None


def test_golden(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        f"def halve(g):\n    return 0.5\n{START}y.register_hook(halve)\ny.sum().backward()\n",
    )
    assert told(explained.first) == dedent("""\
        The hook halve on y (f32[3], MulBackward0) returned a float instead of a tensor.

        What a hook returns takes the place of the gradient, so it must be a tensor of
        the same shape and dtype on the same device. A hook that only looks returns
        nothing (None).

        - halve is defined here, registered on y (f32[3], MulBackward0) @1
        - a hook is registered by y.register_hook(halve) @6
        * Return a tensor.
              return grad * 0.5
        * If the hook is only to look at the gradient, return nothing.
              return None
        (certain, line 1)
        """)
