from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError
from inspect_autograd.live.tracing.live_log import LOGGER, LiveLog, open_log
from inspect_autograd.live.tracing.passes import PassBook


def test_no_log_unless_asked_for() -> None:
    assert open_log(None) is None
    assert not LOGGER.isEnabledFor(logging.INFO)
    assert LiveLog.open(None, PassBook(), None, 0) is None


def test_log_for_the_logger_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=LOGGER.name)
    assert LiveLog.open(None, PassBook(), None, 0) is not None


@pytest.mark.parametrize("as_path", [False, True])
def test_file_is_replaced(tmp_path: Path, as_path: bool) -> None:
    path = tmp_path / "log with ümläut.jsonl"
    path.write_text("old")
    file = open_log(path if as_path else str(path))
    assert file is not None
    file.close()
    assert path.read_text() == ""


def test_path_that_is_no_file_name(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        open_log(tmp_path)
    assert (
        caught.value.message == f"log is {str(tmp_path)!r}, which is a folder; expected a file name"
    )
    with pytest.raises(ArgumentError, match="does not exist"):
        open_log(tmp_path / "no such folder" / "x.jsonl")


def test_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "x.jsonl"
    x = torch.ones(3, requires_grad=True)
    loss = (x * 2).sum()
    with ia.trace(loss, params={"x": x}, log=log) as trace:
        loss.backward()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1] == {
        "kind": "outcome",
        "status": "completed",
        "error": None,
        "message": None,
        "node": None,
    }
    assert [line["status"] for line in lines if line["kind"] == "outcome"] == ["completed"]
    # The pass is told of when it begins and when it ends.
    passes = [line["outcome"]["status"] for line in lines if line["kind"] == "pass"]
    assert passes == ["running", "completed"]
    assert len(trace) == sum(line["kind"] == "event" for line in lines)


def test_names_of_nodes_that_came_later(tmp_path: Path) -> None:
    log = tmp_path / "x.jsonl"
    x = torch.ones(3, requires_grad=True)
    loss = (x * 2).sum()
    with ia.trace(loss, log=log):
        loss.exp().backward()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    names = [line["name"] for line in lines if line["kind"] == "event"]
    assert names == ["ExpBackward0", "SumBackward0", "MulBackward0", "AccumulateGrad"]


def test_parameters_that_came_later(tmp_path: Path) -> None:
    log = tmp_path / "x.jsonl"
    x, y = (torch.ones(3, requires_grad=True) for _ in range(2))
    loss = (x * 2).sum()
    with ia.trace(loss, log=log) as trace:
        (loss * y).sum().backward()
    assert len(trace.parameters) == 2
    assert ia.load(log, ia.Trace).parameters == trace.parameters
