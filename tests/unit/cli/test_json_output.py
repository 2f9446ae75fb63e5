"""What --json prints, and that nothing else reaches stdout."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from inspect_autograd.cli.json_output import to_json, to_plain
from inspect_autograd.graph.records import Edge
from inspect_autograd.graph.tensor_meta import TensorMeta


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (1 + 2j, "(1+2j)"),
        ("×", "×"),
        (Path("a") / "b", str(Path("a/b"))),
        ((1, (2, [3])), [1, [2, [3]]]),
        ({1: {"a": math.inf}}, {"1": {"a": "inf"}}),
        (
            Edge(0, 1, 2, 3),
            {"source": 0, "source_slot": 1, "target": 2, "target_slot": 3, "count": 1},
        ),
        (
            [TensorMeta((2, "s0"), "float32")],
            [{"shape": [2, "s0"], "dtype": "float32", "device": "cpu", "layout": None}],
        ),
    ],
)
def test_values_become_what_json_knows(value: Any, plain: Any) -> None:
    assert to_plain(value) == plain
    assert json.loads(to_json({"value": value})) == {"value": plain}


def test_json_is_ascii() -> None:
    assert to_json({"name": "×"}) == '{\n  "name": "\\u00d7"\n}'


NOISY = """\
import atexit, os, sys
import torch
print("printed")
sys.stdout.write("written\\n")
os.write(1, b"from a file descriptor\\n")
os.system("echo from a child")
atexit.register(print, "at exit")
import ctypes
ctypes.CDLL(None).puts(b"from C")
x = torch.ones(2, requires_grad=True)
y = x.sum()
"""
NOISE = ["printed", "written", "from a file descriptor", "from a child", "at exit", "from C"]


def test_what_user_code_prints_goes_through_untouched(process: Any, write: Any) -> None:
    write("noisy.py", NOISY)
    ran = process("show", "noisy.py:y", "--summary")
    assert ran.code == 0
    assert sorted(set(NOISE) & set(ran.out.splitlines())) == sorted(NOISE)
    assert "2 nodes, 1 edge, 1 root, depth 1" in ran.out
    assert ran.err == ""


def test_with_json_what_user_code_prints_goes_to_stderr(process: Any, write: Any) -> None:
    write("noisy.py", NOISY)
    ran = process("show", "noisy.py:y", "--summary", "--json")
    assert ran.code == 0
    assert ran.json["summary"]["nodes"] == 2
    assert sorted(ran.err.splitlines()) == sorted(NOISE)


def test_in_one_process_too(cli: Any, write: Any) -> None:
    path = write(
        "prints.py", "print('printed')\nimport torch\ny = torch.ones(1, requires_grad=True) * 2\n"
    )
    ran = cli("show", f"{path}:y", "--summary", "--json")
    assert ran.json["summary"]["nodes"] == 2
    assert ran.err == "printed\n"
