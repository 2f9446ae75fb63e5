"""`inspect-autograd render`: a picture of a graph, or the graph itself, into a file."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any, get_args

from ..graph.atomic_write import check_target
from ..render.picture import FORMATS, render_view
from ..render.view import ViewName, choose_view, count_boxes
from .result import Result, Say, UsageError
from .target import add_target_arguments, load_target

__all__ = ["add_arguments", "run"]

SUFFIXES = (*FORMATS, ".json")

DESCRIPTION = """\
Draw a graph into a file: the loss at the top, parameters at the bottom, and arrows the way
gradients flow. The suffix chooses the format: .png, .svg or .pdf for a picture, .txt for text,
.dot for Graphviz source, .json for the graph itself, to be shown or drawn later.

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
        "--saved", action="store_true", help="also draw the tensors that nodes keep for backward"
    )
    parser.add_argument(
        "--attributes",
        action="store_true",
        help="also write what else nodes keep into their boxes: dim, eps, reduction …",
    )
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
    graph = load_target(options.target, max_nodes=options.max_nodes)
    data: dict[str, Any] = {"target": options.target, "nodes": len(graph)}
    if options.out.suffix == ".json":
        path = graph.save(options.out)
        say(f"{path}\n{len(graph)} nodes")
        return Result(data | {"path": str(path)})
    shown = choose_view(graph, options.view, show_saved=options.saved)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        path = render_view(
            shown,
            options.out,
            show_saved=options.saved,
            show_attributes=options.attributes,
            title=options.title,
            timeout=options.timeout,
        )
    boxes = count_boxes(shown.graph, show_saved=options.saved)
    remarks = [*shown.captions, *(str(warning.message) for warning in caught)]
    say("\n".join([str(path), f"{len(graph)} nodes, shown as {boxes} boxes", *remarks]))
    return Result(data | {"path": str(path), "boxes": boxes, "remarks": remarks})


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
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
