"""The tracebacks of a script lose the frames that are there for our sake."""

import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import inspect_autograd
from inspect_autograd.cli.run_traceback import drop_our_frames

OURS = str(Path(inspect_autograd.__file__).parent / "live" / "code.py")
FRAMES = {"user": "train.py", "torch": "torch/nn.py", "dispatch": "torch/overrides.py"}
FRAMES["compiler"] = str(Path("torch") / "_dynamo" / "eval_frame.py")
FRAMES["frozen"] = "<frozen importlib._bootstrap>"


def call(chain: list[str], error: BaseException) -> None:
    """Call functions in files of these names, one in the other; the innermost raises."""
    functions: dict[str, Any] = {}
    for name in {*chain}:
        kind, _, function = name.partition(" ")
        file = OURS if kind == "ours" else FRAMES[kind]
        space: dict[str, Any] = {}
        source = f"def {function or kind}(chain, error):\n    go(chain, error)"
        exec(compile(source, file, "exec"), space | {"go": _go}, space)
        functions[name] = space[function or kind]
    _go([functions[name] for name in chain], error)


def _go(chain: list[Any], error: BaseException) -> None:
    if not chain:
        raise error
    chain[0](chain[1:], error)


def frames(tb: TracebackType | None) -> list[str]:
    """The functions of a traceback, without those of this file."""
    return [f.name for f in traceback.extract_tb(tb) if f.filename != __file__]


def caught(chain: list[str], error: BaseException | None = None) -> BaseException:
    error = error or ValueError("x")
    try:
        call(chain, error)
    except BaseException as raised:
        # What stands between the functions is no part of the example.
        entries = []
        entry = raised.__traceback__
        while entry is not None:
            if entry.tb_frame.f_code.co_filename != __file__:
                entries.append(entry)
            entry = entry.tb_next
        following = None
        for entry in reversed(entries):
            entry.tb_next = following
            following = entry
        return raised.with_traceback(following)
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    ("chain", "left"),
    [
        (["user"], ["user"]),
        (["ours", "ours", "user", "torch"], ["user", "torch"]),
        (["ours", "user main", "ours", "torch call", "ours", "torch forward"],
         ["main", "call", "forward"]),
        # F.linear went through the function mode: it is there twice, and is one call.
        (["ours", "user main", "torch linear", "dispatch handle_torch_function", "ours mode",
          "torch linear", "torch inner"], ["main", "linear", "inner"]),
        # Two modes, of two recordings.
        (["user main", "torch linear", "dispatch handle_torch_function", "ours mode", "ours mode",
          "torch linear"], ["main", "linear"]),
        # A mode of the user's goes the same way, and stays.
        (["user main", "torch linear", "dispatch handle_torch_function", "user mode",
          "torch linear"], ["main", "linear", "handle_torch_function", "mode", "linear"]),
        # Another function than before: nothing is there twice.
        (["user main", "torch other", "dispatch handle_torch_function", "ours mode",
          "torch linear"], ["main", "other", "linear"]),
        (["ours", "ours"], []),
        # What must not be compiled is called through the compiler.
        (["user main", "torch engine", "compiler _fn", "ours entry", "torch apply"],
          ["main", "engine", "apply"]),
        (["user main", "compiler _fn", "user other"], ["main", "_fn", "other"]),
        # `import torch`, at whose end we begin to record.
        (["frozen run", "ours", "user main", "frozen find", "frozen load", "ours", "frozen exec",
          "torch init"], ["main", "init"]),
        (["user main", "frozen find", "user other"], ["main", "find", "other"]),
    ],
)  # fmt: skip
def test_frames(chain: list[str], left: list[str]) -> None:
    error = caught(chain)
    drop_our_frames(error)
    assert frames(error.__traceback__) == left


def test_the_errors_that_it_came_from() -> None:
    cause, context, member = (caught(["user", "ours", "torch"]) for _ in range(3))
    group = BaseExceptionGroup("several", [member])
    error = caught(["ours", "user"], group)
    error.__cause__, error.__context__ = cause, context
    cause.__context__ = error  # A ring must not be walked forever.
    drop_our_frames(error)
    assert frames(error.__traceback__) == ["user"]
    for other in (cause, context, member):
        assert frames(other.__traceback__) == ["user", "torch"]
