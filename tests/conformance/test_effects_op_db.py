"""Cuts and writes of every operator in torch's own list, judged by its results and versions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Any

import pytest
import torch
from torch.testing._internal.common_methods_invocations import op_db

import inspect_autograd as ia
from inspect_autograd.live.recording.tensor_arguments import find_tensors

OPERATORS = [op for op in op_db if torch.float32 in op.dtypes]
SAMPLES = 2

NATIVE = (BuiltinFunctionType, MethodDescriptorType)
# Each result belongs to one argument, which itself has no graph.
NO_CUTS = ("atleast_", "broadcast_tensors", "meshgrid")


def samples_of(op: Any) -> Iterator[tuple[Any, tuple[Any, ...], dict[str, Any]]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, sample in enumerate(op.sample_inputs("cpu", torch.float32, requires_grad=True)):
            if number == SAMPLES:
                return
            yield sample.input, sample.args, sample.kwargs


def call(function: Any, args: Any, kwargs: Any) -> tuple[ia.Recording | None, Any]:
    """Record one call; None if it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with ia.record(stats="off", saved=False) as recording:
                result = function(*args, **kwargs)
        except Exception:
            return None, None
    assert recording.notes == ()
    return recording, result


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.formatted_name)
def test_cuts_of_every_operator(op: Any) -> None:
    for first, args, kwargs in samples_of(op):
        tensors = find_tensors((first, *args), kwargs)
        versions = [tensor._version for tensor in tensors]
        recording, result = call(op.op, (first, *args), kwargs)
        if recording is None:
            continue
        sources = [tensor for tensor in tensors if tensor.requires_grad]
        outputs = find_tensors((result,))
        bare = [output for output in outputs if not output.requires_grad]
        # Where other results have a graph, one of floating point is a helper such as a mean.
        is_cut = len(bare) == len(outputs) or any(not t.is_floating_point() for t in bare)
        if recording.cuts:
            assert sources
            assert is_cut or not isinstance(op.op, NATIVE)
            assert {cut.reason for cut in recording.cuts} == {"not differentiable"}
        elif sources and bare and is_cut and isinstance(op.op, NATIVE):
            assert op.name.startswith(NO_CUTS) or op.name.endswith("_like")
        if versions != [tensor._version for tensor in tensors]:
            assert recording.mutations


@pytest.mark.parametrize(
    "op", [op for op in OPERATORS if op.get_inplace()], ids=lambda op: op.formatted_name
)
def test_writes_of_every_operator_in_place(op: Any) -> None:
    for first, args, kwargs in samples_of(op):
        if not isinstance(first, torch.Tensor):
            continue
        x = first.detach().clone()
        before = x._version
        others = [arg.detach() if isinstance(arg, torch.Tensor) else arg for arg in args]
        recording, _ = call(op.get_inplace(), (x, *others), kwargs)
        if recording is not None:
            found = [(write.version_before, write.version_after) for write in recording.mutations]
            assert found == ([(before, x._version)] if x._version != before else [])
