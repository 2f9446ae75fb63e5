"""Where our options end and those of the script begin."""

import pytest

from inspect_autograd.cli.run_arguments import Program, split_arguments


@pytest.mark.parametrize(
    ("words", "own", "program"),
    [
        ("train.py", [], Program("train.py", ())),
        ("train.py --out x --help", [], Program("train.py", ("--out", "x", "--help"))),
        ("--out x train.py", ["--out=x"], Program("train.py", ())),
        ("--out=x train.py", ["--out=x"], Program("train.py", ())),
        ("--steps -1: t.py", ["--steps=-1:"], Program("t.py", ())),
        ("--quiet --stats full t.py -m", ["--quiet", "--stats=full"], Program("t.py", ("-m",))),
        ("--pictures t.py", ["--pictures"], Program("t.py", ())),
        ("-m a.b --quiet", [], Program("a.b", ("--quiet",), is_module=True)),
        ("--quiet -ma.b -- x", ["--quiet"], Program("a.b", ("--", "x"), is_module=True)),
        ("--quiet -- --odd.py --", ["--quiet"], Program("--odd.py", ("--",))),
        ("- x", [], Program("-", ("x",))),
        ("--help", ["--help"], None),
        ("--out", ["--out"], None),
        ("--", [], None),
        ("-m", [], None),
        ("", [], None),
    ],
)
def test_split(words: str, own: list[str], program: Program | None) -> None:
    assert split_arguments(words.split()) == (own, program)


def test_the_name_of_a_program() -> None:
    assert str(Program("a/b.py", ("x",))) == "a/b.py"
    assert str(Program("a.b", (), is_module=True)) == "-m a.b"
