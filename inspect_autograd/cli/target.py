"""TARGET: the graph or trace that a verb works on, from a saved file or from the user's code."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from ..diagnosis.load import Saved, load
from ..diagnosis.report import Report
from ..errors import ArgumentTypeError, NoGraphError, TargetError
from ..events.recording import Recording
from ..events.trace import Trace
from ..graph.graph import Graph
from .result import UsageError

__all__ = [
    "MAKE_A_RECORDING",
    "MAKE_A_TRACE",
    "Made",
    "add_target_arguments",
    "count",
    "is_code",
    "load_target",
    "load_trace",
    "positive_number",
    "refuse_options",
    "run_target",
]

FORMS = (
    "Name a saved graph, trace, recording or report (graph.json, trace.json, trace.jsonl, "
    "recording.json, report.json), a name in a file (train.py:loss), or a name in a module "
    "(package.module:loss)."
)
TRACES = "Name a saved trace (trace.json) or the log of one (trace.jsonl)."
MAKE_A_TRACE = (
    "Trace the backward pass in Python first: `with inspect_autograd.trace(loss) as trace:` around "
    'loss.backward(), then trace.save("trace.json").'
)
MAKE_A_RECORDING = (
    "Record a step in Python first: `with inspect_autograd.record(model) as recording:` around "
    'forward and backward, then recording.save("recording.json").'
)
SAVED_SUFFIXES = (".json", ".jsonl")


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    """Add TARGET and what is said about capturing it."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a saved graph (graph.json), trace (trace.json), log of a trace (trace.jsonl) or "
        "recording (recording.json), or a tensor or function in Python code (train.py:loss, "
        "package.module:make_loss)",
    )
    parser.add_argument(
        "--max-nodes",
        type=count,
        metavar="N",
        help="capture no more than N nodes, those nearest the loss (all by default)",
    )


def count(text: str) -> int:
    """A whole number above 0, as the type of an argument."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def positive_number(text: str, what: str) -> float:
    """A finite number above 0, as the type of an argument.

    Args:
        text: What was written.
        what: What was expected, for the message.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return number


def refuse_options(
    options: argparse.Namespace, remedies: Mapping[str, str], kind: str, *, meant: str = ""
) -> None:
    """Refuse the options that the target has no use for.

    Args:
        options: What the command line says; as `options.target` the target.
        remedies: Names of the options that are refused, as on the command line, with what to do
            instead.
        kind: What the target is: `graph`, `trace`, `recording` or `report`.
        meant: What the options are for, if it is not the other one of graph and trace.

    Raises:
        UsageError: One of them is there.
    """
    other = meant or {"graph": "trace", "trace": "graph"}[kind]
    for name, remedy in remedies.items():
        value = getattr(options, name.removeprefix("--").replace("-", "_"))
        if value is not None and value is not False:
            makes = "makes" if is_code(options.target) else "is"
            raise UsageError(
                f"{name} is for a {other}, but {options.target} {makes} a {kind}", remedy=remedy
            )


def is_code(target: str) -> bool:
    """Whether a target names Python code, which makes a graph, and not a file that was saved."""
    return ":" in target and not Path(target).exists()


def load_target(target: str, *, max_nodes: int | None = None) -> Saved:
    """The graph that a target names, or what there is in a file.

    Args:
        target: As on the command line.
        max_nodes: Capture no more than this.

    Raises:
        TargetError: The target names nothing, or nothing that has a graph.
        UserCodeError: The code that it names raised an error.
        FileFormatError: The file is no saved graph, trace, recording or report.
    """
    if not is_code(target):
        return _load_file(Path(target), max_nodes)
    # From the right, since a path may hold a colon itself: C:\\train.py:loss.
    code, _, name = target.rpartition(":")
    if not name and code.endswith(".py"):
        return _load_file(Path(code), max_nodes)
    _check_name(code, name, target)
    return _load_code(code, name, target, max_nodes)


def load_trace(target: str) -> Trace:
    """The trace in a file, where nothing else will do.

    Raises:
        TargetError: There is no such file, or it holds something else.
        FileFormatError: The file is no saved trace.
    """
    path = Path(target)
    if is_code(target) or path.suffix == ".py":
        raise TargetError(
            f"{target} is Python code; expected a saved trace",
            remedy=f"{TRACES} {MAKE_A_TRACE}",
        )
    if path.is_dir():
        raise TargetError(f"{path} is a folder; expected a saved trace", remedy=TRACES)
    if not path.exists():
        raise _missing_file(path)
    loaded = _load_file(path, None)
    if isinstance(loaded, Graph):
        raise TargetError(
            f"{path} is a saved graph; expected a saved trace", remedy=f"{TRACES} {MAKE_A_TRACE}"
        )
    if isinstance(loaded, Recording):
        raise TargetError(
            f"{path} is a saved recording; expected a saved trace",
            remedy="Save one of its traces: "
            f"inspect-autograd render {path} --trace 0 -o trace.json",
        )
    if isinstance(loaded, Report):
        raise TargetError(f"{path} is a saved report; expected a saved trace", remedy=TRACES)
    return loaded


# -- files ---------------------------------------------------------------------------------------


def _load_file(path: Path, max_nodes: int | None) -> Saved:
    if path.suffix == ".py":
        if not path.exists():
            raise _missing_file(path)
        names = _names_in_source(path)[:10]
        where = f", where NAME may be one of: {', '.join(names)}." if names else "."
        raise TargetError(
            f"{path} is Python code, but the target does not say what in it to look at",
            remedy=f"Write {path}:NAME{where}",
        )
    if path.is_dir():
        raise TargetError(f"{path} is a folder", remedy=FORMS)
    if not path.exists():
        if path.suffix in SAVED_SUFFIXES or len(path.parts) > 1:
            raise _missing_file(path)
        raise TargetError(f"there is no file {path}, and no name in Python code", remedy=FORMS)
    if max_nodes is not None:
        raise TargetError(
            f"--max-nodes bounds what is captured, but {path} was captured before",
            remedy="Leave --max-nodes out, or name the code that makes the graph.",
        )
    return load(path)


def _missing_file(path: Path) -> TargetError:
    folder = path.parent
    if not folder.is_dir():
        return TargetError(f"there is no folder {folder}", remedy="Check the path.")
    suffixes = {path.suffix, ".py", *SAVED_SUFFIXES}
    others = sorted(other.name for other in folder.iterdir() if other.suffix in suffixes)
    near = get_close_matches(path.name, others, n=3, cutoff=0.5)
    return TargetError(
        f"there is no file {path}",
        remedy=f"Did you mean {', '.join(near)}?" if near else "Check the path.",
    )


def _names_in_source(path: Path) -> list[str]:
    """What a file might be asked for, read off its text: running it may take hours."""
    import ast

    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return []
    names = []
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name, args=args):
                positional = len(args.posonlyargs) + len(args.args) - len(args.defaults)
                if not positional and None not in args.kw_defaults and not name.startswith("_"):
                    names.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.startswith("_"):
                names.append(name)
    return list(dict.fromkeys(reversed(names)))  # A loss tends to come last.


# -- code ----------------------------------------------------------------------------------------


def _check_name(code: str, name: str, target: str) -> None:
    if not code:
        raise TargetError(f"{target!r} names no file or module before the colon", remedy=FORMS)
    if name.endswith("()"):
        raise TargetError(
            f"{target!r} has parentheses, which a name does not",
            remedy=f"Write {target.removesuffix('()')}: a function is called by itself.",
        )
    if not name:
        raise TargetError(
            f"{target!r} does not say what in {code} to look at", remedy=f"Write {target}NAME."
        )
    if not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"{name!r} is not a name in Python", remedy=FORMS)


def _load_code(code: str, name: str, target: str, max_nodes: int | None) -> Graph:
    # Imported before the user's folder is put on sys.path, so that a random.py there cannot take
    # the place of the one that torch imports.
    from ..live.capture import capture

    made = _run_code(code, name, target)
    if isinstance(made, Graph):
        return made
    with _worded_for(target):
        return capture(made.outputs, params=made.params, max_nodes=max_nodes)


class Made(NamedTuple):
    """What the code of a target has made.

    Attributes:
        outputs: What has a graph.
        params: Names for its leaves.
    """

    outputs: Any
    params: list[tuple[str, Any]]


@contextmanager
def run_target(target: str, why: str) -> Iterator[Made]:
    """Run the code that a target names, where nothing else will do, for what it makes.

    What is raised in the body about `outputs` is worded for the target.

    Args:
        target: As on the command line.
        why: What the code is needed for, to be said of a file that was saved.

    Raises:
        TargetError: The target names nothing, or nothing that has a graph, or it is a saved file.
        UserCodeError: The code that it names raised an error.
    """
    code, _, name = target.rpartition(":")
    if not is_code(target) or not name:
        path = Path(target)
        loaded = _load_file(path, None) if not is_code(target) else load_target(target)
        raise _is_saved(target, type(loaded).__name__.lower(), why)
    _check_name(code, name, target)
    made = _run_code(code, name, target)
    if isinstance(made, Graph):
        raise _is_saved(target, "graph", why)
    with _worded_for(target):
        yield made


def _is_saved(target: str, kind: str, why: str) -> TargetError:
    return TargetError(
        f"{target} is a {kind} of plain records; expected Python code, as {why}",
        remedy="Name the code that makes the loss: train.py:make_loss.",
    )


def _run_code(code: str, name: str, target: str) -> Graph | Made:
    path = Path(code)
    is_file = path.suffix == ".py" or len(path.parts) > 1
    if is_file and not path.is_file():
        raise _missing_file(path)
    from .resolve import find_names, find_object, to_outputs
    from .user_code import import_module, run_file, user_code

    folder = path.resolve().parent if is_file else Path.cwd()
    with user_code(code, first_path=folder, argv=[code]):
        module = run_file(path.resolve()) if is_file else import_module(code)
        value = find_object(module, name, target)
        if isinstance(value, Graph):
            return value
        outputs, model = to_outputs(value, target)
        if isinstance(outputs, Trace):
            raise TargetError(
                f"{target} is a Trace, and traces are read from files only",
                remedy='Save it, trace.save("trace.json"), and name the file.',
            )
        return Made(outputs, find_names(module, model))


@contextmanager
def _worded_for(target: str) -> Iterator[None]:
    """Put the target in the place of `outputs` in what is raised about it."""
    try:
        yield
    except (ArgumentTypeError, NoGraphError) as error:
        message = error.message.replace("outputs", target, 1)
        raise TargetError(message, remedy=error.remedy) from error
