from __future__ import annotations

import pytest
import torch
from torch import Tensor

import inspect_autograd as ia
from inspect_autograd.errors import InspectAutogradError
from inspect_autograd.events.records import Outcome


def make() -> tuple[Tensor, Tensor]:
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    return x, x.square().sum()


def test_what_is_noted() -> None:
    x, loss = make()
    with ia.trace(loss, params={"x": x}, stats="full") as trace:
        loss.backward()
    assert [trace.node_of(event).name for event in trace.events] == [
        "SumBackward0",
        "PowBackward0",
        "AccumulateGrad",
    ]
    total, power, leaf = trace.events
    assert [str(s) for s in (*total.received, *total.returned)] == ["f32[] |1|", "f32[2] |1.41|"]
    (gradient,) = power.returned  # 2·x is (6, 8).
    assert gradient is not None
    numbers = [gradient.l2, gradient.min, gradient.max, gradient.mean, gradient.zero_count]
    assert numbers == [10, 6, 8, 7, 0]
    assert leaf.received == power.returned
    assert leaf.returned == ()
    assert [e.order for e in trace.events] == [0, 1, 2]
    assert 0 <= total.start_ns <= power.start_ns <= leaf.start_ns
    assert all(e.duration_ns > 0 for e in trace.events)
    (parameter,) = trace.parameters
    assert (parameter.names, parameter.node, parameter.l2) == (("x",), leaf.node, 5.0)
    assert trace.threads == ("MainThread",)
    assert trace.stats_level == "full"
    assert trace.environment.torch_version == torch.__version__


def test_one_entry_for_gradients_that_are_one_tensor() -> None:
    x, y = (torch.ones(3, requires_grad=True) for _ in range(2))
    loss = (x + y).sum()
    with ia.trace(loss) as trace:
        loss.backward()
    # The 1, and the ones that the sum returns and the addition passes on twice.
    assert len(trace.data.table.stats) == 2


@pytest.mark.parametrize("level", ["meta", "basic", "full"])
def test_levels(level: str) -> None:
    x, loss = make()
    with ia.trace(loss, params={"x": x}, stats=level) as trace:  # type: ignore[arg-type]
        loss.backward()
    stats = trace.events[1].returned[0]
    assert stats is not None
    assert stats.meta.shape == (2,)
    assert (stats.l2 is None) == (level == "meta")
    assert (stats.mean is None) == (level != "full")
    assert (trace.parameters[0].l2 is None) == (level == "meta")


def test_looked_at_before_during_and_after() -> None:
    _, loss = make()
    with ia.trace(loss) as trace:
        assert (len(trace), trace.outcome) == (0, Outcome("nothing ran"))
        loss.backward(retain_graph=True)
        assert len(trace) == 3
        inside = trace.data
        loss.backward()
    assert len(trace) == 6
    assert len(inside.table) == 3  # What was taken out does not change any more.
    assert trace.data is trace.data


def test_for_one_block_only() -> None:
    _, loss = make()
    tracer = ia.trace(loss)
    with tracer:
        pass
    with pytest.raises(InspectAutogradError, match="entered already") as caught, tracer:
        pass
    assert "Call inspect_autograd.trace" in str(caught.value)


def test_kept() -> None:
    x, loss = make()
    with ia.trace(loss, params={"x": x}, keep="Pow*") as trace:
        loss.backward(retain_graph=True)
        loss.backward()
    assert list(trace.kept) == [1, 4]
    kept = trace.kept[1]
    assert [t.tolist() for t in (*kept.received, *kept.returned) if t is not None] == [
        [1.0, 1.0],
        [6.0, 8.0],
    ]


def test_kept_inside_the_block() -> None:
    x = torch.ones(2, requires_grad=True)
    loss = (x * 2).sum()
    with ia.trace(loss, keep="Mul*") as trace:
        assert trace.kept == {}
        loss.backward()
        inside = trace.kept[1].received[0]
    assert inside.tolist() == trace.kept[1].received[0].tolist() == [1.0, 1.0]


def test_kept_are_copies() -> None:
    x, loss = make()
    with ia.trace(loss, params={"x": x}, keep="x") as trace:
        loss.backward()
    assert x.grad is not None
    x.grad.zero_()
    (kept,) = trace.kept.values()
    assert [t.tolist() for t in kept.received if t is not None] == [[6.0, 8.0]]


def test_nodes_that_come_to_light_later_are_noted_and_kept() -> None:
    x, loss = make()
    with ia.trace(loss, params={"x": x}, keep="*Backward*") as trace:
        (loss * 2).backward()
    assert [n.name for n in trace.graph.nodes][3:] == ["MulBackward0"]
    assert [root.path for root in trace.graph.roots] == ["", "pass 0"]
    assert trace.node_of(trace.events[0]).name == "MulBackward0"
    assert sorted(trace.kept) == [0, 1, 2]


def test_evidence() -> None:
    x = torch.zeros(3, requires_grad=True)
    loss = x.sqrt().sum()
    with ia.trace(loss) as trace:
        loss.backward()
    (evidence,) = trace.evidence
    assert trace.node_of(trace.events[evidence.event]).name == "SqrtBackward0"
    assert evidence.rule == "sqrt-at-zero"


def test_note_of_other_passes() -> None:
    _, loss = make()
    others = [make()[1] for _ in range(2)]
    with ia.trace(loss) as trace:
        for other in others:
            other.backward()
        loss.backward()
    assert trace.notes == (
        "2 backward passes in this block ran over other graphs than the traced one",
    )
    assert len(trace.passes) == 1


def test_pass_that_begins_at_a_leaf() -> None:
    """It belongs to the trace where the leaf was what the trace was asked for."""
    x, loss = make()
    with ia.trace(loss, params={"x": x}) as trace:
        x.backward(torch.ones(2))
    assert (len(trace), trace.outcome.status) == (0, "nothing ran")
    with ia.trace(x, params={"x": x}) as trace:
        x.backward(torch.ones(2))
    assert [str(s) for s in trace.events[0].received] == ["f32[2] |1.41|"]
