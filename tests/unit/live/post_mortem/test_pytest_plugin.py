"""The plugin of pytest, in runs of pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_torch():
    import torch
    y = torch.ones(3, requires_grad=True) * 2
    y.backward()

def test_other():
    assert 1 == 2

@pytest.mark.xfail
def test_expected():
    import torch
    (torch.ones(3, requires_grad=True) * 2).backward()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def run(project: Path, *arguments: str) -> str:
    start = f"import sys; sys.path[:] = {sys.path!r}; import pytest; sys.exit(pytest.main())"
    plugin = ["-p", "inspect_autograd.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-c", start, *plugin, *arguments]
    # An installed inspect_autograd would bring the plugin a second time, under its own name.
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    ran = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    return ran.stdout


def test_a_failing_test_gets_a_section(project: Path) -> None:
    printed = run(project)
    assert "2 failed, 1 xfailed" in printed
    assert printed.count("- inspect_autograd -") == 1
    section = printed.split("- inspect_autograd -")[1]
    assert "[non-scalar-output]" in section
    assert "y (f32[3])" in section


def test_the_option_turns_it_off(project: Path) -> None:
    printed = run(project, "--no-inspect-autograd")
    assert "2 failed, 1 xfailed" in printed
    assert "inspect_autograd -" not in printed


def test_it_does_not_import_torch(project: Path) -> None:
    (project / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n    print('torch:', 'torch' in sys.modules)\n"
    )
    printed = run(project, "-s", "-k", "test_other")
    assert "1 failed" in printed
    assert "torch: False" in printed
