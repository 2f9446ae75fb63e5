"""The user's code runs as it would by itself, and its errors are shown as its own."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from inspect_autograd.cli.target import load_target
from inspect_autograd.graph.graph import Graph

SETTINGS = """\
import sys, torch
from dataclasses import dataclass
from sibling import offset

@dataclass
class Settings:
    name: str = __name__
    file: str = __file__

assert sys.argv == [{target!r}]
assert sys.path[0] == {folder!r}
assert sys.modules[__name__].Settings is Settings
x = torch.ones(2, requires_grad=True)
y = x + offset
if __name__ == "__main__":
    raise RuntimeError("run as a program")
"""


def test_a_file_runs_as_a_module_of_its_own_name(write: Any, tmp_path: Path) -> None:
    write("sibling.py", "offset = 1.0\n")
    path = tmp_path / "my_settings.py"
    write("my_settings.py", SETTINGS.format(target=str(path), folder=str(tmp_path)))
    argv, search_path = sys.argv, sys.path[:]
    graph = load_target(f"{path}:y")
    assert isinstance(graph, Graph)
    assert [node.label for node in graph.nodes] == ["AddBackward0", "x"]
    assert sys.modules["my_settings"].Settings().name == "my_settings"
    assert sys.argv is argv
    assert sys.path == search_path
    assert not list(tmp_path.glob("__pycache__/my_settings*")), "bytecode was left behind"


def test_a_file_named_like_a_module_in_use_does_not_replace_it(write: Any) -> None:
    torch = sys.modules["torch"] if "torch" in sys.modules else __import__("torch")
    path = write(
        "torch.py", "import torch\nname = __name__\ny = torch.ones(1, requires_grad=True)\n"
    )
    graph = load_target(f"{path}:y")
    assert isinstance(graph, Graph)
    assert len(graph) == 1
    assert sys.modules["torch"] is torch


RAISES = """\
import torch

def inner(x):
    return torch.nn.functional.linear(x, torch.ones(2, 5))

def fails():
    try:
        inner(torch.ones(3))
    except RuntimeError as error:
        raise ValueError("no loss today") from error
"""


def test_an_error_of_user_code_shows_the_users_lines_only(cli: Any, write: Any) -> None:
    path = write("raises.py", RAISES)
    ran = cli("show", f"{path}:fails")
    assert (ran.code, ran.out) == (1, "")
    lines = ran.err.splitlines()
    files = [line.strip() for line in lines if line.startswith("  File ")]
    assert files == [
        f'File "{path}", line 8, in fails',
        f'File "{path}", line 4, in inner',
        f'File "{path}", line 10, in fails',
    ]
    assert "ValueError: no loss today" in lines
    assert any(line.startswith("RuntimeError: ") for line in lines)
    assert "The above exception was the direct cause of the following exception:" in lines
    assert lines[-2] == f"error: {path} raised ValueError"

    as_json = cli("show", f"{path}:fails", "--json")
    assert as_json.code == 1
    assert as_json.error["type"] == "ValueError"
    assert as_json.error["message"] == f"{path} raised ValueError\nValueError: no loss today"
    assert "no loss today" in as_json.error["traceback"]
    assert "cli" not in as_json.error["traceback"].replace(str(path.parent), "")

    assert "user_code.py" in cli("show", f"{path}:fails", "--debug").err


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("x = (", "raised SyntaxError", "--debug"),
        ("import no_such_thing", "raised ModuleNotFoundError", "--debug"),
        ("from . import part", "raised ImportError", "package.module:name"),
        ("import sys; sys.exit(3)", "ended the process: SystemExit(3)", "__main__"),
        ("class Stop(BaseException): pass\nraise Stop", "raised Stop", "--debug"),
        ("import inspect_autograd as ia; ia.capture(1)", "raised ArgumentTypeError", ""),
    ],
)
def test_files_that_cannot_be_run(
    cli: Any, write: Any, text: str, message: str, remedy: str
) -> None:
    path = write("broken.py", f"\n{text}\n")
    ran = cli("show", f"{path}:y")
    assert ran.code == 1
    assert f'File "{path}", line ' in ran.err
    assert f"error: {path} {message}" in ran.err
    assert remedy in ran.err


def test_the_folder_is_given_back(cli: Any, write: Any, tmp_path: Path) -> None:
    write("other/keep.txt", "")
    path = write(
        "moves.py", "import os, torch\nos.chdir('other')\ny = torch.ones(1, requires_grad=True)"
    )
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert cli("render", f"{path}:y", "-o", "g.dot").code == 0
        assert Path.cwd() == tmp_path
    finally:
        os.chdir(before)
    assert (tmp_path / "g.dot").is_file()
