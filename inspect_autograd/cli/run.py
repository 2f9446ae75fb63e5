"""`inspect-autograd run`: run a script as it is, and record its backward passes."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from .result import Result, Say, UsageError
from .run_arguments import Program
from .run_program import ModuleToRunError, check_program, execute
from .run_session import RunOptions, Session, complain
from .run_steps import DEFAULT_STEPS, parse_steps
from .run_traceback import drop_our_frames

__all__ = ["add_arguments", "run"]

USAGE = """\
inspect-autograd run [options] script.py [arguments of the script …]
       inspect-autograd run [options] -m module [arguments of the module …]"""

DESCRIPTION = """\
Run a training script, or any other program, exactly as `python script.py` would, and record its
backward passes: which nodes ran, which line and module made each of them, what they received and
returned. Nothing has to be changed in the script. Its output and its exit code stay its own; a
summary is printed to stderr when it is over, also if it failed.

What stands behind the name of the script belongs to the script.
"""

EPILOG = """\
--steps takes numbers and ranges as Python's slices have them, with commas between several:
  0:10         the first ten steps; after them recording costs next to nothing
  ::100        every hundredth step
  500,1000     these two
  -3:          the last three, also where the script fails; so all of them have to be recorded
  nonfinite    the first one whose gradients have NaN or Inf in them
  :            all of them
A step ends with optimizer.step(); in a program without an optimizer, with the next backward pass.

examples:
  inspect-autograd run train.py --epochs 3             the first three steps and the last one
  inspect-autograd run --steps ::1000 train.py         a long training
  inspect-autograd run -m package.train                as python -m package.train
  torchrun --nproc-per-node 2 -m inspect_autograd run train.py      a folder for each rank
  inspect-autograd compare inspect_autograd_out/rank0 inspect_autograd_out/rank1

The exit code is that of the script, or 2 if the command line cannot be understood.
"""

DEFAULT_OUT = Path("inspect_autograd_out")
SUFFIXES = ("svg", "png", "pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog, parser.usage = DESCRIPTION, EPILOG, USAGE
    parser.add_argument(
        "--steps",
        type=str,
        default=DEFAULT_STEPS,
        metavar="STEPS",
        help="the steps to keep, see below (%(default)s by default: the first three and the last)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=DEFAULT_OUT,
        metavar="DIR",
        help="folder for the files, made if it is not there (%(default)s by default); what an "
        "earlier run wrote there is replaced",
    )
    parser.add_argument(
        "--stats",
        choices=("off", "meta", "basic", "full"),
        default="basic",
        help="what to note of gradients: off nothing, meta shapes, basic norm, min and max "
        "(the default), full mean and counts too",
    )
    parser.add_argument(
        "--pictures",
        nargs="?",
        const="svg",
        choices=SUFFIXES,
        metavar="FORMAT",
        help="draw every trace that was kept, at the end; --pictures=png for another format than "
        f"svg ({', '.join(SUFFIXES)})",
    )
    parser.add_argument(
        "--no-effects",
        action="store_true",
        help="do not look for writes in place and for cuts in the graph; faster",
    )
    parser.add_argument(
        "--stack", action="store_true", help="keep PyTorch's own lines too, not the script's alone"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="print neither progress nor summary, only write files"
    )


def run(options: argparse.Namespace, say: Say) -> Result:  # noqa: ARG001 (every verb takes them)
    """Check what can be checked, and leave the rest for when the streams are the script's."""
    program: Program | None = options.program
    if program is None:
        raise UsageError(
            "the command line names no script",
            usage=f"usage: {USAGE}",
            remedy="Write, for example: inspect-autograd run train.py",
        )
    check_program(program)
    session = Session(_to_options(options), program)
    return Result(then=partial(_run, program, session))


def _to_options(options: argparse.Namespace) -> RunOptions:
    rank = _rank()
    choice = parse_steps(options.steps)
    if choice.nonfinite and options.stats in ("off", "meta"):
        raise UsageError(
            f"--steps {options.steps} looks for NaN and Inf, but --stats {options.stats} measures "
            "no gradient",
            remedy="Use --stats basic, the default, or full.",
        )
    return RunOptions(
        choice=choice,
        out=options.out if rank is None else options.out / f"rank{rank}",
        stats=options.stats,
        pictures=f".{options.pictures}" if options.pictures else "",
        effects=not options.no_effects,
        stack=options.stack,
        quiet=options.quiet,
        debug=options.debug,
        rank=rank,
    )


def _rank() -> int | None:
    """Which of several processes this is, as torchrun and other launchers say it."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if rank.isdigit() and size.isdigit() and int(size) > 1:
        return int(rank)
    return None


def _run(program: Program, session: Session) -> int:
    """Run the program; the exit code, unless it is for Python itself to make one."""
    request: SystemExit | None = None
    failure: BaseException | None = None
    session.begin()
    try:
        execute(program)
    except SystemExit as error:
        request = error
    except ModuleToRunError as error:
        complain(str(error))
        return 1
    except BaseException as error:
        failure = error
        request = _show(error)
    session.finish(failure)
    if request is not None:
        raise request  # Python prints its text, if it has one, and makes it the exit code.
    if isinstance(failure, KeyboardInterrupt):
        # Python ends by the signal itself then, for a shell that waits to know.
        sys.excepthook = _show_nothing
        raise failure
    return 0 if failure is None else 1


def _show(error: BaseException) -> SystemExit | None:
    """Print the traceback as Python does; what the script's own hook wants to exit with, if so."""
    drop_our_frames(error)
    arguments = (type(error), error, error.__traceback__)
    sys.last_type, sys.last_value, sys.last_traceback = arguments
    sys.last_exc = error  # type: ignore[attr-defined]  # Python 3.12 and newer
    if sys.stdout is not None:
        with suppress(OSError, ValueError):  # Python flushes once more, and says so.
            sys.stdout.flush()
    try:
        sys.excepthook(*arguments)
    except SystemExit as request:
        return request
    except BaseException as failed:
        drop_our_frames(failed)
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(failed), failed, failed.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(*arguments)
    return None


def _show_nothing(*_: object) -> None:
    """Stand in for `sys.excepthook`: the traceback was shown already."""
