"""A computed tensor was treated as a leaf."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.non_leaf_grad import NON_LEAF_GRAD
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "non-leaf-grad"
START = "x = torch.randn(3, requires_grad=True)\n"
WITH_ERRORS = "import warnings\nwarnings.simplefilter('error')\n"


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    line = {"nonleaf_to_device": None, "optim_step_rebind": 3}.get(key, 1)
    assert explained.line == line


@pytest.mark.parametrize(
    ("lines", "summary", "code"),
    [
        (
            "h = x.double()\nh.sum().backward()\nh.grad.zero_()  # guilty",
            (
                "h (f64[3]) has no .grad, because it was computed from other tensors (made by "
                "ToCopyBackward0)."
            ),
            "h = h.detach().requires_grad_()",
        ),
        (
            "for _ in range(2):\n    x.sum().backward()\n    x = x - 0.5 * x.grad  # guilty",
            (
                "x (f32[3]) is no leaf any more, so it has no .grad: x = x - 0.5 * x.grad made a "
                "new "
                "tensor and gave it the name x."
            ),
            "with torch.no_grad():\n    x -= 0.5 * x.grad\nx.grad = None",
        ),
        (
            "x = x * 2\nx.sum().backward()\nx.data -= 0.1 * x.grad  # guilty",
            (
                "x (f32[3]) has no .grad, because it was computed from other tensors (made by "
                "MulBackward0)."
            ),
            "x = x.detach().requires_grad_()",
        ),
        (
            "y = x * 2\ny.requires_grad_(False)  # guilty",
            (
                "The requires_grad of y (f32[3]) was changed, but it was computed from tensors "
                "that "
                "require a gradient."
            ),
            "y = y.detach()",
        ),
        (
            "w = x.cpu() * 0.1\ntorch.optim.Adam([w])  # guilty",
            (
                "w (f32[3]) was given to an optimizer, but it was computed from other tensors (by "
                "MulBackward0)."
            ),
            "w = w.detach().requires_grad_()\noptimizer = torch.optim.SGD([w], lr=0.1)",
        ),
        (
            "layer = torch.nn.Linear(3, 1)\nlayer.weight = layer.weight * 2  # guilty",
            (
                "The parameter weight was given layer.weight * 2 (f32[1, 3]), which was computed "
                "from "
                "other tensors."
            ),
            "layer.weight = torch.nn.Parameter((layer.weight * 2).detach())",
        ),
        (
            (
                "layer = torch.nn.Linear(3, 1)\nvalue = torch.ones(1, 3)\n"
                "layer.weight = value  # guilty"
            ),
            "The parameter weight was given value (f32[1, 3]), which is a plain tensor.",
            "layer.weight = torch.nn.Parameter(value.detach())",
        ),
    ],
)
def test_others(lines: str, summary: str, code: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}{lines}\n")
    if explained.first.source is None:  # The warning came first; it has no line.
        explained = explain_program(
            tmp_path, f"import warnings\nwarnings.simplefilter('ignore')\n{START}{lines}\n"
        )
    assert explained.slugs == [SLUG]
    assert explained.first.summary == summary
    assert explained.codes[0] == code
    assert explained.line == explained.guilty


def test_the_warning_as_an_error(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, f"{WITH_ERRORS}{START}y = x * 2\ny.sum().backward()\nprint(y.grad)  # guilty\n"
    )
    assert explained.slugs == [SLUG]
    assert explained.first.summary == (
        "y (f32[3]) has no .grad, because it was computed from other tensors (made by "
        "MulBackward0)."
    )
    assert explained.codes[-1] == "y.retain_grad()"
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        START + "x.grad.zero_()",  # A leaf that no backward pass has reached.
        START + "x = x * 2\nlen(None)",
        "class Model:\n    grad = None\nmodel = Model()\nmodel.grad.zero_()",
        'raise ValueError("can\'t optimize a non-leaf Tensor")',
        "layer = torch.nn.Linear(3, 1)\nlayer.weight = 'a word'",
    ],
)
def test_other_failures_are_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("ValueError", "Cannot assign non-leaf Tensor to parameter 'v'. Model parameters must be"),
        ("ValueError", "can't optimize a non-leaf Tensor"),
        ("RuntimeError", "you can only change requires_grad flags of leaf variables."),
    ],
)
def test_the_text_alone(kind: str, message: str) -> None:
    assert NON_LEAF_GRAD.diagnose(Scene(Failure(kind, message))) is not None


def test_golden(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        """
        import warnings
        warnings.simplefilter("ignore")
        w = torch.randn(3, requires_grad=True)
        for _ in range(2):
            (w * w).sum().backward()
            w = w - 0.1 * w.grad
        """,
    )
    assert told(explained.first) == dedent("""\
        w (f32[3]) is no leaf any more, so it has no .grad: w = w - 0.1 * w.grad made a
        new tensor and gave it the name w.

        backward() puts gradients only into leaves: tensors that were made with
        requires_grad=True, and not computed from others. A computed tensor has a
        grad_fn instead, and its .grad stays None.

        - w (f32[3]) has is_leaf=False (made by SubBackward0)
        - .grad was read by w = w - 0.1 * w.grad @7
        * Change w in place, where autograd does not watch.
              with torch.no_grad():
                  w -= 0.1 * w.grad
              w.grad = None
        * Or let an optimizer do it.
              optimizer = torch.optim.SGD([w], lr=0.1)
        (certain, line 7)
        """)
