"""check_vjp finds no fault with PyTorch's own operators.

`op_db` is what PyTorch tests its autograd formulas with, by finite differences of its own. So
what check_vjp calls wrong here would be a fault of check_vjp.
"""

from __future__ import annotations

import warnings
from itertools import islice
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from inspect_autograd.live.vjp import check_vjp

with warnings.catch_warnings():
    # What this module of torch's tests imports, scipy among it, may be too new for it.
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_methods_invocations import op_db

SAMPLES = 2
GROUPS = 4

DTYPES = {torch.float64: 0.75, torch.float32: 0.75, torch.complex128: 0.75}
"""The least part of all nodes that must turn out right; the others must say why not."""


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("group", range(GROUPS))
def test_no_operator_is_called_wrong(dtype: torch.dtype, group: int) -> None:
    operators = [op for op in op_db if dtype in op.supported_backward_dtypes("cpu")]
    wrong: list[str] = []
    right = 0
    total = 0
    for op in operators[group::GROUPS]:
        for sample in samples_of(op, dtype):
            report = check_sample(op, sample)
            if report is None:
                continue
            wrong += [f"{op.full_name}: {check.label}: {check.diagnosis}" for check in report.wrong]
            right += len(report.right)
            total += len(report.checks)
            assert all(check.reason for check in report.not_checked)
    assert wrong == []
    assert right > DTYPES[dtype] * total
    assert total > 200


def samples_of(op: Any, dtype: torch.dtype) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Some kinds of tensors are in a beta state.
        return list(islice(op.sample_inputs("cpu", dtype, requires_grad=True), SAMPLES))


def check_sample(op: Any, sample: Any) -> Any:
    def run() -> list[torch.Tensor]:
        torch.manual_seed(0)
        outputs = tree_leaves(op(sample.input, *sample.args, **sample.kwargs))
        return [t for t in outputs if isinstance(t, torch.Tensor) and t.requires_grad]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Some operators are deprecated.
        return check_vjp(run, max_elements=200) if run() else None
