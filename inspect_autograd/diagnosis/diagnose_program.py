"""Ask the rules about a program in which nothing has failed."""

from __future__ import annotations

from collections.abc import Iterable

from .program_facts import ProgramFacts
from .program_rule import ProgramRule, list_names
from .program_rules import PROGRAM_RULES
from .records import Diagnosis, Evidence
from .report import Report

__all__ = ["diagnose_program"]

_ORDER = {"certain": 0, "likely": 1, "possible": 2}


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
    found: list[Diagnosis] = []
    broken: list[Evidence] = []
    for rule in rules:
        try:
            diagnosis = rule.diagnose(facts)
        except Exception as error:
            what = f"the rule {rule.slug} failed itself ({type(error).__name__})"
            broken.append(Evidence(f"{what}, which is a fault of inspect_autograd"))
            continue
        if diagnosis is not None:
            found.append(diagnosis)
    found.sort(key=lambda diagnosis: _ORDER[diagnosis.certainty])
    return Report(
        diagnoses=(*predicted, *found), facts=(*_facts(facts), *broken), graph=facts.graph
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
