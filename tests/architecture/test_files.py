"""Rules for every file of the project, whatever is in it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400

# Written so that the patterns do not match themselves.
FORBIDDEN = {
    "a path of one machine": re.compile(
        r"(?<![\w.:)}\]>-])/(?:home|root|Users|work|farm|opt|srv|mnt)/\w|\b[A-Z]:\\Users\\"
    ),
    "the host of a package registry": re.compile(
        r"\bpypi\.org|\bpythonhosted\.org|\bdownload\.pytorch\.org|\bconda\.anaconda\.org"
    ),
    "an option that chooses a package registry": re.compile(
        r"--(?:extra-)?index[-]url|--find[-]links|PIP_(?:EXTRA_)?INDEX[_]URL"
    ),
}


def project_files() -> list[Path]:
    """Every file that is committed or would be: all but the ignored ones."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so git cannot say which files belong to the project")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, cwd=ROOT, text=True).split("\0")
    # A deleted file is listed until its deletion is committed.
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_python_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in project_files()
        if path.suffix == ".py"
    }
    assert lengths, "git lists no Python file"
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_text_names_a_machine() -> None:
    found = []
    for path in project_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        found += [
            f"{path.relative_to(ROOT)}:{number}: {what}: {line.strip()[:80]}"
            for number, line in enumerate(lines, start=1)
            for what, pattern in FORBIDDEN.items()
            if pattern.search(line)
        ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('open("' + "/home/" + 'ann/x")', "a path of one machine"),
        ("see " + "C:\\" + "Users\\ann", "a path of one machine"),
        ("https://" + "pypi." + "org/simple", "the host of a package registry"),
        ("pip install --index" + "-url x", "an option that chooses a package registry"),
    ],
)
def test_the_patterns_find_what_they_should(line: str, what: str) -> None:
    assert [name for name, pattern in FORBIDDEN.items() if pattern.search(line)] == [what]


@pytest.mark.parametrize("line", ["https://example.org/home/page", "#!/usr/bin/env bash"])
def test_the_patterns_leave_the_rest_alone(line: str) -> None:
    assert not any(pattern.search(line) for pattern in FORBIDDEN.values())
