"""A diagnosis as text that does not depend on how reports are laid out."""

from textwrap import indent, wrap

from inspect_autograd.diagnosis.records import Diagnosis

__all__ = ["told"]


def told(diagnosis: Diagnosis) -> str:
    """Summary, explanation, facts with the number of their line, and hints, in narrow lines."""
    parts = [_wrapped(diagnosis.summary), "", _wrapped(diagnosis.explanation), ""]
    for fact in diagnosis.evidence:
        line = "" if fact.source is None else f" @{fact.source.line}"
        parts.append(_wrapped(f"- {fact.text}{line}"))
    for hint in diagnosis.hints:
        parts.append(_wrapped(f"* {hint.text}"))
        if hint.code:
            parts.append(indent(hint.code, "      "))
    where = "" if diagnosis.source is None else f", line {diagnosis.source.line}"
    return "\n".join([*parts, f"({diagnosis.certainty}{where})"]) + "\n"


def _wrapped(text: str) -> str:
    return "\n".join(wrap(text, 80, break_long_words=False, break_on_hyphens=False))
