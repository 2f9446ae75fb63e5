"""Texts that were written for Python, in the words of the command line."""

from __future__ import annotations

import re

__all__ = ["reword"]

# These texts name the call that shows what they leave out. Spaces may be line breaks.
ADVICE = (
    (r'trace\.table\(max_lines=(\d+)\) shows all, trace\.table\(nodes="…"\) some',
     r'--max-lines \1 shows all, --find "…" some'),
    (r"^(… and .*); table\(max_lines=(\d+)\) shows all$", r"\1; --max-lines \2 shows all"),
    (r"^(  … and \d+ more); SavedMemory\.views has all$", r"\1; --json has all"),
    (r"see\s+trace\.first_nonfinite\(\)$", "see below"),
    (r"^(… and \d+ more): trace\.(?:note|edit)s$", r"\1, which --json shows"),
    (r"^(note: one of \d+ passes); backward_pass= chooses another$", r"\1; --pass chooses another"),
    (r"^(… and \d+ more rows?, .*); GradientFlow\.rows has all$", r"\1; --json has all"),
    (r"^(… and \d+ more); Comparison\.differences has the first (\d+)$",
     r"\1; --json has the first \2"),
    (r"recording\.cuts has all$", "--cuts shows all"),
    (r"recording\.mutations has all$", "--writes --json has all"),
    (r"recording\.steps has all$", "--json has all"),
    (r"see recording\.table\(\)$", "see --modules"),
    (r"print\(recording\.traces\[(\d+)\]\.first_nonfinite\(\)\) tells more",
     r"--trace \1 tells more"),
    (r"^(… and \d+ more notes?): recording\.notes$", r"\1, which --json shows"),
    (r"^more: recording.*$", "more: --modules, --timeline, --memory line, --trace 0"),
)  # fmt: skip
COMPILED = [(re.compile(pattern, re.MULTILINE), words) for pattern, words in ADVICE]


def reword(text: str) -> str:
    """The text, with options where it names methods of a Trace, a Recording or a SavedMemory."""
    for pattern, words in COMPILED:
        text = pattern.sub(words, text)
    return text
