"""A tensor with a graph was taken out of PyTorch."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.leaves_autograd import LEAVES_AUTOGRAD
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "leaves-autograd"
START = "import copy, io, math, pickle\nx = torch.randn(3, requires_grad=True)\ny = x * 2\n"


@pytest.fixture(autouse=True)
def every_warning() -> Iterator[None]:
    """PyTorch gives some warnings only once in a process."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.line == (None if key == "scalar_conv" else 1)


@pytest.mark.parametrize(
    ("line", "summary", "code"),
    [
        (
            "values = y.numpy()",
            "y (f32[3]) requires a gradient, so it was not made into a NumPy array.",
            "y.detach().cpu().numpy()",
        ),
        (
            "values = (x + 1).numpy()",
            "x + 1 requires a gradient, so it was not made into a NumPy array.",
            "(x + 1).detach().cpu().numpy()",
        ),
        (
            "torch.from_dlpack(y)",
            "y (f32[3]) requires a gradient, so it was not made into an array of another library.",
            "y.detach()",
        ),
        (
            "copy.deepcopy(y)",
            "y (f32[3]) was deep-copied, but it was computed from other tensors (by MulBackward0).",
            "y.detach().clone()",
        ),
        (
            "total = 0.0; total.backward()",
            "total is a float and no tensor, so it has no backward().",
            "total.backward()",
        ),
        (
            "loss = y.sum().item(); loss.backward()",
            "loss is a float and no tensor, so it has no backward(): item() gave a plain number.",
            "loss = y.sum()\nloss.backward()",
        ),
        (
            "(y.sum().item() + 1).backward()",
            (
                "y.sum().item() + 1 is a float and no tensor, so it has no backward(): item() gave "
                "a "
                "plain number."
            ),
            "(y.sum() + 1).backward()",
        ),
    ],
)
def test_other_ways_out(line: str, summary: str, code: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}{line}  # guilty\n")
    assert explained.slugs == [SLUG]
    assert explained.first.summary == summary
    assert explained.codes[0] == code
    assert explained.line == explained.guilty


def test_a_module_that_holds_a_computed_tensor(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        START + "model = torch.nn.Linear(3, 3)\nmodel.cached = y\n"
        "del y\ntwin = copy.deepcopy(model)  # guilty\n",
    )
    assert explained.slugs == [SLUG]
    assert explained.first.summary == (
        "model was deep-copied, but it holds a tensor that was computed."
    )
    assert explained.codes[0] == "self.cached = cached.detach()"
    assert not any("clone()" in code for code in explained.codes)
    assert explained.line == explained.guilty


def test_a_warning_that_was_made_an_error_has_its_line(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        "import warnings\n"
        "warnings.simplefilter('error')\n"
        "loss = torch.randn(3, requires_grad=True).sum()\n"
        "total = float(loss)  # guilty\n",
    )
    assert explained.slugs == [SLUG]
    assert explained.first.summary == (
        "loss (f32[]) was made into a Python number, and no gradient flows through that."
    )
    assert explained.line == explained.guilty


@pytest.mark.parametrize(
    "program",
    [
        'raise RuntimeError("Can\'t call numpy() on Tensor that requires grad.")',
        "class Loss: ...\nLoss().backward()",
        "1.5.detach()",
        START + "torch.randn(2).conj().to(torch.complex64).conj().numpy().sum(axis=7)",
    ],
)
def test_other_failures_are_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


@pytest.mark.parametrize(
    "message",
    [
        "Can't call numpy() on Variable that requires grad. Use var.detach().numpy() instead.",
        (
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol "
            "at the moment"
        ),
        "Cowardly refusing to serialize non-leaf tensor which requires_grad",
    ],
)
def test_words_of_other_versions(message: str) -> None:
    assert LEAVES_AUTOGRAD.diagnose(Scene(Failure("RuntimeError", message))) is not None


def test_golden_numpy(tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}values = y.numpy()\n")
    assert told(explained.first) == dedent("""\
        y (f32[3]) requires a gradient, so it was not made into a NumPy array.

        Autograd does not follow what happens outside of PyTorch: the graph would end at
        numpy() without a word. PyTorch has you say that you mean it, with detach().

        - asked for by values = y.numpy() @4
        * To look at the values (print, plot, metric):
              y.detach().cpu().numpy()
        * If the result goes into the loss, stay in PyTorch: use the function of torch
        instead of the one of NumPy, or nothing before it gets a gradient.
        * In evaluation, make no graph at all.
              with torch.no_grad():
                  ...
        (certain, line 4)
        """)


def test_golden_item(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, f"{START}loss = y.sum().item()\nprint(loss)\nloss.backward()\n"
    )
    assert told(explained.first) == dedent("""\
        loss is a float and no tensor, so it has no backward(): item() gave a plain
        number.

        A Python number does not remember how it was computed. Only a tensor carries the
        graph that backward() goes through.

        - asked for by loss.backward() @6
        - loss was made by loss = y.sum().item() @4
        * Keep the tensor, and call backward() on it.
              loss = y.sum()
              loss.backward()
        * Take the number out only for printing.
              print(loss.item())
        (certain, line 4)
        """)
