"""What an exception carries out of the block of a recording or a trace."""

import pickle

import pytest
import torch

import inspect_autograd as ia
from tests.unit.live.post_mortem.failing import error_of, scene_of


def fail() -> None:
    y = torch.ones(3, requires_grad=True) * 2
    y.backward()


def test_a_recording_tells_the_lines_after_its_block() -> None:
    def program() -> None:
        with ia.record():
            fail()

    scene = scene_of(program)
    assert scene.recording is not None
    assert scene.output is not None
    assert scene.output.source is not None
    assert scene.output.source.function == "fail"
    assert scene.graph is not None
    assert scene.graph.nodes[0].source == scene.output.source
    assert scene.graph.scopes == "recorded"


def test_inside_the_block_too() -> None:
    with ia.record() as recording:
        scene = scene_of(fail)
    assert scene.recording is recording
    assert scene.output is not None
    assert scene.output.source is not None


def test_the_innermost_block_counts() -> None:
    inner: list[ia.Recording] = []

    def program() -> None:
        with ia.record(), ia.record() as recording:
            inner.append(recording)
            fail()

    assert scene_of(program).recording is inner[0]


def test_a_trace_is_carried_without_the_tensors_it_keeps() -> None:
    def program() -> None:
        x = torch.ones(3, requires_grad=True)
        loss = x.exp().sum()
        with ia.trace(loss, keep="Exp*"):
            loss.backward()
            raise ValueError("after the pass")

    trace = scene_of(program).trace
    assert trace is not None
    assert [event.node for event in trace.events] == [0, 1, 2]
    assert trace.kept == {}


def test_the_exception_passes_as_it_is() -> None:
    error = ValueError("one", 2)
    with pytest.raises(ValueError, match="one") as caught, ia.record():
        raise error
    assert caught.value is error
    assert error.args == ("one", 2)
    assert not hasattr(error, "__notes__")
    assert str(error) == "('one', 2)"


def test_it_can_still_be_sent_to_another_process() -> None:
    def program() -> None:
        with ia.record():
            fail()

    error = error_of(program)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args) == (type(error), error.args)
    assert ia.explain(copy).diagnoses  # Its message alone tells what it is.


def test_nothing_is_carried_where_nothing_fails() -> None:
    with ia.record() as recording:
        torch.ones(3, requires_grad=True).sum().backward()
    assert len(recording.traces) == 1
