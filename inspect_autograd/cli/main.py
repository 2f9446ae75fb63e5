"""The command itself: which verb, what goes wrong, and the exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TextIO

from .. import __version__
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    FileFormatError,
    InspectAutogradError,
    TargetError,
)
from .json_output import json_only_on_stdout, to_json
from .result import Result, UsageError, UserCodeError
from .run_arguments import Program, split_arguments

__all__ = ["main"]

OK = 0
FAILED = 1
MISTAKE = 2
INTERRUPTED = 130
READER_GONE = 141

VERBS = {
    "run": "run a script or a module as it is, and record its backward passes",
    "show": "print a graph or a trace as text, or what is known of one node",
    "render": "draw a graph or a trace into a file: .png .svg .pdf .dot .txt .json",
    "step": "run a backward pass one node at a time, in a terminal or by a script",
    "compare": "say where two saved traces differ first",
    "demo": "a first gradient, explained step by step, two graphs and a backward pass",
    "doctor": "check that PyTorch, Graphviz and the rest are there and work",
}

EPILOG = """\
TARGET, where a verb takes one, is a file or Python code:
  graph.json                a graph that was saved
  trace.json, trace.jsonl   a trace of a backward pass that was saved, or its log
  train.py:loss             the tensor `loss` that train.py makes
  train.py:make_loss        a function without arguments; it is called, and returns the loss,
                            or the loss and the model: return loss, model
  package.module:name       the same, for a module that can be imported

examples:
  inspect-autograd demo                                  start here
  inspect-autograd run train.py --epochs 3               record a whole training script
  inspect-autograd show train.py:make_loss               the graph as text
  inspect-autograd show train.py:loss --find "Softmax*"  look nodes up
  inspect-autograd render train.py:loss -o graph.png     a picture
  inspect-autograd show trace.json                       what a backward pass did
  inspect-autograd compare before.json after.json        where two of them differ
  inspect-autograd step train.py:make_loss               a backward pass, node by node
  inspect-autograd VERB --help                           all options of a verb

exit codes:
  0    it worked
  1    the job failed: no picture could be drawn, or the code of TARGET raised an error;
       or compare found that the traces differ
  2    a mistake in the command line, or in the target
  130  interrupted with Ctrl-C
  141  whoever read the output has closed it, as `| head` does
`run` exits with the code of the script.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the name of the program; those of the process by default.

    Returns:
        The exit code: 0 it worked, 1 the job failed or two traces differ, 2 a mistake in the
        command line or in the target, 130 interrupted, 141 the reader of the output has gone.
    """
    arguments, program = _split([*(sys.argv[1:] if argv is None else argv)])
    give_back = _prepare_streams()
    as_json = "--json" in arguments
    try:
        with json_only_on_stdout() if as_json else nullcontext(sys.stdout) as stdout:
            result = _run(arguments, program, stdout, as_json=as_json)
            stdout.flush()
    except BrokenPipeError:
        # Python flushes once more on exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    if result.then is None:
        return result.code
    give_back()
    return result.then()


def _split(arguments: list[str]) -> tuple[list[str], Program | None]:
    """Our own arguments, and for `run` the program that the others belong to."""
    if arguments[:1] != ["run"]:
        return arguments, None
    own, program = split_arguments(arguments[1:])
    return ["run", *own], program


def _prepare_streams() -> Callable[[], None]:
    """Make sure that everything can be printed; what is returned puts it back as it was."""
    undo: list[Callable[[], None]] = []
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # The process was started with it closed.
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until the end)
            setattr(sys, name, nowhere)
            undo.append(partial(setattr, sys, name, None))
    for stream in (sys.stdout, sys.stderr):
        # A name may hold what the terminal's encoding lacks; better an escape than no output.
        if isinstance(stream, io.TextIOWrapper):
            undo.append(partial(stream.reconfigure, errors=stream.errors))
            stream.reconfigure(errors="backslashreplace")

    def give_back() -> None:
        for step in undo:
            step()

    return give_back


def _run(arguments: list[str], program: Program | None, stdout: TextIO, *, as_json: bool) -> Result:
    try:
        parser = _build_parser(arguments)
        _check_verb(arguments, parser)
        options = parser.parse_args(arguments, argparse.Namespace(program=program))
        verb = import_module(f".{options.verb}", __package__)
        result: Result = verb.run(options, _say_nothing if as_json else print)
    except SystemExit as request:  # --help and --version have printed what they should.
        return Result(code=OK if request.code is None else int(request.code))
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in arguments:
            traceback.print_exception(error)
        if as_json:
            print(to_json({"error": _describe(error)}), file=stdout)
        else:
            print(_format(error), file=sys.stderr)
        return Result(code=_exit_code(error))
    if as_json:
        print(to_json(result.data), file=stdout)
    return result


def _say_nothing(*_: object) -> None:
    """Stand in for print where stdout belongs to the JSON."""


# -- arguments ---------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises, so that a mistake can be told as JSON too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, usage=self.format_usage(), remedy=f"Run: {self.prog} --help")


def _build_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="inspect-autograd",
        description="See the graph that PyTorch's backward pass walks, and what it does there.",
        epilog=EPILOG,
        formatter_class=layout,
        allow_abbrev=False,
    )
    version = f"inspect-autograd {__version__}"
    parser.add_argument("--version", action="version", version=version)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, title="verbs")
    for name, summary in VERBS.items():
        verb_parser = verbs.add_parser(
            name, help=summary, formatter_class=layout, allow_abbrev=False
        )
        # Only the module of a verb that may be meant is imported.
        if name in arguments:
            import_module(f".{name}", __package__).add_arguments(verb_parser)
            _add_common_arguments(verb_parser, with_json=name != "run")
    return parser


def _check_verb(arguments: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Say more about a missing or misspelt verb than argparse does."""
    verb = next((argument for argument in arguments if not argument.startswith("-")), None)
    if verb in VERBS or (verb is None and not {"-h", "--help", "--version"}.isdisjoint(arguments)):
        return
    if verb is None:
        raise UsageError(
            "the command line names no verb",
            usage=parser.format_help(),
            remedy="Start with: inspect-autograd demo",
        )
    if verb.endswith((".json", ".jsonl", ".py")) or ":" in verb:
        remedy = f"Put a verb before the target: inspect-autograd show {verb}"
    else:
        near = get_close_matches(verb, VERBS, n=1)
        remedy = f"Use one of: {', '.join(VERBS)}." if not near else f"Did you mean {near[0]}?"
    raise UsageError(f"there is no verb {verb!r}", usage=parser.format_usage(), remedy=remedy)


def _add_common_arguments(parser: argparse.ArgumentParser, *, with_json: bool) -> None:
    group = parser.add_argument_group("for scripts and for finding faults")
    if with_json:  # The stdout of `run` belongs to what it runs.
        group.add_argument("--json", action="store_true", help="print one JSON object, errors too")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


# -- errors ------------------------------------------------------------------------------------


def _exit_code(error: BaseException) -> int:
    mistakes = (UsageError, TargetError, FileFormatError, ArgumentError, ArgumentTypeError)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return MISTAKE if isinstance(error, mistakes) else FAILED


def _message_and_remedy(error: BaseException) -> tuple[str, str]:
    match error:
        case KeyboardInterrupt():
            return "interrupted", ""
        case InspectAutogradError():
            return error.message, error.remedy
        case OSError():
            return str(error), ""
        case _:
            return (
                f"internal error: {type(error).__name__}: {error}",
                "This is a fault of inspect-autograd; --debug shows where it happened.",
            )


def _describe(error: BaseException) -> dict[str, Any]:
    message, remedy = _message_and_remedy(error)
    described: dict[str, Any] = {
        "type": type(error).__name__,
        "message": message,
        "remedy": remedy,
        "exit_code": _exit_code(error),
    }
    if isinstance(error, UserCodeError):
        # The text output has this line in the traceback already.
        described["message"] = f"{message}\n{error.detail}"
        described |= {"type": error.type_name, "traceback": error.traceback}
    return described


def _format(error: BaseException) -> str:
    message, remedy = _message_and_remedy(error)
    lines = [f"error: {message}"]
    if isinstance(error, UserCodeError) and error.traceback:
        lines.insert(0, error.traceback.rstrip("\n"))
    if isinstance(error, UsageError) and error.usage:
        lines.insert(0, error.usage.rstrip("\n"))
    if remedy:
        lines.append(f"  What to do: {remedy}")
    return "\n".join(lines)
