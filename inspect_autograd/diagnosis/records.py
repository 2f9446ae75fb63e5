"""The frozen records that a Report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..graph.creation import SourceLine

__all__ = ["Certainty", "Diagnosis", "Evidence", "Failure", "Hint"]

Certainty = Literal["certain", "likely", "possible"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One fact that was found, not guessed.

    Attributes:
        text: The fact in one line, complete by itself.
        source: The line of the user's program that it is about.
        node: Id of the node in `Report.graph` that it is about.
    """

    text: str
    source: SourceLine | None = None
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """One way to mend it.

    Attributes:
        text: What to do, as an imperative sentence.
        code: Python that the user can paste, with the user's own names where they are known;
            empty if there is nothing to paste.
    """

    text: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one rule says.

    Attributes:
        slug: Permanent name of the rule: `non-scalar-output`. Its page is `docs/rules/<slug>.md`.
        summary: One sentence that answers the question: what happened, with the user's own shapes
            and names.
        explanation: Why PyTorch refuses (or goes wrong silently), in a few plain sentences;
            paragraphs are separated by an empty line.
        evidence: The facts, most telling first.
        hints: What to do, in order of likelihood.
        certainty: `certain` where the evidence leaves no other cause, `likely` where it fits best,
            `possible` where it cannot be told apart.
        source: The guilty line, where one is known: not the line that raised, but the one to
            change.
    """

    slug: str
    summary: str
    explanation: str
    evidence: tuple[Evidence, ...] = ()
    hints: tuple[Hint, ...] = ()
    certainty: Certainty = "certain"
    source: SourceLine | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The exception itself.

    Attributes:
        type: Name of its class, with the module unless it is built in.
        message: What PyTorch said, whole.
        source: The innermost line of the user's program in the traceback; one of another installed
            package only where no file of the user's own is part of it.
    """

    type: str
    message: str
    source: SourceLine | None = None
