"""`--pass`: numbers that a trace has, and those that it has not."""

import argparse
from pathlib import Path

import pytest

import inspect_autograd as ia
from inspect_autograd.cli.result import UsageError
from inspect_autograd.cli.trace_pass import check_pass, pass_id


def test_numbers() -> None:
    assert [pass_id("0"), pass_id("12")] == [0, 12]
    for text in ("-1", "x", "", "1.0", "²"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not the number of a pass"):
            pass_id(text)


def test_a_pass_that_is_there(trace_file: Path, two_passes: Path) -> None:
    for path, ids in ((trace_file, (None, 0)), (two_passes, (None, 0, 1))):
        for id in ids:
            check_pass(ia.load(path, ia.Trace), id)


def test_a_pass_that_is_not_there(trace_file: Path, two_passes: Path) -> None:
    for path, id, message in (
        (trace_file, 1, "--pass is 1, but this trace has pass 0 only"),
        (two_passes, 2, "--pass is 2, but this trace has the passes 0 to 1"),
    ):
        with pytest.raises(UsageError) as caught:
            check_pass(ia.load(path, ia.Trace), id)
        assert caught.value.message == message
        assert caught.value.remedy
