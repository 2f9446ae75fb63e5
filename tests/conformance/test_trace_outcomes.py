"""How a trace ends: errors pass through untouched, and a log tells what a trace tells."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia
from inspect_autograd.events.records import Outcome

from .test_trace_contexts import EXP_SUM, exp_sum, names_of
from .ways_through_a_trace import leaves_no_trace


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    with leaves_no_trace():
        yield


# -- errors ------------------------------------------------------------------------------------


class MyError(Exception):
    pass


@pytest.mark.parametrize("error_type", [MyError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("where", ["tensor hook", "node hook", "block"])
def test_exception_passes_through(error_type: type[BaseException], where: str) -> None:
    _, y, loss = exp_sum()
    error = error_type("mine")
    error.add_note("a note of mine")

    def fail(*_: Any) -> None:
        raise error

    assert y.grad_fn is not None
    if where == "tensor hook":
        y.register_hook(fail)
    elif where == "node hook":
        y.grad_fn.register_hook(fail)

    def run() -> None:
        loss.backward()
        fail()

    with pytest.raises(error_type) as caught, ia.trace(loss) as trace:
        run()
    assert caught.value is error
    assert error.__notes__ == ["a note of mine"]
    assert (error.__cause__, error.__context__) == (None, None)
    # The hooks of a tensor run before its node does; those of a node while it is running.
    node = {"tensor hook": None, "node hook": 1, "block": None}[where]
    assert trace.outcome == Outcome("raised", error_type.__name__, "mine", node)
    assert names_of(trace) == (EXP_SUM if where == "block" else EXP_SUM[:1])
    assert trace.passes[0].outcome == (Outcome("completed") if where == "block" else trace.outcome)


def backward_twice(loss: Tensor) -> None:
    for _ in range(2):
        loss.backward()


def test_error_of_the_engine() -> None:
    _, _, loss = exp_sum()
    with pytest.raises(RuntimeError, match="a second time") as caught, ia.trace(loss) as trace:
        backward_twice(loss)
    assert trace.outcome == Outcome("raised", "RuntimeError", str(caught.value), 1)
    assert [p.outcome.status for p in trace.passes] == ["completed", "raised"]
    assert names_of(trace, 0) == EXP_SUM
    assert names_of(trace, 1) == EXP_SUM[:1]


def test_error_before_the_engine_is_called() -> None:
    _, y, _ = exp_sum()
    with pytest.raises(RuntimeError, match="only for scalar outputs"), ia.trace(y) as trace:
        y.backward()
    assert (trace.outcome.status, trace.outcome.node) == ("raised", None)
    assert trace.passes == ()


def test_error_that_the_block_handles() -> None:
    _, y, loss = exp_sum()
    handle = y.register_hook(lambda gradient: 1 // 0)
    with ia.trace(loss) as trace:
        with pytest.raises(ZeroDivisionError):
            loss.backward()
        handle.remove()
        loss.backward(retain_graph=True)
    assert trace.outcome == Outcome("completed")
    assert [p.outcome.error for p in trace.passes] == ["ZeroDivisionError", None]
    assert names_of(trace, 1) == EXP_SUM


def test_error_inside_a_reentrant_pass() -> None:
    x = torch.ones(3, requires_grad=True)

    def inner(y: Tensor) -> Tensor:
        z = y.exp()
        if torch.is_grad_enabled():  # Only when it is computed again.
            assert z.grad_fn is not None
            z.grad_fn.register_hook(lambda returned, received: 1 // 0)
        return z

    loss = checkpoint(inner, x * 1, use_reentrant=True).sum()
    with pytest.raises(ZeroDivisionError), ia.trace(loss) as trace:
        loss.backward()
    assert [p.outcome.status for p in trace.passes] == ["raised", "raised"]
    assert trace.outcome.node is not None
    assert trace.graph.nodes[trace.outcome.node].name == "ExpBackward0"


def test_error_of_a_pass_inside_that_was_handled() -> None:
    class RunsAnother(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor) -> Tensor:
            with torch.enable_grad():
                y = torch.ones(2, requires_grad=True) * 2
                total = y.sum()
            y.register_hook(lambda gradient: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                total.backward()
            return gradients[0]

    x = torch.ones(3, requires_grad=True)
    y = x.exp()
    assert y.grad_fn is not None
    y.grad_fn.register_hook(lambda returned, received: int("x"))
    loss = RunsAnother.apply(y).sum()  # type: ignore[no-untyped-call]
    with pytest.raises(ValueError, match="invalid literal"), ia.trace(loss) as trace:
        loss.backward()
    assert [p.outcome.error for p in trace.passes] == ["ValueError", "ZeroDivisionError"]
    assert trace.outcome.error == "ValueError"
    assert trace.outcome.node is not None
    assert trace.graph.nodes[trace.outcome.node].name == "ExpBackward0"


def test_what_runs_is_running() -> None:
    _, y, loss = exp_sum()
    seen: list[tuple[str, int]] = []
    with ia.trace(loss) as trace:
        y.register_hook(lambda gradient: seen.append((trace.outcome.status, len(trace))))
        loss.backward()
    assert seen == [("running", 1)]
    assert trace.outcome.status == "completed"


# -- the log -----------------------------------------------------------------------------------


def checkpointed(params: dict[str, Tensor]) -> Tensor:
    model = nn.Linear(3, 3)
    params.update(model.named_parameters())
    x = torch.ones(2, 3, requires_grad=True)
    loss: Tensor = checkpoint(lambda y: model(y).tanh(), x, use_reentrant=True).sum()
    return loss


def embedded(params: dict[str, Tensor]) -> Tensor:
    table = nn.Embedding(10, 3, sparse=True)
    params.update(table.named_parameters())
    loss: Tensor = table(torch.tensor([1, 2, 2])).square().sum()
    return loss


def not_finite(params: dict[str, Tensor]) -> Tensor:
    params["x"] = torch.zeros(3, requires_grad=True)
    return params["x"].sqrt().sum()


PROGRAMS = [checkpointed, embedded, not_finite]


@pytest.mark.parametrize("level", ["meta", "basic", "full"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_log_is_the_trace(program: Any, level: Any, tmp_path: Path) -> None:
    params: dict[str, Tensor] = {}
    loss = program(params)
    log = tmp_path / "trace.jsonl"
    log.write_text("what was there before")
    with ia.trace(loss, params=params, stats=level, log=log) as trace:
        (loss * 2).backward()
    loaded = ia.load(log, ia.Trace)
    assert list(map(repr, loaded.events)) == list(map(repr, trace.events))
    assert loaded == trace
    assert (len(trace.evidence) > 0) == (program is not_finite and level != "meta")


def test_log_of_several_passes_and_an_error(tmp_path: Path) -> None:
    x, _, loss = exp_sum()
    log = tmp_path / "trace.jsonl"

    def run() -> None:
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        thread = threading.Thread(target=gradient.sum().backward, kwargs={"retain_graph": True})
        thread.start()
        thread.join()
        backward_twice(loss)

    with (
        pytest.raises(RuntimeError, match="a second time"),
        ia.trace(loss, params={"x": x}, log=log) as trace,
    ):
        run()
    loaded = ia.load(log, ia.Trace)
    assert len(loaded.passes) == 4
    assert loaded == trace


def test_lines_of_a_log(tmp_path: Path) -> None:
    x, _, loss = exp_sum()
    log = tmp_path / "trace.jsonl"
    with ia.trace(loss, params={"x": x}, log=log):
        before = log.read_text().splitlines()
        loss.backward()
        # Every line is there at once, and is JSON of its own.
        after = log.read_text().splitlines()
    kinds = [json.loads(line)["kind"] for line in after[len(before) :]]
    assert kinds == ["pass", "event", "event", "event", "pass"]
    assert json.loads(after[0])["kind"] == "header"
    event = json.loads(after[len(before) + 2])
    assert (event["order"], event["name"]) == (1, "ExpBackward0")
    assert event["received"][0]["shape"] == [2]
    assert event["received"][0]["l2"] == pytest.approx(2**0.5)


KILLED = """
import os, signal, torch
import inspect_autograd as ia
x = torch.ones(40, requires_grad=True)
y, made = x, []
for _ in range(10):
    y = y * 2.0
    made.append(y)
made[4].register_hook(lambda gradient: os.kill(os.getpid(), signal.SIGKILL))
loss = y.sum()
with ia.trace(loss, log={log!r}, params={{"x": x}}):
    loss.backward()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_log_of_a_killed_process(tmp_path: Path) -> None:
    log = tmp_path / "trace.jsonl"
    program = KILLED.format(log=str(log))
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert done.returncode == -9
    trace = ia.load(log, ia.Trace)
    # The sum, and those of the products that come before the fifth.
    assert names_of(trace) == ["SumBackward0"] + ["MulBackward0"] * 5
    norms = [event.returned[0].l2 for event in trace.events if event.returned[0]]
    assert norms == pytest.approx([40**0.5 * 2**i for i in range(6)])
    assert trace.outcome.status == "running"
    assert trace.notes != ()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_full_disk(tmp_path: Path) -> None:
    x, _, loss = exp_sum()
    tracer = ia.trace(loss, log=tmp_path / "trace.jsonl")
    with Path("/dev/full").open("w") as full, suppress(OSError):
        with tracer as trace:
            log: Any = tracer._log
            log._file.close()
            log._file = full  # The disk is full from now on.
            loss.backward()
        assert x.grad is not None
        assert names_of(trace) == EXP_SUM
        assert any("No space left" in note for note in trace.notes)
        assert any("log is not complete" in note for note in trace.notes)

    expected = "log is '/dev/full', which cannot be written: No space left"
    with pytest.raises(ia.InspectAutogradError, match=expected), ia.trace(loss, log="/dev/full"):
        pass


# -- the logger --------------------------------------------------------------------------------


def test_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="inspect_autograd.trace")
    x = torch.full((4,), 7.0, requires_grad=True)
    factor = torch.full((), 2.0, requires_grad=True)
    loss = factor * x.sum()
    with ia.trace(loss, params={"x": x}):
        loss.backward()
    assert {record.name for record in caplog.records} == {"inspect_autograd.trace"}
    messages = [record.getMessage() for record in caplog.records]
    assert messages[1] == "0  MulBackward0  receives f32[] |1|  returns f32[] |28|, f32[] |2|"
    assert "3  x  receives f32[4] |4|  returns nothing" in messages
    assert messages[0].startswith("backward pass 0, test_trace_outcomes.py:")
    assert messages[0].endswith(": begins")
    assert messages[-1].endswith(": completed")


def test_logger_is_silent_by_default(caplog: pytest.LogCaptureFixture) -> None:
    _, _, loss = exp_sum()
    with ia.trace(loss):
        loss.backward()
    assert caplog.records == []
