"""`inspect-autograd run` runs a program just as `python` does: output, exit code, traceback."""

import os
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.run_processes import PYTHON, RUN, interrupt, run, run_both

Write = Callable[[str, str], Path]

FACTS = """\
import sys, os
spec = __spec__ and (__spec__.name, __spec__.origin, __spec__.parent)
print(__name__, __file__, spec, __package__, __cached__, __doc__, sys.argv, sys.path[0])
print(type(__loader__).__name__, getattr(__loader__, "name", 0), sorted(globals()), __annotations__)
print(sys.modules["__main__"].__dict__ is globals(), __builtins__, os.getcwd())
number: int = 3
print(__annotations__, sys.stdout.errors, sys.stderr.errors, sys.stdin.errors)
"""

SCRIPTS = {
    "facts": FACTS,
    "number": "import sys\nsys.exit(7)",
    "large number": "import sys\nsys.exit(256 + 3)",
    "none": "import sys\nsys.exit()",
    "text": "import sys\nprint('out')\nsys.exit('a text')",
    "tuple": "import sys\nsys.exit((1, 2))",
    "quit": "quit(4)",
    "system exit from deep": (
        "def f(): raise SystemExit(5)\ntry:\n    1 / 0\nexcept Exception:\n    f()"
    ),
    "os._exit": "import os, sys\nprint('lost')\nos.write(1, b'kept')\nos._exit(9)",
    "exception": "def f(n):\n    return 1 / n\nf(0)",
    "cause": ("try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('wrong') from e"),
    "context": "try:\n    {}['a']\nexcept KeyError:\n    int('x')",
    "group": (
        "def f():\n    raise ValueError(1)\ntry:\n    f()\nexcept ValueError as e:\n"
        "    raise ExceptionGroup('several', [e, TypeError(2)])"
    ),
    "notes": "e = ValueError('x')\ne.add_note('a note')\nraise e",
    "syntax error": "print('never')\nx = = 3",
    "name error with a suggestion": "value = 1\nvalu",
    "recursion": "def f(): f()\ntry:\n    f()\nexcept RecursionError:\n    print('caught')",
    "import error": "import no_such_module_at_all",
    "own hook": (
        "import sys\n"
        "sys.excepthook = lambda t, e, tb: print('hook', t.__name__, tb.tb_frame.f_code.co_name)\n"
        "1 / 0"
    ),
    "hook that exits": ("import sys\ndef hook(*a): sys.exit(11)\nsys.excepthook = hook\n1 / 0"),
    "atexit": (
        "import atexit\natexit.register(print, 'at exit', __name__)\n"
        "@atexit.register\ndef last(): print(sorted(globals())[:2], value)\nvalue = 5\n1 / 0"
    ),
    "last error": (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sys.last_type, sys.last_traceback.tb_lineno))\n1 / 0"
    ),
    "thread": (
        "import threading, time\n"
        "def work():\n    time.sleep(0.2)\n    print('thread')\n"
        "threading.Thread(target=work).start()\nprint('main')"
    ),
    "executor": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\npool.submit(print, 'in pool')\n"
    ),
    "binary": "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 300)",
    "surrogates": "import sys\nprint(sys.stdout.errors)\nprint('\\udc80')",
    "no newline": "print('a', end='')",
    "stdin": "import sys\nprint(sys.stdin.read().upper())\nprint(input.__name__)",
    "closed stderr": "import sys\nsys.stderr.close()\nprint('fine')",
    "future": "def f(x: undefined_name): pass",
    "warning": "import warnings\nwarnings.warn('old', DeprecationWarning)",
    "pickle": (
        "import pickle\nclass Thing:\n    pass\n"
        "print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)"
    ),
    "inspect": "import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))",
    "outermost frame": "import sys\nprint(sys._getframe().f_code.co_name)",
    "broken pipe": "import os\nos.close(1)\nprint('x' * 10)",
    "coroutine": "import asyncio\nasync def f(): return 3\nprint(asyncio.run(f()))",
    "debug flag": "print(__debug__)\nassert True",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_as_python(name: str, write: Write, tmp_path: Path) -> None:
    write("script.py", SCRIPTS[name])
    plain, ours = run_both(["script.py", "--out", "a b", "--steps"], tmp_path, stdin=b"text\n")
    assert ours == plain


def test_these_scripts_do_what_their_names_say(write: Write, tmp_path: Path) -> None:
    """So that not all of them fail alike."""
    write("script.py", SCRIPTS["exception"])
    code = run([*PYTHON, "script.py"], tmp_path).code
    write("script.py", SCRIPTS["text"])
    text = run([*PYTHON, "script.py"], tmp_path)
    assert (code, text.code, text.out, text.err) == (1, 1, b"out\n", "a text\n")


def test_a_script_elsewhere(write: Write, tmp_path: Path) -> None:
    write("far/away/helper.py", "x = 'helper'")
    script = write("far/away/script.py", f"from helper import x\nprint(x)\n{FACTS}")
    (tmp_path / "link.py").symlink_to(script)
    for name in ("far/away/script.py", str(script), "link.py"):
        plain, ours = run_both([name, "-m", "--help"], tmp_path)
        assert ours == plain
        assert b"helper" in ours.out


@pytest.mark.parametrize("flag", ["-P", "-I", "-O", "-B", "-u"])
def test_flags_of_python(flag: str, write: Write, tmp_path: Path) -> None:
    write("script.py", "import sys\nprint(sys.flags, sys.path[0], __debug__)")
    plain = run([sys.executable, flag, "script.py"], tmp_path)
    ours = run(
        [sys.executable, flag, "-m", "inspect_autograd", "run", "--quiet", "script.py"], tmp_path
    )
    assert ours == plain


@pytest.fixture
def package(write: Write, tmp_path: Path) -> Path:
    write("pack/__init__.py", "print('package', __name__)")
    write("pack/helper.py", "x = 1")
    write("pack/train.py", f"from .helper import x\nfrom . import helper\n{FACTS}")
    write("pack/__main__.py", f"from .helper import x\n{FACTS}")
    write("pack/fails.py", "raise ValueError('here')")
    write("pack/inner/__init__.py", "")
    write("alone.py", FACTS)
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "pack.train", "--out", "x"],
        ["-m", "pack", "-m", "y"],
        ["-m", "alone"],
        ["-malone", "z"],
        ["pack/train.py"],
    ],
)
def test_modules(arguments: list[str], package: Path) -> None:
    plain, ours = run_both(arguments, package)
    # A relative import of a script fails alike; its traceback is compared too.
    assert ours == plain


def test_a_module_that_fails(package: Path) -> None:
    plain, ours = run_both(["-m", "pack.fails"], package)
    assert (ours.code, ours.out) == (plain.code, plain.out)
    # Python shows the frames of runpy here, which did not run this module.
    without = [line for line in plain.err.splitlines() if "<frozen runpy>" not in line]
    assert ours.err.splitlines() == without


@pytest.mark.parametrize("name", ["pack.nothing", "pack.inner"])
def test_a_module_that_is_not_there(name: str, package: Path) -> None:
    plain, ours = run_both(["-m", name], package)
    assert (ours.code, ours.out) == (plain.code, plain.out) == (1, b"package pack\n")
    assert ours.err.startswith(f"inspect-autograd: No module named {name}")
    assert plain.err.split(": ", 1)[1].strip() in ours.err


def test_folders_and_archives(package: Path) -> None:
    with zipfile.ZipFile(package / "app.zip", "w") as archive:
        archive.writestr("__main__.py", FACTS)
    (package / "folder").mkdir()
    (package / "folder" / "__main__.py").write_text(FACTS)
    for name in ("folder", "app.zip"):
        plain, ours = run_both([name, "x"], package)
        assert ours == plain
        assert ours.code == 0


def test_compiled_scripts(write: Write, tmp_path: Path) -> None:
    import py_compile

    py_compile.compile(
        str(write("script.py", "print(__file__, __name__)")), str(tmp_path / "c.pyc")
    )
    plain, ours = run_both(["c.pyc"], tmp_path)
    assert ours == plain


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(number: signal.Signals, write: Write, tmp_path: Path) -> None:
    write(
        "script.py",
        "import signal, time\nprint([signal.getsignal(s) for s in signal.valid_signals()], "
        "flush=True)\ntime.sleep(60)",
    )
    plain = interrupt([*PYTHON, "script.py"], tmp_path, number)
    for command in (
        [*RUN, "--quiet", "script.py"],
        [str(Path(sys.executable).with_name("inspect-autograd")), "run", "--quiet", "script.py"],
    ):
        assert interrupt(command, tmp_path, number) == plain
    assert plain.code == -number


def test_handlers_of_the_script(write: Write, tmp_path: Path) -> None:
    write(
        "script.py",
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(21))\n"
        "print('ready', flush=True)\ntime.sleep(60)",
    )
    ran = interrupt([*RUN, "--quiet", "script.py"], tmp_path, signal.SIGTERM)
    assert (ran.code, ran.err) == (21, "")


def test_the_process_of_the_script_is_ours(write: Write, tmp_path: Path) -> None:
    """No launcher in between: whoever started us can send signals to the script."""
    write("script.py", "import os\nprint(os.getppid())")
    ran = run([*RUN, "--quiet", "script.py"], tmp_path)
    assert int(ran.out) == os.getpid()


FORKS = """\
import multiprocessing, os, sys

def work(n):
    print("worker", n, __name__, flush=True)
    sys.exit(n)

if __name__ == "__main__":
    process = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(3,))
    process.start()
    process.join()
    print("main", process.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("module", [False, True])
def test_workers(method: str, module: bool, write: Write, tmp_path: Path) -> None:
    write("forks.py", FORKS)
    name = ["-m", "forks"] if module else ["forks.py"]
    plain, ours = run_both([*name, method], tmp_path)
    assert ours == plain
    assert ours.out.endswith(b"main 3\n")


def test_a_script_that_forks_itself(write: Write, tmp_path: Path) -> None:
    write(
        "script.py",
        "import os, sys\npid = os.fork()\nif not pid:\n    sys.exit(5)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
    )
    ran = run([*RUN, "script.py"], tmp_path)
    assert (ran.code, ran.out) == (0, b"5\n")
    assert ran.err.count("did not import torch") == 1


def test_a_script_without_torch_is_told_and_leaves_nothing(write: Write, tmp_path: Path) -> None:
    write("script.py", "import sys\nprint('torch' in sys.modules)")
    ran = run([*RUN, "script.py"], tmp_path)
    assert (ran.code, ran.out) == (0, b"False\n")
    assert ran.err.startswith("inspect-autograd: script.py did not import torch, so nothing was ")
    assert [path.name for path in tmp_path.iterdir()] == ["script.py"]


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        ([], "the command line names no script", "inspect-autograd run train.py"),
        (["trian.py"], "there is no script trian.py", "Check the path"),
        (["json"], "there is no script json", "inspect-autograd run -m json"),
        (["-m", "no_such"], "there is no module 'no_such' to run", "in the folder that holds it"),
        (["-m", "train.py"], "there is no module 'train' to run", "inspect-autograd run train.py"),
        (["."], ". is a folder without a __main__.py", "train.py"),
        (["--steps", "x", "here.py"], "--steps 'x' names no steps", "0:10 the first ten"),
        (["--out", "here.py", "here.py"], "--out is here.py, which is a file", "Name a folder"),
        (["--stats=off", "--steps=nonfinite", "here.py"], "--steps nonfinite looks for", "basic"),
        (["--stats", "all", "here.py"], "argument --stats: invalid choice: 'all'", "--help"),
    ],
)
@pytest.mark.usefixtures("in_folder")
def test_mistakes(cli: Any, arguments: list[str], message: str, remedy: str) -> None:
    ran = cli("run", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {message}" in ran.err
    assert remedy in ran.err.split("What to do: ")[1]


@pytest.fixture
def in_folder(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("here.py", "")
    monkeypatch.chdir(tmp_path)
