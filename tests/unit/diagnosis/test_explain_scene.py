"""What becomes of what the rules say: order, one cause once, and rules that fail themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from inspect_autograd.diagnosis.explain_scene import explain_scene
from inspect_autograd.diagnosis.records import Diagnosis, Failure
from inspect_autograd.diagnosis.rule import Rule
from inspect_autograd.diagnosis.rules import RULES
from inspect_autograd.diagnosis.scene import CallFacts, FrameFacts, Scene
from inspect_autograd.graph.creation import SourceLine

LINE = SourceLine("train.py", 3, "f")
SCENE = Scene(failure=Failure("RuntimeError", "no", LINE), frames=(FrameFacts(LINE, "", "user"),))


def says(slug: str, certainty: Any = "certain", line: int | None = None) -> Rule:
    source = None if line is None else SourceLine("train.py", line, "f")
    return Rule(slug, slug, lambda _: Diagnosis(slug, slug, "", (), (), certainty, source))


def fails(error: BaseException) -> Rule:
    def diagnose(scene: Scene) -> Diagnosis | None:
        raise error

    return Rule("broken", "broken", diagnose)


def slugs(*rules: Rule) -> list[str]:
    return [diagnosis.slug for diagnosis in explain_scene(SCENE, rules).diagnoses]


def test_the_most_certain_comes_first_and_among_equals_the_first_rule() -> None:
    rules = says("a", "possible"), says("b", "likely"), says("c", "possible"), says("d", "likely")
    assert slugs(*rules) == ["b", "d", "a", "c"]


def test_where_something_is_certain_nothing_else_is_left() -> None:
    assert slugs(says("a", "possible"), says("b"), says("c", "likely"), says("d")) == ["b"]


def test_one_slug_is_said_once() -> None:
    rules = (says(slug, "likely", line) for line, slug in enumerate("aba"))
    assert slugs(*rules) == ["a", "b"]


def test_of_two_that_blame_one_line_the_first_stays() -> None:
    rules = says("special", "likely", 1), says("general", "likely", 1), says("c", "likely")
    assert slugs(*rules) == ["special", "c"]
    assert slugs(says("a", "possible", 1), says("b", "likely", 1)) == ["b"]


def test_no_line_is_no_common_line() -> None:
    assert slugs(says("a", "likely"), says("b", "likely")) == ["a", "b"]


def test_a_rule_that_does_not_apply_says_nothing() -> None:
    report = explain_scene(SCENE, [Rule("none", "none", lambda _: None), says("a")])
    assert [diagnosis.slug for diagnosis in report.diagnoses] == ["a"]
    assert report.facts == ()
    assert report.scene is SCENE
    assert report.failure is SCENE.failure


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError("deep"), AssertionError(), StopIteration()]
)
def test_a_rule_that_fails_is_named_and_the_others_are_heard(error: Exception) -> None:
    report = explain_scene(SCENE, [fails(error), says("a")])
    assert [diagnosis.slug for diagnosis in report.diagnoses] == ["a"]
    (fact,) = report.facts
    assert fact.text.startswith(f"the rule broken failed itself ({type(error).__name__}")


def test_an_error_that_cannot_be_read() -> None:
    class UnreadableError(Exception):
        def __str__(self) -> str:
            raise ValueError

    (fact,) = explain_scene(Scene(), [fails(UnreadableError())]).facts
    assert "(UnreadableError: its message cannot be read)" in fact.text


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        explain_scene(SCENE, [fails(KeyboardInterrupt())])


def test_facts_are_given_where_no_rule_applies() -> None:
    (fact, broken) = explain_scene(SCENE, [fails(ValueError("v"))]).facts
    assert fact.text == "no code of PyTorch is in the traceback, and no tensor on its last line"
    assert "ValueError: v" in broken.text
    assert explain_scene(SCENE, [says("a")]).facts == ()


SCENES: dict[str, Callable[[], Scene]] = {
    "empty": Scene,
    "message alone": lambda: Scene(failure=Failure("RuntimeError", "")),
    "a call without outputs": lambda: Scene(SCENE.failure, call=CallFacts("grad", ())),
}


@pytest.mark.parametrize("name", SCENES)
def test_no_real_rule_fails_on_a_scene_with_little_in_it(name: str) -> None:
    report = explain_scene(SCENES[name]())
    assert report.diagnoses == ()
    assert [fact.text for fact in report.facts if "failed itself" in fact.text] == []


# What PyTorch says, without a traceback or anything else to go by: from a log, for example.
MESSAGES = [
    "grad can be implicitly created only for scalar outputs",
    "element 0 of tensors does not require grad and does not have a grad_fn",
    "Trying to backward through the graph a second time",
    "one of the variables needed for gradient computation has been modified by an inplace op",
    "a leaf Variable that requires grad is being used in an in-place operation.",
    "Output 0 of Unbind is a view and is being modified inplace.",
    "function FBackward returned an incorrect number of gradients (expected 2, got 1)",
    "hook '<lambda>' has changed the size of value",
    "Mismatch in shape: grad_output[0] has a shape of torch.Size([2])",
    "The differentiated Tensor at index 1 appears to not have been used in the graph.",
    "the derivative for 'zeta' is not implemented.",
    "expected m1 and m2 to have the same dtype, but got: float != double",
    "can't optimize a non-leaf Tensor",
    "Can't call numpy() on Tensor that requires grad.",
]


@pytest.mark.parametrize("message", MESSAGES)
def test_no_real_rule_fails_where_only_the_message_is_known(message: str) -> None:
    report = explain_scene(Scene(failure=Failure("RuntimeError", message)))
    assert [fact.text for fact in report.facts if "failed itself" in fact.text] == []
    assert str(report)


def test_slugs_are_unique_and_made_for_names_of_files() -> None:
    names = [rule.slug for rule in RULES]
    assert all(name.replace("-", "").isalnum() and name == name.lower() for name in names)
    assert all(rule.title for rule in RULES)
