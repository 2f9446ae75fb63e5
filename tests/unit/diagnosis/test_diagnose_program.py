"""How the rules about programs are asked, on facts made up for it."""

from typing import Any

import pytest

from inspect_autograd.diagnosis.diagnose_program import diagnose_program
from inspect_autograd.diagnosis.program_facts import ParameterFacts, ProgramFacts
from inspect_autograd.diagnosis.program_rule import ProgramRule, group_names, list_names
from inspect_autograd.diagnosis.program_rules import PROGRAM_RULES
from inspect_autograd.diagnosis.records import Certainty, Diagnosis
from inspect_autograd.graph.tensor_meta import TensorMeta

META = TensorMeta((3,), "float32")


def rule(slug: str, certainty: Certainty) -> ProgramRule:
    return ProgramRule(slug, slug, lambda _: Diagnosis(slug, slug, "", certainty=certainty))


def fail(_: ProgramFacts) -> Any:
    raise ZeroDivisionError("by zero")


def test_what_is_predicted_comes_first_and_then_the_most_certain() -> None:
    rules = [rule("a", "possible"), rule("b", "certain"), rule("c", "likely"), rule("d", "certain")]
    report = diagnose_program(ProgramFacts(), [Diagnosis("z", "", "")], rules)
    assert [d.slug for d in report.diagnoses] == ["z", "b", "d", "c", "a"]


def test_a_rule_that_fails_itself_is_said() -> None:
    rules = [ProgramRule("broken", "", fail), rule("fine", "certain")]
    report = diagnose_program(ProgramFacts(), (), rules)
    assert [d.slug for d in report.diagnoses] == ["fine"]
    (fact,) = report.facts
    assert fact.text == (
        "the rule broken failed itself (ZeroDivisionError: by zero), which is a fault of "
        "inspect_autograd"
    )


def test_no_rule_has_anything_to_say_of_no_facts() -> None:
    report = diagnose_program(ProgramFacts())
    assert (report.diagnoses, report.facts) == ((), ())


@pytest.mark.parametrize("one", PROGRAM_RULES, ids=lambda one: one.slug)
def test_every_rule_has_its_page(one: ProgramRule, request: pytest.FixtureRequest) -> None:
    page = request.config.rootpath / "docs" / "rules" / f"{one.slug}.md"
    assert page.read_text(encoding="utf-8").startswith(f"# {one.slug}\n")


def facts(*names: str) -> list[ParameterFacts]:
    return [ParameterFacts((name,), META) for name in names]


def test_whole_modules_are_named_instead_of_their_parameters() -> None:
    everything = facts("a.x.w", "a.x.b", "a.y.w", "b.w", "c.w", "c.b")
    assert group_names(everything[:2], everything) == ["a.x (2 parameters)"]
    assert group_names(everything[:3], everything) == ["a (3 parameters)"]
    assert group_names([everything[0], everything[3]], everything) == ["a.x.w", "b.w"]


def test_lists_of_names() -> None:
    assert list_names(["a"]) == "a"
    assert list_names(["a", "b", "c"]) == "a, b and c"
    assert list_names(list("abcdef")) == "a, b, c, d and 2 more"


def test_parameters_of_two_kinds_of_device() -> None:
    there, here = TensorMeta((3,), "float32", "cuda:0"), META
    two = ProgramFacts(
        (ParameterFacts(("a",), there), ParameterFacts(("b",), there), ParameterFacts(("c",), here))
    )
    (found,) = diagnose_program(two).diagnoses
    assert (found.slug, found.certainty) == ("parameter-device", "likely")
    assert found.summary == "1 tensor of the model is on cpu, while most are on cuda: c."
    other = TensorMeta((3,), "float32", "cuda:1")
    split = ProgramFacts((ParameterFacts(("a",), there), ParameterFacts(("b",), other)))
    assert diagnose_program(split).diagnoses == ()
