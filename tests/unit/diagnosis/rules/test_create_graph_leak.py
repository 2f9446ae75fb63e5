"""create-graph-leak: only a warning, as an instance, as an error, or known to the scene."""

import warnings
from pathlib import Path

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.diagnosis.explain_scene import explain_scene
from inspect_autograd.diagnosis.records import Failure
from inspect_autograd.diagnosis.scene import Scene
from tests.unit.diagnosis.rules.programs import each_case, explain_program

SLUG = "create-graph-leak"


@each_case(SLUG)
def test_the_catalogue(tmp_path: Path, key: str, source: str) -> None:
    found = explain_program(tmp_path, source)
    assert isinstance(found.error, UserWarning)
    assert found.slugs == [SLUG]


def test_where_warnings_are_errors_the_line_is_known() -> None:
    x = torch.ones(3, requires_grad=True)
    cost = (x**2).sum()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning) as caught:
                cost.backward(create_graph=True)
    finally:
        torch.set_warn_always(False)
    first = ia.explain(caught.value).diagnoses[0]
    assert first.slug == SLUG
    assert first.summary.startswith("cost.backward(create_graph=True) leaves a gradient")
    assert first.hints[0].code == (
        "grads = torch.autograd.grad(cost, list(model.parameters()), create_graph=True)"
    )
    assert first.source is not None
    assert first.source.function == "test_where_warnings_are_errors_the_line_is_known"
    x.grad = None


def test_a_warning_that_the_scene_knows() -> None:
    text = "Using backward() with create_graph=True will create a reference\n cycle between …"
    warned = (("UserWarning", text),)
    other = Failure("RuntimeError", "shape '[7]' is invalid for input of size 3")
    assert not explain_scene(Scene(failure=other, warnings=warned)).diagnoses
    report = explain_scene(Scene(warnings=warned))
    assert [diagnosis.slug for diagnosis in report.diagnoses] == [SLUG]


@pytest.mark.parametrize("text", ["create_graph=True was given", "a reference cycle", ""])
def test_other_warnings(text: str) -> None:
    assert not explain_scene(Scene(warnings=(("UserWarning", text),))).diagnoses
    assert SLUG not in [d.slug for d in ia.explain(UserWarning(text)).diagnoses]
