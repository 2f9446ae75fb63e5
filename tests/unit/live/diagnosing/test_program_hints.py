"""The code of the hints can be pasted into the program that they are about, and mends it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.diagnosis.model_code import member, optimizer_of_all
from inspect_autograd.diagnosis.records import Diagnosis
from tests.conformance.silent_programs import SILENT_PROGRAMS


def run_program(slug: str) -> dict[str, Any]:
    names: dict[str, Any] = {"torch": torch, "nn": nn, "ia": ia}
    with warnings.catch_warnings(action="ignore"):  # What is silent for PyTorch, or nearly so.
        exec(SILENT_PROGRAMS[slug][0], names)
    # Of a hint for the code of the model, `self` is the model.
    names["self"] = names.get("model")
    return names


def diagnose(names: dict[str, Any]) -> list[Diagnosis]:
    """With the objects that go by these names now."""
    given = {key: names.get(key, value) for key, value in names["diagnosed"].items()}
    if "params" in given:
        given["params"] = {name: names[name] for name in given["params"]}
        given.pop("loss", None)  # It was computed from what stood there before.
    return [*ia.diagnose(**given).diagnoses]


MENDED_BY_FIRST = (
    "create-graph-leak",
    "double-among-float",
    "integer-weight",
    "optimizer-stale",
    "parameter-frozen",
    "parameter-not-a-leaf",
    "parameter-not-in-optimizer",
    "parameter-unregistered",
)


@pytest.mark.parametrize("slug", MENDED_BY_FIRST)
def test_the_first_hint_mends_it(slug: str) -> None:
    names = run_program(slug)
    (found,) = diagnose(names)
    assert found.slug == slug
    exec(found.hints[0].code, names)
    assert diagnose(names) == []


@pytest.mark.parametrize("slug", SILENT_PROGRAMS)
def test_the_code_of_every_hint_runs(slug: str) -> None:
    (found,) = ia.diagnose(**run_program(slug)["diagnosed"]).diagnoses
    for hint in found.hints:
        if "..." in hint.code:  # The user's own lines are to stand there.
            compile(hint.code, "hint", "exec")
        else:
            exec(hint.code, with_other_names(run_program(slug)))


def with_other_names(names: dict[str, Any]) -> dict[str, Any]:
    """What a hint may take for granted."""
    weight = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    defaults = {"optimizer": optimizer, "model": nn.Linear(1, 1), "loss": weight.sum()}
    given = {"first": optimizer, "second": optimizer}
    state = {} if names["self"] is None else whole_state(names["self"])
    return {**defaults, **given, "state": state, **names}


def whole_state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.ones(value.shape) for name, value in model.state_dict().items()}


def test_what_is_missing_is_added_once() -> None:
    names = run_program("parameter-not-in-optimizer")
    (found,) = diagnose(names)
    exec(found.hints[1].code, names)
    held = [id(p) for group in names["optimizer"].param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, names["model"].parameters()))


def test_the_new_optimizer_keeps_the_learning_rate() -> None:
    names = run_program("parameter-not-in-optimizer")
    (found,) = diagnose(names)
    names["optimizer"].defaults["lr"] = 0.25
    exec(found.hints[0].code, names)
    assert names["optimizer"].param_groups[0]["lr"] == 0.25


def test_a_class_that_is_not_of_torch_has_its_own_name() -> None:
    assert optimizer_of_all(["Lion"]).startswith("optimizer = Lion(model.parameters(), ")
    assert optimizer_of_all(["AdamW"]).startswith("optimizer = torch.optim.AdamW(")


def test_every_optimizer_that_is_said_to_be_of_torch_is() -> None:
    from inspect_autograd.diagnosis.model_code import _OF_TORCH

    # Muon is newer than the oldest version of torch that is accepted.
    assert [name for name in _OF_TORCH if not hasattr(torch.optim, name)] == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("head.bias", "model.head.bias"),
        ("layers.3.bias", 'model.get_submodule("layers.3").bias'),
        ("layers.3", 'model.get_submodule("layers.3")'),
        ("a.class.b", 'model.get_submodule("a.class").b'),
    ],
)
def test_members(path: str, code: str) -> None:
    assert member(path) == code


def test_a_meta_module_alone_is_emptied() -> None:
    kept, empty = nn.Linear(2, 2), nn.Linear(2, 1, device="meta")
    before = kept.weight.clone()
    model = nn.Sequential(nn.Linear(2, 2), kept, empty)
    (found,) = ia.diagnose(model=model).diagnoses
    assert found.slug == "parameter-device"
    exec(found.hints[1].code, {"model": model})
    assert empty.weight.device.type == "cpu"
    assert torch.equal(kept.weight, before)


def test_a_dict_of_modules_becomes_a_module_dict() -> None:
    model: Any = nn.Module()
    model.parts = {"a": nn.Linear(2, 2)}
    model.factors = [nn.Parameter(torch.ones(2))]
    (found,) = ia.diagnose(model=model).diagnoses
    for hint in found.hints:
        exec(hint.code, {"self": model, "nn": nn})
    assert ia.diagnose(model=model).diagnoses == ()
    assert [name for name, _ in model.named_parameters()] == [
        "parts.a.weight",
        "parts.a.bias",
        "factors.0",
    ]
