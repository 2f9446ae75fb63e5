"""Finds the fenced code blocks of a Markdown file and runs them.

What is run:

- ```` ```python ````: executed; the blocks of one file share their variables, in order. A block
  that starts with `>>>` is a doctest: its output is compared.
- ```` ```console ````: every `$ inspect-autograd …` is run, and what it prints, errors included,
  is compared with the lines below it. An exit status other than 0 must be shown, as a last line
  `[exit status 1]`.

In expected output `...` stands for anything. A block that cannot be run has the comment
`<!-- not executed: why -->` on the line above it. Blocks in other languages are only shown.
"""

import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

FENCE = re.compile(r"^ *(?P<fence>`{3,}|~{3,}) *(?P<language>[\w+-]*)[^`]*$")
NOT_EXECUTED = re.compile(r"^\s*<!--\s*not executed(?P<colon>:?)\s*(?P<reason>.*?)\s*-->\s*$")
DOCTEST_FLAGS = doctest.ELLIPSIS
COMMAND = "inspect-autograd"


class ExampleError(Exception):
    """An example does not do what the documentation says; the message starts with file:line."""


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is the number of its first line inside the fence."""

    path: Path
    line: int
    language: str
    text: str
    not_executed: str | None = None

    def at(self, offset: int = 0) -> str:
        """`file:line` of the line `offset` lines below the first."""
        return f"{self.path}:{self.line + offset}"


def find_blocks(path: Path, text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown text, in order."""
    lines = iter(enumerate([*text.splitlines(), ""], start=1))
    above = ""
    for number, line in lines:
        if opening := FENCE.match(line):
            inside: list[str] = []
            for _, content in lines:
                # A fence is closed by one that is at least as long and names no language.
                if re.fullmatch(rf" *{opening['fence']}{opening['fence'][0]}* *", content):
                    break
                inside.append(content)
            else:
                raise ExampleError(f"{path}:{number}: this code block is never closed")
            reason = _reason(f"{path}:{number - 1}", above)
            code = dedent("\n".join(inside)) + "\n"
            yield Block(path, number + 1, opening["language"], code, reason)
        elif NOT_EXECUTED.match(above):
            raise ExampleError(f"{path}:{number - 1}: no code block follows on the next line")
        above = line


def _reason(place: str, line: str) -> str | None:
    comment = NOT_EXECUTED.match(line)
    if comment and not (comment["colon"] and comment["reason"]):
        raise ExampleError(f"{place}: say why: <!-- not executed: the reason -->")
    return comment["reason"] if comment else None


def run_block(block: Block, namespace: dict[str, object]) -> None:
    """Run one block in the current directory.

    Args:
        block: What to run; blocks in other languages than python and console are passed over.
        namespace: The variables of the file's Python blocks; changed by running.

    Raises:
        ExampleError: It failed, or its output is not the one that the file shows.
    """
    if block.not_executed:
        return
    if block.language == "python" and block.text.lstrip().startswith(">>>"):
        _run_doctest(block, namespace)
    elif block.language == "python":
        _run_python(block, namespace)
    elif block.language == "console":
        _run_console(block)


def _run_python(block: Block, namespace: dict[str, object]) -> None:
    # The empty lines make the line numbers of tracebacks those of the Markdown file.
    source = "\n" * (block.line - 1) + block.text
    try:
        exec(compile(source, str(block.path), "exec"), namespace)
    except SyntaxError as error:
        raise ExampleError(f"{block.path}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next(f.lineno for f in reversed(frames) if f.filename == str(block.path))
        message = f"{block.path}:{line}: {type(error).__name__}: {error}"
        raise ExampleError(message) from error


def _run_doctest(block: Block, namespace: dict[str, object]) -> None:
    runner = doctest.DocTestRunner(verbose=False, optionflags=DOCTEST_FLAGS)
    for example in doctest.DocTestParser().get_examples(block.text):
        # One test per example, so that the first failure ends the run.
        test = doctest.DocTest([example], {}, "example", str(block.path), block.line - 1, None)
        test.globs = namespace
        output = io.StringIO()
        if runner.run(test, out=output.write, clear_globs=False).failed:
            raise ExampleError(f"{block.at(example.lineno)}: {output.getvalue()}")


def _run_console(block: Block) -> None:
    for offset, command, expected in find_commands(block):
        words = shlex.split(command)
        if words[0] != COMMAND:
            raise ExampleError(
                f"{block.at(offset)}: only {COMMAND} is run in a console block; show other "
                "commands in a sh block, or put <!-- not executed: why --> above it"
            )
        printed = run_command(words[1:])
        if not is_match(expected, printed):
            raise ExampleError(
                f"{block.at(offset)}: $ {command}\nExpected:\n{expected}Printed:\n{printed}"
            )


def find_commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """The commands of a console block: line offset, command, and the output shown below it."""
    lines = block.text.splitlines()
    starts = [offset for offset, line in enumerate(lines) if line.startswith("$ ")]
    if not starts or starts[0] != 0:
        raise ExampleError(f"{block.at()}: a console block starts with `$ {COMMAND} …`")
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        output = "".join(f"{line}\n" for line in lines[start + 1 : end])
        yield start, lines[start].removeprefix("$ "), output


def run_command(arguments: list[str]) -> str:
    """What the installed command prints, to a reader without colours and 80 columns wide."""
    finished = subprocess.run(
        [str(Path(sys.executable).with_name(COMMAND)), *arguments],
        env={**os.environ, "PYTHONWARNINGS": "error", "NO_COLOR": "1", "COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    status = f"[exit status {finished.returncode}]\n" if finished.returncode else ""
    return finished.stdout + status


def is_match(expected: str, printed: str) -> bool:
    """Whether a text is the expected one, with doctest's `...`; trailing blanks do not count."""
    want, got = (
        "".join(f"{line.rstrip()}\n" for line in text.rstrip().splitlines())
        for text in (expected, printed)
    )
    return doctest.OutputChecker().check_output(want, got, DOCTEST_FLAGS)
