"""Lines of a prompt are taken apart, and what is wrong with one is said."""

from __future__ import annotations

import pytest

from inspect_autograd.errors import ArgumentError
from inspect_autograd.live.breaking.commands import (
    COMMANDS,
    help_text,
    parse_command,
    parse_number,
)


@pytest.mark.parametrize(
    ("line", "name", "rest"),
    [
        ("next", "next", ""),
        (" n ", "next", ""),
        ("wh", "where", ""),
        ("s", "saved", ""),  # A short form goes before the beginning of `set`.
        ("p  g0 + 1", "print", "g0 + 1"),
        ("set 0 2 * g0", "set", "0 2 * g0"),
        ("up 3", "up", "3"),
    ],
)
def test_a_line(line: str, name: str, rest: str) -> None:
    assert parse_command(line) == (name, rest)


def test_every_short_form_is_the_only_one() -> None:
    shorts = [command.short for command in COMMANDS if command.short]
    assert len(set(shorts)) == len(shorts)
    assert [parse_command(short).name for short in shorts] == [c.name for c in COMMANDS if c.short]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nxt", "'nxt' is not a command; expected next"),
        ("se 0 1", None),
        ("zzz", "expected one of next, continue, where"),
        ("where now", "where is followed by 'now'; expected nothing after it"),
    ],
)
def test_a_line_that_cannot_be_carried_out(line: str, message: str | None) -> None:
    if message is None:
        assert parse_command(line).name == "set"
        return
    with pytest.raises(ArgumentError, match=message):
        parse_command(line)


def test_numbers() -> None:
    assert parse_number("", 1, "node") == 0
    assert parse_number("2", 3, "node") == 2
    for rest, count, message in [
        ("", 0, "there is no node here"),
        ("", 2, "several are there; expected a node: a number from 0 to 1"),
        ("2", 2, "'2' is no node: a number from 0 to 1"),
        ("-1", 2, "'-1' is no node"),
        ("x", 1, "'x' is no node: a number 0"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            parse_number(rest, count, "node")


def test_help_is_one_line_for_each_command() -> None:
    assert len(help_text()) == len(COMMANDS)
    assert help_text("q") == ["quit (q)  leave the backward pass by an error"]
    with pytest.raises(ArgumentError, match="'foo' is not a command"):
        help_text("foo")
