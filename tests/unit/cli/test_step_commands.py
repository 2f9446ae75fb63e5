"""Commands of the stepper: their names, and scripts of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspect_autograd.cli.result import UsageError
from inspect_autograd.cli.step_commands import (
    COMMANDS,
    REPEATED,
    command_help,
    complete_command,
    parse,
    read_script,
    split_lines,
)
from inspect_autograd.errors import ArgumentError
from inspect_autograd.live.breaking.commands import COMMANDS as OF_BREAK_ON


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("next", ("next", "")),
        (" n  3 ", ("next", "3")),
        ("unt Mul*", ("until", "Mul*")),
        ("c", ("run", "")),
        ("continue", ("run", "")),
        ("l", ("graph", "")),
        ("list 2", ("graph", "2")),
        ("p received[0] + 1", ("print", "received[0] + 1")),
        ("exit", ("quit", "")),
    ],
)
def test_a_line(line: str, expected: tuple[str, str]) -> None:
    assert parse(line) == expected


def test_every_short_form_is_the_only_one() -> None:
    shorts = [command.short for command in COMMANDS if command.short]
    assert [parse(short).name for short in shorts] == [c.name for c in COMMANDS if c.short]


def test_names_are_those_of_the_prompt_of_break_on() -> None:
    for command in OF_BREAK_ON:
        if command.name == "set":  # Nothing is changed here.
            continue
        assert parse(command.name) == parse(command.short)
    assert {command.name for command in COMMANDS} >= {*REPEATED}


def test_a_wrong_line() -> None:
    with pytest.raises(ArgumentError, match="'nxt' is not a command; expected next"):
        parse("nxt")
    with pytest.raises(ArgumentError, match="run is followed by '3'; expected nothing"):
        parse("continue 3")


def test_help() -> None:
    lines = command_help("")
    assert all(any(line.startswith(c.name) for line in lines) for c in COMMANDS)
    assert command_help("continue") == ["run (r)  run all that is left"]


def test_completion() -> None:
    assert complete_command("wa") == ["waiting"]
    assert complete_command("x") == []


def test_semicolons_and_lines() -> None:
    lines = ["next 3; until Mul*;; queue ", "", "# a comment; next", "until #3"]
    assert list(split_lines(lines)) == ["next 3", "until Mul*", "queue", "until #3"]
    assert list(split_lines(["""print "a;b" + 'c;d'; run"""])) == [
        """print "a;b" + 'c;d'""",
        "run",
    ]
    assert list(split_lines(["print x'; run"])) == ["print x'", "run"]


def test_a_script_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "steps.txt"
    path.write_text("# first\nnext 2; queue\nrun\n", encoding="utf-8")
    assert read_script(str(path)) == ["next 2", "queue", "run"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "--commands is '', which holds no command"),
        (" ; ", "which holds no command"),
        ("next; foo 3", "--commands: 'foo 3': 'foo' is not a command; expected one of next, until"),
        ("queue 3", "--commands: 'queue 3': queue is followed by '3'"),
        ("steps.txt", "There is no file steps.txt either"),
        ("next\0", "is not a command"),
        ("n" * 5000, "is not a command"),
    ],
)
def test_a_script_that_is_none(given: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_script(given)
    assert message in str(caught.value)


def test_a_script_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "steps.bin"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="which is not a text file"):
        read_script(str(path))
