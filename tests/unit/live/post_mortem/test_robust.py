"""explain changes nothing, keeps nothing alive, and never fails itself."""

import gc
import sys
import weakref
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentTypeError
from inspect_autograd.live.post_mortem import explain as explain_module
from tests.unit.live.post_mortem.failing import error_of, scene_of


class Strange:
    """Whatever is asked of it raises."""

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        raise SystemError(f"asked for {name}")

    def __repr__(self) -> str:
        raise SystemError("asked for its repr")

    def __eq__(self, other: object) -> bool:
        raise SystemError("compared")

    def __hash__(self) -> int:
        raise SystemError("hashed")

    def __bool__(self) -> bool:
        raise SystemError("asked for its truth")

    def __len__(self) -> int:
        raise SystemError("asked for its length")


class StrangeKind(type):
    """Even its class is strange."""

    def __eq__(cls, other: object) -> bool:
        raise SystemError("a class was compared")

    def __hash__(cls) -> int:
        raise SystemError("a class was hashed")

    def __instancecheck__(cls, instance: object) -> bool:
        raise SystemError("a class was asked for its instances")


class OwnTensor(torch.Tensor):
    calls = 0

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.calls += 1
        return super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]


def test_strange_variables_are_not_touched() -> None:
    def program() -> None:
        strange, kind = Strange(), StrangeKind("Kind", (), {})
        inside = [strange, kind(), {1: strange}]
        keys = {"a": strange, ("b", 1): torch.ones(1)}
        y = torch.ones(3, requires_grad=True) * 2
        _ = inside, keys
        y.backward()

    scene = scene_of(program)
    assert scene.user_frame is not None
    assert scene.user_frame.others["strange"] == "Strange"
    assert scene.user_frame.others["kind"] == "StrangeKind"
    assert 'keys[("b", 1)]' in str(list(scene.user_frame.tensors)).replace("'b'", '"b"')


def test_a_tensor_of_a_class_of_its_own_runs_no_code() -> None:
    def program() -> None:
        own = torch.ones(3).as_subclass(OwnTensor)
        y = torch.ones(3, requires_grad=True) * 2
        OwnTensor.calls = 0
        _ = own
        y.backward()

    error = error_of(program)
    scene = ia.explain(error).scene
    assert OwnTensor.calls == 0
    assert scene is not None
    assert scene.user_frame is not None
    assert scene.user_frame.tensors["own"].kind == "OwnTensor"


def test_fake_tensors_and_wrappers_of_function_transforms() -> None:
    def program() -> None:
        with FakeTensorMode():
            fake = torch.ones(3, requires_grad=True) * 2
            fake.backward()

    output = scene_of(program).output
    assert output is not None
    assert (output.kind, output.meta.shape) == ("FakeTensor", (3,))

    def inner(x: torch.Tensor) -> torch.Tensor:
        y = x.sum()
        y.backward()
        return y

    scene = scene_of(lambda: torch.vmap(torch.func.grad(inner))(torch.ones(2, 3)))
    assert scene.user_frame is not None
    assert set(scene.user_frame.tensors) == {"x", "y"}


def test_the_program_is_left_as_it_was() -> None:
    x = torch.ones(3, requires_grad=True)
    h = x.exp()
    y = h * h
    error = error_of(y.backward)
    before = (x._version, h._version, dict(vars(error)), error.__traceback__)
    ia.explain(error)
    assert (x._version, h._version, dict(vars(error)), error.__traceback__) == before
    assert torch.is_grad_enabled()
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 2 * h.detach() ** 2)


def test_a_report_keeps_nothing_alive() -> None:
    x = torch.ones(3, requires_grad=True)
    y = (x * 2).exp()
    alive = [weakref.ref(x), weakref.ref(y)]
    error: Exception | None = error_of(y.backward)
    gc.disable()
    try:
        report = ia.explain(error)  # type: ignore[arg-type]
        # A frame of a traceback is part of a cycle only if we make one.
        error = None
        del x, y
        assert [ref() for ref in alive] == [None, None]
    finally:
        gc.enable()
    assert "non-scalar" in str(report)


def test_variables_of_functions_that_still_run_are_not_kept() -> None:
    x: torch.Tensor | None = torch.ones(3, requires_grad=True)
    alive = weakref.ref(x)
    try:
        torch.ones(3, requires_grad=True).backward()
    except RuntimeError as error:
        ia.explain(error)
    x = None
    assert alive() is None


def test_a_fault_of_ours_becomes_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("ours")

    error = error_of(lambda: torch.ones(3, requires_grad=True).backward())
    monkeypatch.setattr(explain_module, "gather", broken)
    report = ia.explain(error)
    assert report.diagnoses == ()
    assert report.failure is not None
    assert report.failure.message == str(error)
    assert "inspect_autograd itself failed" in report.facts[0].text


def test_a_part_that_cannot_be_had_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    from inspect_autograd.live.post_mortem import gather as gather_module

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(gather_module, "describe_functions", broken)
    report = ia.explain(error_of(lambda: torch.ones(3, requires_grad=True).backward()))
    assert report.diagnoses
    assert report.scene is not None
    assert report.scene.notes == (
        "inspect_autograd failed to find custom Functions: ZeroDivisionError: ours",
    )


def test_only_an_exception_can_be_explained() -> None:
    with pytest.raises(ArgumentTypeError, match="error is of type str"):
        ia.explain("RuntimeError")  # type: ignore[arg-type]


def test_an_exception_whose_text_raises_and_a_very_deep_traceback() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise SystemError("no text")

    assert ia.explain(MuteError()).failure is not None

    def down(depth: int) -> None:
        down(depth + 1)

    error = error_of(lambda: down(0))
    assert isinstance(error, RecursionError)
    report = ia.explain(error)
    assert report.scene is not None
    assert len(report.scene.frames) <= min(sys.getrecursionlimit(), 400)


def test_a_deep_graph_dies_without_a_crash() -> None:
    def program() -> None:
        h = torch.ones(1, requires_grad=True)
        for _ in range(60_000):
            h = h + 1
        h.sum().backward(torch.ones(3))

    scene = scene_of(program)
    assert scene.graph is not None
    assert len(scene.graph) == 60_002
