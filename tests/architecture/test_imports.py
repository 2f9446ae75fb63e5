"""What importing the package costs, and that its public names are all there."""

import importlib
import subprocess
import sys

import pytest

import inspect_autograd

# Each of these would make the first line of every program that uses the package slower.
HEAVY = ("dataclasses", "graphviz", "inspect", "numpy", "pygraphviz", "rich", "torch")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import inspect_autograd\n"
        f"print(*sorted((set(sys.modules) - before) & set({HEAVY!r})))"
    )
    # -I -S: no site-packages hook may have loaded one of them before; the paths are given back.
    code = f"import sys; sys.path[:] = {sys.path!r}\n{code}"
    printed = subprocess.check_output([sys.executable, "-I", "-S", "-c", code], text=True)
    assert printed.split() == []


@pytest.mark.parametrize("name", inspect_autograd._MODULE_OF_NAME)
def test_every_lazy_name_is_there(name: str) -> None:
    # `edits` is a module, whose name is a path.
    assert getattr(inspect_autograd, name).__name__.rpartition(".")[2] == name


def test_lazy_names_are_the_public_ones() -> None:
    assert {*inspect_autograd._MODULE_OF_NAME, "__version__"} == {*inspect_autograd.__all__}
    assert {*inspect_autograd.__all__} <= {*dir(inspect_autograd)}


def test_a_misspelt_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'inspect_autograd' has no attribute 'captur'"):
        _ = inspect_autograd.captur  # type: ignore[attr-defined]


def test_no_submodule_shadows_a_public_name() -> None:
    # Importing a submodule sets an attribute of its name on the package.
    for name in inspect_autograd.__all__:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"inspect_autograd.{name}")
