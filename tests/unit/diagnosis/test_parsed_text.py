"""The text of a function is parsed once, with the line numbers of its file."""

from __future__ import annotations

import ast

from inspect_autograd.diagnosis.failing_text import FailingText
from inspect_autograd.diagnosis.parsed_text import parse_text
from inspect_autograd.diagnosis.scene import FrameFacts
from inspect_autograd.diagnosis.statements import read_function
from inspect_autograd.graph.creation import SourceLine

METHOD = """\
    @hook
    def step(self, x):
        größe = "ä", (x
                      * 2)
        return größe
"""


def test_lines_are_those_of_the_file_and_parts_those_of_the_text() -> None:
    parsed = parse_text(METHOD, 40)
    assert parsed is not None
    assigned, returned = parsed.body("Model.step")
    assert (assigned.lineno, assigned.end_lineno, returned.lineno) == (42, 43, 44)
    assert isinstance(assigned, ast.Assign)
    assert isinstance(assigned.value, ast.Tuple)
    assert parsed.segment(assigned.value.elts[1]) == "x * 2"
    assert parsed.segment(assigned) == 'größe = "ä", (x * 2)'


def test_a_file_with_one_function_is_not_that_function() -> None:
    parsed = parse_text("def f():\n    return 1\n", 1)
    assert parsed is not None
    assert isinstance(parsed.body("<module>")[0], ast.FunctionDef)
    assert isinstance(parsed.body("f")[0], ast.Return)


def test_what_is_no_python_is_not_parsed() -> None:
    assert parse_text("x = (", 1) is None
    assert parse_text("  # nothing here\n", 1) is None
    assert parse_text("(" * 5000 + ")" * 5000, 1) is None


def test_both_readers_share_one_tree() -> None:
    frame = FrameFacts(SourceLine("m.py", 42, "Model.step"), "", "user", body=METHOD, first_line=40)
    function, text = read_function(frame), FailingText(frame)
    assert function is not None
    statement = function.at(frame)
    found = text.find_assignment("größe", function.statements[1].node)
    assert statement is not None
    assert found is not None
    assert found.statement is statement.node
    assert text.source(found.value).line == function.source(statement).line == 42
