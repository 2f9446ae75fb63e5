"""Ask the rules about a program in which nothing has failed."""

from __future__ import annotations

from collections.abc import Iterable

from .ask_rules import ask_rules, most_certain_first
from .program_facts import ProgramFacts
from .program_rule import ProgramRule, list_names
from .program_rules import PROGRAM_RULES
from .records import Diagnosis, Evidence
from .report import Report

__all__ = ["diagnose_program"]


def diagnose_program(
    facts: ProgramFacts,
    predicted: Iterable[Diagnosis] = (),
    rules: Iterable[ProgramRule] = PROGRAM_RULES,
) -> Report:
    """A report of all that is wrong: first what would make backward() fail, then the certain.

    A rule that fails itself is left out, which the facts of the report say.

    Args:
        facts: About the program.
        predicted: What is known of a backward pass that would fail.
        rules: Asked in their order.
    """
    found, broken = ask_rules(rules, facts)
    return Report(
        diagnoses=(*predicted, *most_certain_first(found)),
        facts=(*_facts(facts), *broken),
        graph=facts.graph,
    )


def _facts(facts: ProgramFacts) -> Iterable[Evidence]:
    """What is fine but good to know."""
    for parameter in facts.parameters:
        if len(parameter.names) > 1:
            yield Evidence(
                f"{list_names(parameter.names)} are one tensor (tied): its gradient is the sum "
                "over all its uses"
            )
    if facts.ran == "ran":
        yield Evidence(
            "a backward pass has been over the graph of this loss; another one would need "
            "retain_graph=True in the first"
        )
    if facts.hides_leaves:
        yield Evidence(
            "a reentrant checkpoint hides which parameters it leads to, so whether they have a "
            "path to the loss was not judged"
        )
    unknown = [p.name for p in facts.parameters if p.grad is not None and not p.grad.is_known]
    if unknown:
        yield Evidence(f"the values of these gradients were not looked at: {list_names(unknown)}")
