"""The hooks for uncaught exceptions."""

import subprocess
import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

import inspect_autograd as ia

PROGRAM = """
import sys, threading
import inspect_autograd as ia
ia.install()
{body}
"""
FAIL = "import torch\n(torch.ones(3, requires_grad=True) * 2).backward()\n"


def run(body: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys; sys.path[:] = {sys.path!r}\n" + PROGRAM.format(body=body)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_program_ends_with_the_traceback_and_the_report() -> None:
    ended = run(FAIL)
    assert ended.returncode == 1
    traceback, report = ended.stderr.split("RuntimeError: grad can be implicitly", 1)
    assert "Traceback (most recent call last)" in traceback
    assert "[non-scalar-output]" in report


def test_a_thread_too() -> None:
    body = "def work():\n    " + FAIL.replace("\n", "\n    ") + "\n"
    ended = run(body + "t = threading.Thread(target=work); t.start(); t.join()")
    assert ended.returncode == 0
    assert ended.stderr.count("[non-scalar-output]") == 1


def test_an_error_without_torch_does_not_import_it() -> None:
    ended = run("import atexit; atexit.register(lambda: print('torch' in sys.modules))\n1 / 0")
    assert ended.stdout == "False\n"
    assert ended.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_what_was_there_is_called_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    for module in (sys, threading):
        monkeypatch.setattr(module, "excepthook", lambda *_: seen.append("theirs"))
    before = sys.excepthook, threading.excepthook
    ia.install()
    ia.install()
    try:
        (torch.ones(3, requires_grad=True) * 2).backward()
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    finally:
        ia.uninstall()
    assert seen == ["theirs"]
    assert capsys.readouterr().err.count("[non-scalar-output]") == 1
    assert (sys.excepthook, threading.excepthook) == before
    ia.uninstall()
    assert (sys.excepthook, threading.excepthook) == before


def test_a_hook_that_somebody_put_over_ours_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", lambda *_: None)
    ia.install()
    ours = sys.excepthook

    def over(*args: Any) -> None:
        ours(*args)

    sys.excepthook = over
    ia.uninstall()
    assert sys.excepthook is over
    try:
        (torch.ones(3, requires_grad=True) * 2).backward()
    except RuntimeError as error:
        over(RuntimeError, error, error.__traceback__)
    assert capsys.readouterr().err == ""


class Shell:
    """The part of IPython's InteractiveShell that is used, as IPython 9 has it."""

    def __init__(self) -> None:
        self.custom_exceptions: tuple[type, ...] = ()
        self.CustomTB: Any = None
        self.shown: list[str] = []

    def set_custom_exc(self, kinds: tuple[type, ...], handler: Any) -> None:
        self.custom_exceptions = kinds
        self.CustomTB = lambda *args, **options: handler(self, *args, **options)

    def showtraceback(self, exc_tuple: Any, tb_offset: int | None = None) -> None:
        self.shown.append(f"{exc_tuple[0].__name__} {tb_offset}")


def test_a_notebook_shows_its_own_traceback_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell()
    module: Any = ModuleType("IPython")
    module.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", module)
    ia.install()
    ia.install()
    try:
        (torch.ones(3, requires_grad=True) * 2).backward()
    except RuntimeError as error:
        shell.CustomTB(RuntimeError, error, error.__traceback__, tb_offset=1)
    finally:
        ia.uninstall()
    assert shell.shown == ["RuntimeError 1"]
    assert "[non-scalar-output]" in capsys.readouterr().err
    assert SimpleNamespace(kinds=shell.custom_exceptions, handler=shell.CustomTB) == (
        SimpleNamespace(kinds=(), handler=None)
    )
