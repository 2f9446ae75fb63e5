"""non-finite-gradient: from what a trace or a recording saw, or from anomaly mode."""

from pathlib import Path
from typing import Literal

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.explain_scene import explain_scene
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import either_way, explain_program

SLUG = "non-finite-gradient"

WHERE = """
x = torch.zeros(3, requires_grad=True)
root = x.sqrt()  # guilty
y = torch.where(x > 0, root, torch.zeros(())).sum()
"""
NORM = """
x = torch.zeros(3, requires_grad=True)
squares = x.pow(2).sum()
y = squares.sqrt()  # guilty
"""
CHECKED = """
with ia.trace(y, stats="basic", params={"x": x}):
    y.backward()
    assert torch.isfinite(x.grad).all()
"""


def slugs(scene: Scene) -> list[str]:
    return [diagnosis.slug for diagnosis in explain_scene(scene).diagnoses]


def traced(
    x: torch.Tensor, y: torch.Tensor, stats: Literal["meta", "basic", "full"] = "basic"
) -> ia.Trace:
    with ia.trace(y, stats=stats, params={"x": x}) as trace:
        y.backward()
    return trace


@pytest.mark.parametrize("stats", ["basic", "full"])
def test_a_trace_without_a_failure(stats: Literal["basic", "full"]) -> None:
    x = torch.zeros(3, requires_grad=True)
    trace = traced(x, torch.where(x > 0, x.sqrt(), torch.zeros(())).sum(), stats)
    (first,) = explain_scene(Scene(trace=trace)).diagnoses
    assert first.slug == SLUG
    assert first.summary.startswith("NaN was born at #")
    assert "SqrtBackward0" in first.summary
    assert first.summary.endswith("and reached x.")
    assert first.certainty == "certain"


def test_of_a_recording(tmp_path: Path) -> None:
    x = torch.zeros(3, requires_grad=True)
    with ia.record(params={"x": x}, stats="basic") as recording:
        x.pow(2).sum().sqrt().backward()
    (first,) = explain_scene(Scene(recording=recording)).diagnoses
    assert first.slug == SLUG
    assert first.source is not None
    assert first.source.file == __file__


@pytest.mark.parametrize(("program", "born"), [(WHERE, "NaN"), (NORM, "Inf")])
def test_the_users_own_check(tmp_path: Path, program: str, born: str) -> None:
    found = explain_program(tmp_path, program + CHECKED, record=True)
    assert found.slugs == [SLUG]
    assert found.first.summary.startswith(f"{born} was born at #")
    assert found.first.certainty == "likely"


@either_way
def test_anomaly_mode(tmp_path: Path, record: bool) -> None:
    source = """
    x = torch.zeros(3, requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        y = x.pow(2).sum().sqrt()  # guilty
        y.backward()
    """
    found = explain_program(tmp_path, source, record=record)
    assert found.slugs == [SLUG]
    assert found.first.summary.startswith("The backward pass from y came to NaN: PowBackward0")
    assert found.codes[0].startswith("with inspect_autograd.trace(y, stats='basic') as trace:")
    assert found.line == (found.guilty if record else None)


def test_what_is_finite_or_unknown() -> None:
    x = torch.ones(3, requires_grad=True)
    assert slugs(Scene(trace=traced(x, x.sqrt().sum()))) == []
    y = torch.zeros(3, requires_grad=True)
    assert slugs(Scene(trace=traced(y, y.sqrt().sum(), "meta"))) == []
    assert slugs(Scene()) == []


@pytest.mark.parametrize(
    "failure",
    ["raise KeyError('weight')", "assert x.grad.shape == (4,)", "raise RuntimeError('Function f')"],
)
def test_other_failures_with_a_trace_at_hand(tmp_path: Path, failure: str) -> None:
    program = NORM + CHECKED.replace("assert torch.isfinite(x.grad).all()", failure)
    assert SLUG not in explain_program(tmp_path, program).slugs
