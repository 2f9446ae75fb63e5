"""Verbs, exit codes, and what goes to which stream."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import inspect_autograd
from inspect_autograd.cli import show
from inspect_autograd.cli.main import VERBS


def test_version(cli: Any) -> None:
    ran = cli("--version")
    assert (ran.code, ran.out) == (0, f"inspect-autograd {inspect_autograd.__version__}\n")


def test_help_lists_verbs_and_exit_codes(cli: Any) -> None:
    ran = cli("--help")
    assert ran.code == 0
    for text in (*VERBS, "exit codes:", "130  interrupted", "train.py:make_loss"):
        assert text in ran.out
    assert ran.err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help_with_examples(cli: Any, verb: str) -> None:
    ran = cli(verb, "--help")
    assert ran.code == 0
    assert f"inspect-autograd {verb}" in ran.out.partition("examples:")[2]
    assert ("--json" in ran.out) == (verb != "run")  # The stdout of a script is its own.
    assert "--debug" in ran.out


def test_no_verb_is_a_mistake_that_shows_the_help(cli: Any) -> None:
    ran = cli()
    assert (ran.code, ran.out) == (2, "")
    assert "exit codes:" in ran.err
    assert ran.err.endswith(
        "error: the command line names no verb\n  What to do: Start with: inspect-autograd demo\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (["rendr"], "there is no verb 'rendr'", "Did you mean render?"),
        (
            ["zzz"],
            "there is no verb 'zzz'",
            "Use one of: run, show, render, step, compare, demo, doctor.",
        ),
        (
            ["train.py:loss"],
            "there is no verb 'train.py:loss'",
            "Put a verb before the target: inspect-autograd show train.py:loss",
        ),
        (
            ["step.jsonl"],
            "there is no verb 'step.jsonl'",
            "Put a verb before the target: inspect-autograd show step.jsonl",
        ),
        (["compar"], "there is no verb 'compar'", "Did you mean compare?"),
        (["compare", "a.json"], "the following arguments are required: B", "compare --help"),
        (["compare", "a", "b", "--rtol", "-1"], "'-1' is not a number, 0 or more", "--help"),
        (["compare", "a", "b", "--atol", "nan"], "'nan' is not a number, 0 or more", "--help"),
        (["compare", "a", "b", "--atol", "x"], "'x' is not a number, 0 or more", "--help"),
        (["show"], "the following arguments are required: TARGET", "show --help"),
        (["show", "x.json", "--tre"], "unrecognized arguments: --tre", "--help"),
        (["show", "x.json", "--tree", "--summary"], "not allowed with argument --tree", "--help"),
        (["show", "x.json", "--node", "a"], "'a' is not the number of a node", "--help"),
        (["show", "x.json", "--max-lines", "0"], "'0' is not a whole number above 0", "--help"),
        (["show", "x.json", "--max-nodes", "two"], "'two' is not a whole number", "--help"),
        (["show", "--flow", "x.json"], "'x.json' is neither parameter nor module", "--help"),
        (["show", "--slowest", "x.json"], "above 0; write TARGET before --slowest", "--help"),
        (["show", "x.json", "--flow", "--tree"], "not allowed with argument", "--help"),
        (["show", "x.json", "--learning-rate", "0"], "'0' is not a number above 0", "--help"),
        (["show", "x.json", "--learning-rate", "inf"], "'inf' is not a number above 0", "--help"),
        (["show", "x.json", "--pass", "-1"], "'-1' is not the number of a pass", "--help"),
        (["show", "x.json", "--pass", "0"], "--pass is there without --flow", "Add --flow"),
        (
            ["show", "x.json", "--learning-rate", "1"],
            "--learning-rate is there without --flow",
            "leave --learning-rate out",
        ),
    ],
)
def test_a_mistake_in_the_command_line(
    cli: Any, arguments: list[str], message: str, remedy: str
) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {message}" in ran.err or message in ran.err.partition("error: ")[2]
    assert remedy in ran.err.partition("What to do: ")[2]
    assert "Traceback" not in ran.err

    as_json = cli(*arguments, "--json")
    assert as_json.code == 2
    assert message in as_json.error["message"]
    assert remedy in as_json.error["remedy"]
    assert as_json.error["type"] == "UsageError"
    assert as_json.error["exit_code"] == 2


def test_an_error_without_usage_lines_begins_with_the_error(cli: Any) -> None:
    assert cli("show", "x.json", "--pass", "0").err.startswith("error: --pass is there")


def test_debug_shows_the_traceback_of_a_mistake(cli: Any) -> None:
    ran = cli("show", "no.json", "--debug")
    assert ran.code == 2
    assert "Traceback (most recent call last)" in ran.err
    assert "error: there is no file no.json" in ran.err


def test_a_fault_of_ours_is_called_one(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("slot")

    monkeypatch.setattr(show, "run", fail)
    ran = cli("show", "g.json")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: internal error: KeyError: 'slot'\n")
    assert "--debug" in ran.err


def test_an_error_of_the_system_is_told_plainly(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "graph.json")

    monkeypatch.setattr(show, "run", fail)
    ran = cli("show", "g.json")
    assert (ran.code, ran.err) == (1, "error: [Errno 13] Permission denied: 'graph.json'\n")


def test_ctrl_c(process: Any, write: Any) -> None:
    write("slow.py", "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ran = process("show", "slow.py:loss")
    assert (ran.code, ran.out, ran.err) == (130, "", "error: interrupted\n")
    ran = process("show", "slow.py:loss", "--json")
    assert ran.code == 130
    assert ran.error["message"] == "interrupted"


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="pipes break differently on Windows")
@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("verb", ["doctor", "show", "compare"])
def test_a_reader_that_goes_away_is_no_error(trace_file: Path, verb: str, more: list[str]) -> None:
    files = {"doctor": [], "show": [trace_file], "compare": [trace_file, trace_file]}[verb]
    command = [sys.executable, "-m", "inspect_autograd", verb, *map(str, files), *more]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            command, stdout=write, stderr=subprocess.PIPE, timeout=120, check=False
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
@pytest.mark.parametrize("more", ["", "--json"])
def test_closed_streams(more: str) -> None:
    command = f'"{sys.executable}" -m inspect_autograd show no.json {more} >&- 2>&-'
    assert subprocess.run(command, shell=True, timeout=120, check=False).returncode == 2


def test_characters_that_the_terminal_lacks_are_escaped(process: Any, quadratic: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = process("show", quadratic.name + ":y", "--summary", environment=ascii_only)
    assert ran.code == 0
    assert "MulBackward0 \\xd71, DotBackward0 \\xd71" in ran.out


def test_only_the_verb_that_is_meant_is_imported() -> None:
    code = (
        "import sys\n"
        "from inspect_autograd.cli.main import VERBS, main\n"
        "main(['show', 'no.json'])\n"
        "print(*[name for name in VERBS if f'inspect_autograd.cli.{name}' in sys.modules])"
    )
    printed = subprocess.check_output(
        [sys.executable, "-c", code], text=True, stderr=subprocess.DEVNULL
    )
    assert printed.split() == ["show"]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_a_module(name: str) -> None:
    module = importlib.import_module(f"inspect_autograd.cli.{name}")
    assert callable(module.run)
    assert callable(module.add_arguments)
