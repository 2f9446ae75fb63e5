"""`inspect-autograd show`: a graph, a trace, a recording or a report, or a part of it, as text."""

from __future__ import annotations

import argparse
from typing import Any

from ..diagnosis.report import Report
from ..events.recording import Recording
from ..events.trace import Trace
from .result import Result, Say, UsageError
from .show_graph import show_graph
from .show_memory import MEMORY_OF_A_TRACE, memory_by
from .show_recording import (
    FOR_RECORDINGS,
    add_recording_views,
    add_trace_argument,
    choose_trace,
    show_recording,
)
from .show_report import show_report
from .show_trace import show_trace
from .target import (
    MAKE_A_TRACE,
    add_target_arguments,
    count,
    is_code,
    load_target,
    positive_number,
    refuse_options,
)
from .trace_pass import pass_id

__all__ = ["add_arguments", "run"]

DEFAULT_MAX_LINES = 200
DEFAULT_SLOWEST = 10

DESCRIPTION = """\
Print a graph, a trace, a recording or a report as text.

Of a graph, by default: counts, and the first lines of the tree. A node receives the gradient of
what its forward function returned, and passes gradients on to the nodes that made its inputs. So
the text starts at the loss and ends at the parameters.

Of a trace, by default: a line for each node that ran, in the order in which they ran, with the
gradients that it received and returned; and where NaN or Inf was born, if something is not finite.

Of a recording, by default: what went wrong, the steps, the modules that took longest, and what was
written in place; with --trace N one of its backward passes, as a trace is shown.

A report is printed as a whole.
"""

EPILOG = """\
examples:
  inspect-autograd show graph.json                     the overview
  inspect-autograd show train.py:loss --tree           the graph as an indented tree
  inspect-autograd show train.py:loss --modules        the modules and what each of them saves
  inspect-autograd show train.py:loss --find "Mul*"    nodes by name, or "*.weight" by parameter
  inspect-autograd show train.py:loss --node 7         all that is known of node 7
  inspect-autograd show train.py:loss --memory scope   what modules keep in memory for backward
  inspect-autograd show trace.json                     what ran, and where NaN was born
  inspect-autograd show step.jsonl --find "*.weight"   the same of some nodes, from a log
  inspect-autograd show trace.json --flow module       how large the gradients of modules are
  inspect-autograd show recording.json                 what a training step did
  inspect-autograd show recording.json --memory line   what lines keep in memory for backward
  inspect-autograd show recording.json --trace 0       its first backward pass, node by node
  inspect-autograd show report.json                    what an error means, as explain() told
"""

FOR_GRAPHS = {
    "--tree": "Leave it out: what a trace shows is the table of what ran.",
    "--modules": "Leave it out; --flow module tells how large the gradients of modules are.",
    "--summary": "Leave it out: what a trace shows is the table of what ran.",
    "--memory": MEMORY_OF_A_TRACE,
}
OF_ONE_TRACE = "Add --trace N, which shows one backward pass of the recording, such as --trace 0."
OF_ITS_GRAPH = 'Save the graph in Python, recording.graph.save("graph.json"), and name that file.'
NOT_FOR_RECORDINGS = {
    **dict.fromkeys(("--find", "--flow", "--slowest", "--learning-rate", "--pass"), OF_ONE_TRACE),
    "--node": OF_ONE_TRACE,
    **dict.fromkeys(("--tree", "--summary"), OF_ITS_GRAPH),
}
OF_ALL_TRACES = dict.fromkeys(("--cuts", "--writes", "--timeline"), "Leave --trace out.")
FOR_TRACES = dict.fromkeys(("--flow", "--slowest", "--learning-rate", "--pass"), MAKE_A_TRACE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_target_arguments(parser)
    views = parser.add_mutually_exclusive_group()
    views.add_argument("--tree", action="store_true", help="the graph as an indented tree")
    views.add_argument(
        "--modules",
        action="store_true",
        help="of a graph: its modules as an indented table, with nodes, leaves and saved bytes",
    )
    views.add_argument(
        "--summary", action="store_true", help="of a graph: counts, depth and bytes only"
    )
    views.add_argument(
        "--find",
        metavar="GLOB",
        help="a table of the nodes whose name, parameter or recorded module matches, such as "
        '"Softmax*" (in quotes, or the shell may replace it by file names)',
    )
    views.add_argument(
        "--node", metavar="ID", type=_node_id, help="one node, by the number that other views show"
    )
    views.add_argument(
        "--memory",
        nargs="?",
        type=memory_by,
        const="op",
        metavar="op|node|scope|line",
        help="of a graph: who keeps how much memory for backward, by operation (or by node, by "
        "module, by line of a recorded graph)",
    )
    views.add_argument(
        "--flow",
        nargs="?",
        type=_flow_by,
        const="parameter",
        metavar="parameter|module",
        help="of a trace: how large the gradients of parameters (or modules) are, and which of "
        "them vanish, explode or are missing",
    )
    views.add_argument(
        "--slowest",
        nargs="?",
        type=_slowest,
        const=DEFAULT_SLOWEST,
        metavar="N",
        help="of a trace: the nodes that took longest (%(const)s by default)",
    )
    add_recording_views(views)
    add_trace_argument(parser, "the backward pass to show as a trace")
    parser.add_argument(
        "--max-lines",
        type=count,
        metavar="N",
        default=DEFAULT_MAX_LINES,
        help="longest tree or table (%(default)s by default); what is left out is said",
    )
    parser.add_argument(
        "--learning-rate",
        type=_rate,
        metavar="LR",
        help="of the optimizer: --flow then shows how far a step moves each parameter",
    )
    parser.add_argument(
        "--pass",
        type=pass_id,
        metavar="N",
        help="the backward pass that --flow is about (the last one that reached a parameter)",
    )


def run(options: argparse.Namespace, say: Say) -> Result:
    """Print the graph, trace, recording or report, or the part of it that was asked for."""
    _check_options(options)
    loaded = load_target(options.target, max_nodes=options.max_nodes)
    data: dict[str, Any] = {"target": options.target}
    if isinstance(loaded, Report):
        return Result(data | show_report(loaded, options, say))
    if isinstance(loaded, Recording):
        if options.trace is None or options.memory:
            refuse_options(options, NOT_FOR_RECORDINGS, "recording", meant="graph or a trace")
            return Result(data | show_recording(loaded, options, say))
        refuse_options(options, OF_ALL_TRACES, "trace", meant="whole recording")
        loaded = choose_trace(loaded, options)
    else:
        kind = "trace" if isinstance(loaded, Trace) else "graph"
        refuse_options(options, FOR_RECORDINGS, kind, meant="recording")
    if isinstance(loaded, Trace):
        refuse_options(options, FOR_GRAPHS, "trace")
        return Result(data | show_trace(loaded, options, say))
    refuse_options(options, FOR_TRACES, "graph")
    return Result(data | show_graph(loaded, options, say))


def _check_options(options: argparse.Namespace) -> None:
    if is_code(options.target):  # Before it runs, which may take long.
        refuse_options(options, FOR_TRACES, "graph")
        refuse_options(options, FOR_RECORDINGS, "graph", meant="recording")
    for name in ("--learning-rate", "--pass"):
        if options.flow is None and getattr(options, name[2:].replace("-", "_")) is not None:
            raise UsageError(
                f"{name} is there without --flow, which it belongs to",
                remedy=f"Add --flow, or leave {name} out.",
            )


def _node_id(text: str) -> int:
    try:
        return int(text.removeprefix("#"))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the number of a node, such as 7"
        ) from None


def _flow_by(text: str) -> str:
    if text not in ("parameter", "module"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither parameter nor module; write TARGET before --flow"
        )
    return text


def _slowest(text: str) -> int:
    try:
        return count(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}; write TARGET before --slowest") from None


def _rate(text: str) -> float:
    return positive_number(text, "a number above 0, such as 1e-3")
