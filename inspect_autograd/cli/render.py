"""`inspect-autograd render`: a picture of a graph, trace or recording, or its data, into a file."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any, get_args

from ..diagnosis.report import Report
from ..errors import TargetError
from ..events.recording import Recording
from ..events.trace import Trace
from ..graph.atomic_write import check_target
from ..graph.graph import Graph
from ..render.dot import Direction
from ..render.picture import FORMATS, render_view
from ..render.view import ViewName, choose_view, count_boxes
from .result import Result, Say, UsageError
from .show_recording import add_trace_argument, choose_trace
from .target import (
    MAKE_A_RECORDING,
    MAKE_A_TRACE,
    add_target_arguments,
    is_code,
    load_target,
    positive_number,
    refuse_options,
)
from .trace_pass import check_pass, pass_id

__all__ = ["add_arguments", "run"]

CHROME_SUFFIX = ".chrome.json"
OPEN_TIMELINE = "a timeline: open it in https://ui.perfetto.dev"
SUFFIXES = (*FORMATS, ".json", CHROME_SUFFIX)
FOR_GRAPHS = dict.fromkeys(
    ("--saved", "--source", "--attributes"), "Leave it out: boxes show what nodes received instead."
)
FOR_TRACES = {"--pass": MAKE_A_TRACE}
FOR_RECORDINGS = {"--trace": MAKE_A_RECORDING}

DESCRIPTION = """\
Draw a graph into a file: the loss at the top, parameters at the bottom, and arrows the way
gradients flow; with --direction right, from left to right. A trace adds to this what one backward
pass did: the norms of gradients as colours, the order in which nodes ran as numbers, and where NaN
or Inf was born.

The suffix chooses the format: .png, .svg or .pdf for a picture, .txt for text, .dot for Graphviz
source, .json for the graph or trace itself, to be shown or drawn later. Of a trace, .chrome.json
is a timeline for https://ui.perfetto.dev.

Views of a graph with many nodes:
  auto    every node of a small graph; a large one is folded until it can be read
  full    every node, however many
  chain   operations that follow one another in a line stand as one
  scope   one box for each module
  repeat  blocks of the same shape, such as the layers of a transformer, are drawn once
  band    neighbours stand together in some fifty boxes, which always works
"""

EPILOG = """\
examples:
  inspect-autograd render train.py:loss -o graph.png
  inspect-autograd render train.py:make_loss -o graph.svg --saved --title "First step"
  inspect-autograd render train.py:loss -o graph.json     keep it, without the tensors
  inspect-autograd render graph.json -o all.pdf --view full --timeout 300
  inspect-autograd render graph.json -o wide.pdf --direction right
  inspect-autograd render trace.json -o flow.png          the last backward pass of a trace
  inspect-autograd render step.jsonl -o step.json         a log as a trace
  inspect-autograd render recording.json -o step.png      the last backward pass of a recording
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add_target_arguments(parser)
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help=f"where to; the suffix chooses the format: {' '.join(SUFFIXES)}",
    )
    parser.add_argument(
        "--view",
        choices=get_args(ViewName),
        default="auto",
        help="what to fold (%(default)s by default)",
    )
    parser.add_argument(
        "--direction",
        choices=get_args(Direction),
        default="down",
        help="where arrows go from the loss (%(default)s by default)",
    )
    parser.add_argument(
        "--saved",
        action="store_true",
        help="of a graph: also draw the tensors that nodes keep for backward",
    )
    parser.add_argument(
        "--source",
        action="store_true",
        help="of a graph: also write the line of the program that made a node, where recorded",
    )
    parser.add_argument(
        "--attributes",
        action="store_true",
        help="of a graph: also write what else nodes keep into their boxes: dim, eps, reduction …",
    )
    parser.add_argument(
        "--pass",
        type=pass_id,
        metavar="N",
        help="of a trace: the backward pass to draw (the last one by default)",
    )
    add_trace_argument(parser, "the backward pass to draw or write (the last one is drawn)")
    parser.add_argument("--title", metavar="TEXT", help="a line above the picture")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long the layout may take (%(default)g by default)",
    )


def run(options: argparse.Namespace, say: Say) -> Result:
    """Write the file, and print its path and what was folded."""
    _check_file(options.out)
    if is_code(options.target):  # Before it runs, which may take long.
        _check_for_graph(options)
        refuse_options(options, FOR_RECORDINGS, "graph", meant="recording")
    loaded = load_target(options.target, max_nodes=options.max_nodes)
    data: dict[str, Any] = {"target": options.target}
    if isinstance(loaded, Report):
        raise TargetError(
            f"{options.target} is a saved report, which has no picture",
            remedy=f"`inspect-autograd show {options.target}` prints it. For a page, write "
            f'inspect_autograd.load({options.target!r}).save("report.html") in Python.',
        )
    if isinstance(loaded, Recording):
        if options.trace is None and options.out.suffix == ".json":
            return Result(data | _write_recording(loaded, options, say))
        trace = choose_trace(loaded, options)
        # Without hooks nothing is known of what ran, so the graph is what there is to draw.
        loaded = trace.graph if loaded.data.stats_level == "off" else trace
    else:
        kind = "trace" if isinstance(loaded, Trace) else "graph"
        refuse_options(options, FOR_RECORDINGS, kind, meant="recording")
    if isinstance(loaded, Trace):
        return Result(data | _write_trace(loaded, options, say))
    _check_for_graph(options)
    return Result(data | _write_graph(loaded, options, say))


def _write_recording(recording: Recording, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    path = recording.save(options.out)
    is_timeline = path.name.endswith(CHROME_SUFFIX)
    say(f"{path}\n" + (OPEN_TIMELINE if is_timeline else repr(recording).strip("<>")))
    return {"path": str(path), "traces": len(recording.traces)}


def _write_graph(graph: Graph, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    data: dict[str, Any] = {"nodes": len(graph)}
    if options.out.suffix == ".json":
        path = graph.save(options.out)
        say(f"{path}\n{len(graph)} nodes")
        return data | {"path": str(path)}
    shown = choose_view(graph, options.view, show_saved=options.saved)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = render_view(
            shown,
            options.out,
            direction=options.direction,
            show_saved=options.saved,
            show_source=options.source,
            show_attributes=options.attributes,
            title=options.title,
            timeout=options.timeout,
        )
    boxes = count_boxes(shown.graph, show_saved=options.saved)
    remarks = [*shown.captions, *(str(warning.message) for warning in caught)]
    say("\n".join([str(path), f"{len(graph)} nodes, shown as {boxes} boxes", *remarks]))
    return data | {"path": str(path), "boxes": boxes, "remarks": remarks}


def _write_trace(trace: Trace, options: argparse.Namespace, say: Say) -> dict[str, Any]:
    refuse_options(options, FOR_GRAPHS, "trace")
    id = getattr(options, "pass")
    check_pass(trace, id)
    nodes, events = len(trace.graph), len(trace)
    data: dict[str, Any] = {"nodes": nodes, "events": events, "passes": len(trace.passes)}
    if options.out.suffix == ".json":
        if id is not None:
            raise UsageError(
                f"--pass chooses what is drawn, but {options.out} is to hold the whole trace",
                remedy="Leave --pass out, or write a picture.",
            )
        path = trace.save(options.out)
        is_timeline = path.name.endswith(CHROME_SUFFIX)
        say(f"{path}\n{nodes} nodes, {events} events")
        if is_timeline:
            say(OPEN_TIMELINE)
        return data | {"path": str(path)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = trace.render(
            options.out,
            view=options.view,
            direction=options.direction,
            backward_pass=id,
            title=options.title,
            timeout=options.timeout,
        )
    # Folded once more, as the picture does not say what it did; that is quick beside the layout.
    shown = choose_view(trace.graph, options.view)
    boxes = count_boxes(shown.graph)
    remarks = [*shown.captions, *(str(warning.message) for warning in caught)]
    outer = [one.id for one in trace.passes if one.parent is None]
    if len(outer) > 1 and id is None:
        remarks.append(f"pass {outer[-1]} is drawn, the last one; --pass N draws another one")
    say("\n".join([str(path), f"{nodes} nodes, shown as {boxes} boxes", *remarks]))
    return data | {"path": str(path), "boxes": boxes, "remarks": remarks}


def _check_for_graph(options: argparse.Namespace) -> None:
    refuse_options(options, FOR_TRACES, "graph")
    if options.out.name.endswith(CHROME_SUFFIX):
        raise UsageError(
            f"--out is {str(options.out)!r}, a timeline, but {options.target} is no trace",
            remedy=f"Use .json for the graph itself. {MAKE_A_TRACE}",
        )


def _check_file(path: Path) -> None:
    """Refuse a file that cannot be written before the target runs, which may take long."""
    if path.suffix != ".json" and path.suffix.lower() not in FORMATS:
        what = f"the suffix {path.suffix!r}" if path.suffix else "no suffix"
        raise UsageError(
            f"--out is {str(path)!r}, which has {what}; expected one of {' '.join(SUFFIXES)}",
            remedy=f"Write for example --out {path.with_suffix('.png')}",
        )
    check_target(path)


def _seconds(text: str) -> float:
    return positive_number(text, "a number of seconds above 0")
