"""Every cut and every write of known programs is reported at its line, and nothing else."""

import inspect
import re
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch

from inspect_autograd.events.effects import Cut, Mutation
from tests.conformance import (
    programs_that_cut,
    programs_that_write,
    programs_with_functions,
    programs_with_values,
)
from tests.conformance.recorded_programs import PROGRAMS

FILES = (programs_that_cut, programs_that_write, programs_with_functions, programs_with_values)

FATES = {True: "reaches", None: "left", False: "ends"}


def marks_of(function: Callable[[], Any]) -> dict[str, list[tuple[int, str]]]:
    """The marks in the comments of a function: line and text of each, by kind."""
    lines, first = inspect.getsourcelines(function)
    found: dict[str, list[tuple[int, str]]] = {"cut": [], "write": []}
    waiting: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=first):
        code, *comments = re.split(r"# (?=cut: |write: )", line.strip())
        for comment in comments:
            kind, _, marks = comment.partition(": ")
            for mark in marks.split(";"):
                other, _, text = mark.strip().rpartition(": ")
                waiting.append((other or kind, text))
        if code:
            for kind, text in waiting:
                found[kind].append((number, text))
            waiting = []
    return found


def describe_cut(cut: Cut) -> str:
    words = [cut.reason.replace(" ", "-"), cut.function, FATES[cut.reaches_loss]]
    words += [f"x{cut.count}"] if cut.count > 1 else []
    words += [f"lost={','.join(cut.lost)}"] if cut.lost else []
    words += [f"in={cut.scope}"] if cut.scope is not None else []
    return " ".join(words)


def describe_writes(writes: list[Mutation]) -> list[str]:
    """Writes of one line; versions that go on from each other are joined."""
    groups: dict[tuple[str, str, str], list[list[str]]] = defaultdict(list)
    for write in writes:
        name = f"{write.tensor or '-'}={write.view_of}" if write.view_of else write.tensor or "-"
        chains = groups[write.function, name, "" if write.scope is None else f" in={write.scope}"]
        before, after = str(write.version_before), str(write.version_after)
        for chain in chains:
            if chain[-1] == before:
                chain.append(after)
                break
        else:
            chains.append([before, after])
    return [
        f"{function} {name} {'>'.join(chain)}{scope}"
        for (function, name, scope), chains in groups.items()
        for chain in chains
    ]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_cuts_and_writes_are_exactly_the_marked_ones(program: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        # Of PyTorch, about some of the mistakes that these programs make.
        warnings.simplefilter("ignore", UserWarning)
        recording = program()
    marks = marks_of(program)
    file = inspect.getsourcefile(program)
    cuts = [(cut.source.line, describe_cut(cut)) for cut in recording.cuts if cut.source]
    assert sorted(cuts) == sorted(marks["cut"])
    by_line: dict[int, list[Mutation]] = defaultdict(list)
    for write in recording.mutations:
        assert write.source is not None
        by_line[write.source.line].append(write)
    writes = [(line, text) for line in by_line for text in describe_writes(by_line[line])]
    assert sorted(writes) == sorted(marks["write"])
    sources = [found.source for found in (*recording.cuts, *recording.mutations)]
    assert {source.file for source in sources if source} <= {file}
    assert None not in sources
    assert recording.notes == ()
    lost = [bool(cut.lost) for cut in recording.cuts]
    assert lost == sorted(lost, reverse=True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__)
def test_every_program_of_a_file_is_run(file: Any) -> None:
    programs = [p for p in PROGRAMS if p.__module__ == file.__name__]
    assert len(programs) == inspect.getsource(file).count("@program")
    assert len(programs) > 5
