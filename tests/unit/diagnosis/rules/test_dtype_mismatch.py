"""An operation got tensors of different dtypes."""

from pathlib import Path
from textwrap import dedent

import pytest

from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.rules.dtype_mismatch import DTYPE_MISMATCH
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program
from tests.unit.diagnosis.rules.told import told

SLUG = "dtype-mismatch"
START = (
    "import torch.nn.functional as F\n"
    "a = torch.rand(2, 2, requires_grad=True)\n"
    "d = torch.rand(2, 2, dtype=torch.double)\n"
)


@each_case(SLUG)
def test_the_catalogue(key: str, source: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, source)
    assert explained.slugs == [SLUG]
    assert explained.line == 1


@pytest.mark.parametrize(
    "expression",
    [
        "torch.mm(a, d)",
        "torch.mv(a, d[0])",
        "torch.dot(a[0], d[0])",
        "torch.bmm(a[None], d[None])",
        "torch.einsum('ij,jk->ik', a, d)",
        "torch.linalg.solve(a, d)",
        "torch.addmm(a, a, d)",
        "a.clone().index_add_(0, torch.tensor([0]), d[:1])",
        "a.index_put((torch.tensor([0]),), d[0])",
        "a.scatter(0, torch.zeros(2, 2, dtype=torch.long), d)",
        "F.linear(a, d)",
        "F.scaled_dot_product_attention(a[None], d[None], d[None])",
        "F.layer_norm(d, (2,), torch.ones(2))",
        "F.cross_entropy(a, d[:, 0])",
        "F.binary_cross_entropy(a, torch.ones(2, 2, dtype=torch.long))",
        "torch.nn.Linear(2, 2)(d)",
        "torch.nn.Conv1d(2, 2, 1)(d)",
        "torch.nn.LSTM(2, 2)(d)",
        "torch.nn.BatchNorm1d(2)(d)",
        "torch.nn.Linear(2, 2)(torch.ones(2, 2, dtype=torch.long))",
    ],
)
def test_operations(expression: str, tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}r = {expression}  # guilty\n")
    assert explained.slugs == [SLUG]
    assert explained.line == explained.guilty
    assert explained.codes


def test_both_tensors_are_named(tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}r = a @ d\n")
    assert explained.first.summary == (
        "a (f32[2, 2]) and d (f64[2, 2]) have different dtypes, and a matrix product does not "
        "convert them."
    )
    assert explained.codes[0] == "d = d.to(a.dtype)"


def test_the_input_of_a_model(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, f"{START}model = torch.nn.Linear(2, 2)\nr = model(d)  # guilty\n"
    )
    assert explained.codes[0] == "d = d.to(torch.float32)"
    assert explained.has("d (f64[2, 2]) is of dtype float64")


def test_the_dtype_of_a_target(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, f"{START}y = torch.zeros(2)\nF.nll_loss(a, y)  # guilty\n"
    )
    assert explained.first.summary == (
        "y (f32[2]) is of dtype float32, and the loss needs class numbers of dtype int64."
    )
    assert explained.codes[0] == "y = y.long()"
    assert explained.line == explained.guilty


def test_a_model_of_another_dtype(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path, f"{START}net = torch.nn.Linear(2, 2).half()\nx = torch.ones(2)\nnet(x)\n"
    )
    assert explained.first.summary == (
        "net() got tensors of different dtypes (float32 and float16)."
    )
    assert explained.codes[0] == "x = x.to(torch.float16)"


def test_half(tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}r = a @ d.half()  # guilty\n")
    assert "torch.autocast" in "".join(explained.codes)


def test_a_target_in_the_backward_pass(tmp_path: Path) -> None:
    explained = explain_program(
        tmp_path,
        f"{START}target = torch.ones(2, 2, dtype=torch.long)\n"
        "F.binary_cross_entropy(a, target).backward()\n",
    )
    assert explained.codes == ["target = target.float()", "target = target.long()"]


@pytest.mark.parametrize(
    "program",
    [
        "raise RuntimeError('expected m1 and m2 to have the same dtype, but got: float != double')",
        START + "a @ torch.ones(3, 3)",
        START + "torch.cat([a, None])",
    ],
)
def test_other_failures_are_left_alone(program: str, tmp_path: Path) -> None:
    assert SLUG not in explain_program(tmp_path, program).slugs


@pytest.mark.parametrize(
    ("message", "applies"),
    [
        (
            (
                "Input type (torch.FloatTensor) and weight type (torch.cuda.FloatTensor) "
                "should be the same"
            ),
            False,
        ),
        (
            (
                "Input type (torch.cuda.HalfTensor) and weight type (torch.cuda.FloatTensor) "
                "should be the same"
            ),
            True,
        ),
        ("Input type (c10::Half) and bias type (float) should be the same", True),
        ("expected scalar type Long but found Float", True),
        ("mat1 and mat2 must have the same dtype, but got BFloat16 and Float", True),
        ("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)", False),
        ("expected all tensors to be on the same device, but found cuda:0 and cpu", False),
    ],
)
def test_the_text_alone(message: str, applies: bool) -> None:
    diagnosis = DTYPE_MISMATCH.diagnose(Scene(Failure("RuntimeError", message)))
    assert (diagnosis is not None) == applies


def test_golden(tmp_path: Path) -> None:
    explained = explain_program(tmp_path, f"{START}r = a @ d\n")
    assert told(explained.first) == dedent("""\
        a (f32[2, 2]) and d (f64[2, 2]) have different dtypes, and a matrix product does
        not convert them.

        Sums and products of elements are computed in the larger of two dtypes, but
        matrix products, convolutions and most losses need one dtype. Often float64
        comes from NumPy, and int64 from labels or from a list of whole numbers.

        - a (f32[2, 2]) is of dtype float32
        - d (f64[2, 2]) is of dtype float64
        - in r = a @ d @4
        * Convert one of them.
              d = d.to(a.dtype)
        * Or convert where it comes in: NumPy computes in float64.
              d = torch.from_numpy(array).float()
        * Or bring the whole model to the dtype of its input.
              model = model.to(x.dtype)
        (certain, line 4)
        """)
