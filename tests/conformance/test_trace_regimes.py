"""Traces among modes, transforms, compiled functions and unusual tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

import inspect_autograd as ia

from .reference import assert_same_bits
from .test_trace_contexts import EXP_SUM, exp_sum, names_of
from .ways_through_a_trace import leaves_no_trace

LEVELS = ["meta", "basic", "full"]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    with leaves_no_trace():
        yield


# -- modes of the user -------------------------------------------------------------------------


class SeesOperators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


class SeesFunctions(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


def passes_of_all_kinds(observe: str | None) -> None:
    model = nn.Linear(8, 8)
    y = model(torch.ones(9, 8)).tanh().square().sum()
    rows = nn.functional.embedding(torch.tensor([1, 2]), model.weight, sparse=True)
    loss = rows.mul(0).sqrt().sum() + y
    weights = list(model.parameters())

    def run() -> None:
        loss.backward(retain_graph=True)
        torch.autograd.grad(y, weights, create_graph=True)

    if observe is None:
        run()
        return
    with ia.trace(loss, params=model, stats=observe) as trace:  # type: ignore[arg-type]
        run()
    assert trace.notes == ()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mode_type", [SeesOperators, SeesFunctions])
def test_modes_do_not_see_us(mode_type: Any, level: str) -> None:
    modes = [mode_type(), mode_type()]
    for mode, observe in zip(modes, (None, level), strict=True):
        with mode:
            passes_of_all_kinds(observe)
    assert modes[0].seen
    assert modes[1].seen == modes[0].seen


class Wrapper(torch.Tensor):
    """A subclass that handles operators itself, and counts them."""

    calls: list[str] = []  # noqa: RUF012  it is cleared, not shared
    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Any:
        result: Wrapper = torch.Tensor._make_wrapper_subclass(cls, held.shape, dtype=held.dtype)
        result.held = held
        return result

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch calls it as a class method
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        cls.calls.append(str(func))
        args, kwargs = tree_map(lambda t: getattr(t, "held", t), (args, kwargs or {}))
        return tree_map(lambda t: cls(t) if isinstance(t, Tensor) else t, func(*args, **kwargs))

    def __repr__(self) -> str:  # type: ignore[override]
        self.calls.append("repr")
        return "Wrapper"


class Named(torch.Tensor):
    """A subclass that sees every function that it is given to."""

    calls: list[str] = []  # noqa: RUF012  it is cleared, not shared

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls.append(getattr(func, "__name__", str(func)))
        plain: Any = super().__torch_function__
        return plain(func, types, args, kwargs or {})


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("make", [Wrapper, lambda t: t.as_subclass(Named)], ids=["wraps", "named"])
def test_code_of_tensor_subclasses_is_not_run(make: Callable[[Tensor], Any], level: Any) -> None:
    def calls(observe: bool) -> list[str]:
        x = make(torch.ones(40)).requires_grad_()
        loss = (x * 2).exp().sum()
        type(x).calls.clear()
        if not observe:
            loss.backward()
        else:
            with ia.trace(loss, params={"x": x}, stats=level) as trace:
                loss.backward()
            assert trace.notes == ()
            assert len(trace) == len(trace.graph) >= 4
        return list(type(x).calls)

    expected = calls(observe=False)
    assert calls(observe=True) == expected
    assert expected


# -- kinds of tensors --------------------------------------------------------------------------


def trace_backward(loss: Tensor, level: Any = "full", **options: Any) -> ia.Trace:
    with ia.trace(loss, stats=level, **options) as trace:
        loss.backward()
    assert trace.outcome.status == "completed"
    assert trace.notes == ()
    return trace


def notes_of(trace: ia.Trace) -> set[str]:
    return {s.note for e in trace.events for s in (*e.received, *e.returned) if s is not None}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_types(dtype: torch.dtype) -> None:
    x = torch.full((4096,), 300.0, dtype=dtype, requires_grad=True)
    trace = trace_backward((x * x).sum())
    (leaf,) = trace.find("AccumulateGrad")
    assert leaf.received[0] is not None
    assert leaf.received[0].max == 600
    # 64 · 600; the sum of the squares does not fit into float16.
    assert leaf.received[0].l2 == pytest.approx(38400, rel=1e-5)
    assert leaf.received[0].mean == pytest.approx(600, rel=1e-5)


def test_complex() -> None:
    z = torch.full((40,), 3 + 4j, requires_grad=True)
    (leaf,) = trace_backward((z * z.conj()).real.sum()).find("AccumulateGrad")
    stats = leaf.received[0]
    assert stats is not None
    # The gradient of |z|² is 2·z.
    assert (stats.meta.dtype, stats.min, stats.max, stats.mean) == ("complex64", 6.0, 8.0, None)
    assert stats.l2 == pytest.approx(10 * 40**0.5)


def test_sparse() -> None:
    table = nn.Embedding(10, 3, sparse=True)
    loss = table(torch.tensor([1, 2, 2])).sum()
    (leaf,) = trace_backward(loss, params=table).find("weight")
    stats = leaf.received[0]
    assert stats is not None
    assert (stats.meta.shape, stats.meta.layout, stats.max) == ((10, 3), "sparse_coo", 2.0)
    assert stats.l2 == pytest.approx((3 * 1 + 3 * 4) ** 0.5)
    assert "stored" in stats.note


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_nested(level: Any) -> None:
    parts = [torch.ones(2, 3), torch.ones(4, 3)]
    jagged = torch.nested.nested_tensor(parts, layout=torch.jagged, requires_grad=True)
    (mul,) = trace_backward((jagged * 2).values().sum(), level).find("Mul*")
    assert mul.received[0] is not None
    shape = mul.received[0].meta.shape
    assert shape is not None
    assert shape[::2] == (2, 3)
    strided = torch.nested.nested_tensor(parts, requires_grad=True)
    loss = torch.nested.to_padded_tensor(strided * 2, 0.0).sum()
    (mul,) = trace_backward(loss, level).find("Mul*")
    assert mul.received[0] is not None
    assert (mul.received[0].meta.shape, mul.received[0].l2) == (None, None)


def test_tensors_without_values() -> None:
    meta = nn.Linear(3, 3, device="meta")
    trace = trace_backward(meta(torch.ones(2, 3, device="meta")).sum(), params=meta)
    assert notes_of(trace) == {"a tensor on the meta device has no elements"}
    assert {e.is_finite for e in trace.events} == {None}

    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = nn.Linear(3, 3)
        trace = trace_backward(fake(torch.ones(2, 3)).sum(), params=fake)
    assert all(s.l2 is None for e in trace.events for s in e.received if s is not None)


def test_autocast() -> None:
    model = nn.Linear(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.ones(2, 3)).sum()
    trace = trace_backward(loss, params=model)
    assert {str(s) for e in trace.find("ToCopy*") for s in e.received} == {
        "bf16[3] |3.46|",
        "bf16[3, 3] |6|",
    }
    assert [str(e.received[0]) for e in trace.find("bias")] == ["f32[3] |3.46|"]


# -- regimes of torch --------------------------------------------------------------------------


def test_function_transforms() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    inside: list[ia.Trace] = []

    def gradient_norm(v: Tensor) -> Tensor:
        loss = (v**3).sum()
        with ia.trace(loss, stats="full") as trace:
            (gradient,) = torch.autograd.grad(loss, v, create_graph=True)
        inside.append(trace)
        return gradient.sum()

    assert torch.func.grad(gradient_norm)(x).tolist() == [6.0, 12.0]
    assert names_of(inside[0]) == ["SumBackward0", "PowBackward0"]

    y = x.exp().sum()
    with ia.trace(y) as trace:
        torch.func.vmap(torch.func.grad(lambda v: (v**2).sum()))(torch.ones(3, 2))
        y.backward()
    assert names_of(trace) == EXP_SUM


@pytest.mark.parametrize("given", [False, True])
def test_anomaly_mode(given: bool) -> None:
    with torch.autograd.set_detect_anomaly(given):
        _, _, loss = exp_sum()
        assert names_of(trace_backward(loss)) == EXP_SUM


def test_deterministic_algorithms() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        x = torch.ones(40, requires_grad=True)
        trace = trace_backward(x.cumsum(0)[torch.tensor([1, 1, 2])].sum())
    finally:
        torch.use_deterministic_algorithms(False)
    assert trace.environment.settings["deterministic_algorithms"] is True


@pytest.mark.parametrize("level", LEVELS)
def test_inference_mode(level: Any) -> None:
    _, _, loss = exp_sum()
    with torch.inference_mode():
        assert names_of(trace_backward(loss, level)) == EXP_SUM


def test_large_batched_gradients() -> None:
    x = torch.ones(50, requires_grad=True)
    y = (x * 2).view(5, 10).t()
    with ia.trace(y, stats="full") as trace:
        torch.autograd.grad(y, x, torch.ones(3, 10, 5), is_grads_batched=True)
    assert trace.notes == ()


@pytest.mark.slow
def test_compiled_functions() -> None:
    model = nn.Linear(3, 3)

    def loss_of(x: Tensor) -> Tensor:
        loss: Tensor = model(x).relu().sum()
        return loss

    compiled = torch.compile(loss_of, backend="aot_eager")
    loss = compiled(torch.ones(2, 3))
    with ia.trace(loss, params=model) as trace:
        loss.backward()
    assert names_of(trace)[0] == "CompiledFunctionBackward"
    assert len(trace.find("weight")) == len(trace.find("bias")) == 1
    assert any("what happens inside" in note for note in trace.notes)


# Only where warnings are errors is this one seen at all: dynamo looks at what it is given.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.slow
def test_trace_inside_a_compiled_function() -> None:
    """Our functions are not compiled, neither those that the block calls nor the hooks."""
    from torch._dynamo.utils import counters

    model = nn.Linear(3, 3)

    @torch.compile(backend="eager")
    def step(x: Tensor) -> ia.Trace:
        loss = model(x).relu().sum()
        with ia.trace(loss, params=model, stats="full") as trace:
            loss.backward()
        return trace

    counters.clear()
    trace = step(torch.ones(20, 3))
    assert len(trace) == len(trace.graph) >= 5
    assert trace.outcome.status == "completed"
    # The pieces of the function, and what torch wraps them in; with the hooks it would be 146.
    assert 1 <= counters["frames"]["total"] <= 30


def test_distributed_data_parallel(tmp_path: Any) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = nn.parallel.DistributedDataParallel(nn.Linear(4, 2))
        x = torch.ones(3, 4)
        model(x).sum().backward()
        expected = [p.grad for p in model.parameters()]
        model.zero_grad()
        loss = model(x).sum()
        trace = trace_backward(loss, params=model.module)
        assert_same_bits([p.grad for p in model.parameters()], expected)
    finally:
        dist.destroy_process_group()
    assert {n for p in trace.parameters for n in p.names} == {"weight", "bias"}
    assert len(trace) == len(trace.graph)
