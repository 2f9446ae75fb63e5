"""Whose lines are blamed: the user's own before those of packages, never Python's or torch's."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.live.file_owners import find_line_of_user, is_installed, owner_of

TRAINER = "def backward(loss):\n    loss.backward()\n"
SCRIPT = "def step(loss):\n    trainer.backward(loss)\n"


def run(path: Path, source: str, **names: Any) -> dict[str, Any]:
    """The names of a module in a file of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    exec(compile(source, str(path), "exec"), names)
    return names


@pytest.fixture
def trainer(tmp_path: Path) -> Any:
    """An installed package that calls backward."""

    class Trainer:
        path = tmp_path / "lib" / "site-packages" / "trainer.py"
        backward = staticmethod(run(path, TRAINER)["backward"])

    return Trainer


@pytest.fixture
def script(tmp_path: Path, trainer: Any) -> Any:
    """The user's own file, which calls the package."""

    class Script:
        path = tmp_path / "train.py"
        step = staticmethod(run(path, SCRIPT, trainer=trainer)["step"])

    return Script


def failing() -> torch.Tensor:
    return torch.ones(3, requires_grad=True) * 2


def explained(call: Any) -> ia.Report:
    """Runs it below a frame of the standard library, and leaves its own frame out."""
    with pytest.raises(RuntimeError) as caught:
        call(failing())
    error = caught.value
    assert error.__traceback__ is not None
    return ia.explain(error.with_traceback(error.__traceback__.tb_next))


def test_the_line_that_raised_is_the_users_own(script: Any, trainer: Any) -> None:
    report = explained(script.step)
    assert [found.slug for found in report.diagnoses] == ["non-scalar-output"]
    assert report.failure is not None
    assert report.failure.source == ia.SourceLine(str(script.path), 2, "step")
    assert "trainer.backward(loss)" in str(report)


def test_a_package_stands_in_where_there_is_nothing_else(trainer: Any) -> None:
    failure = explained(trainer.backward).failure
    assert failure is not None
    assert failure.source == ia.SourceLine(str(trainer.path), 2, "backward")


def test_a_pass_is_asked_for_by_the_users_own_line(script: Any, trainer: Any) -> None:
    loss = failing().sum()
    with ia.trace(loss) as trace:
        script.step(loss)
    assert trace.passes[0].place == f"{script.path.name}:2"


def test_a_recorded_line_may_lie_in_a_package(tmp_path: Path) -> None:
    path = tmp_path / "site-packages" / "layers.py"
    layer = run(path, "def double(x):\n    return x * 2\n")["double"]
    with ia.record():
        y = layer(torch.ones(1, requires_grad=True))
        graph = ia.capture(y)
    assert graph.nodes[0].source == ia.SourceLine(str(path), 2, "double")


def test_a_recorded_line_does_not_lie_in_the_standard_library(tmp_path: Path) -> None:
    # The function that singledispatch makes is one of functools.py, and calls sin itself.
    sine = functools.singledispatch(torch.sin)
    path = tmp_path / "model.py"
    names = run(path, "def model(x):\n    return sine(x)\n", sine=sine)
    with ia.record():
        graph = ia.capture(names["model"](torch.ones(1, requires_grad=True)))
    assert graph.nodes[0].source == ia.SourceLine(str(path), 2, "model")


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        (torch.nn.functional.__file__, "torch"),
        (functools.__file__, "python"),
        ("<frozen importlib._bootstrap>", "python"),
        (ia.__file__, "inspect_autograd"),
        (str(Path(ia.__file__).parent / "cli" / "run_program.py"), "inspect_autograd"),
        (str(Path(ia.__file__).parent / "cli" / "demo.py"), "user"),
        (pytest.__file__, "user"),
        (__file__, "user"),
        ("<ipython-input-1>", "user"),
    ],
)
def test_owners(file: str, owner: str) -> None:
    assert owner_of(file) == owner


def test_installed_is_a_folder_and_not_a_part_of_a_name() -> None:
    assert is_installed(str(Path("/usr/lib/python3/dist-packages/a.py")))
    assert not is_installed(str(Path("/code/my-site-packages-list/a.py")))


def test_the_innermost_of_each_kind() -> None:
    own, installed, python = "/me/a.py", "/x/site-packages/b.py", functools.__file__

    def find(*files: str) -> str | None:
        return find_line_of_user(files, lambda file: file)

    assert find(installed, python, own, "/me/outer.py") == own
    assert find(python, installed, "/y/site-packages/c.py") == installed
    assert find(python, torch.__file__) is None


def test_the_guilty_line_is_the_users_own_too(tmp_path: Path) -> None:
    """Where a rule knows no other line than the one that failed."""
    package = tmp_path / "site-packages" / "train.py"
    ask = run(package, "def ask(x):\n    return x.requires_grad_()\n")["ask"]
    path = tmp_path / "model.py"
    step = run(path, "def step(x):\n    return ask(x.long())\n", ask=ask)["step"]
    (found,) = explained(step).diagnoses
    assert found.slug == "integer-requires-grad"
    assert found.source == ia.SourceLine(str(path), 2, "step")
    assert "x.requires_grad_()" in found.evidence[0].text
