"""`inspect-autograd demo`: a first gradient step by step, two graphs, and a backward pass."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InspectAutogradError
from ..graph.graph import Graph
from ..graph.tensor_meta import format_bytes
from ..render.table import format_table
from .demo_refusal import REFUSAL, explain_refusal
from .result import Result, Say

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from ..events.recording import Recording
    from ..events.trace import Trace

__all__ = ["add_arguments", "run"]

LAYERS = 6
TABLE_LINES = 24

DESCRIPTION = """\
Compute one gradient step by step, check it against the one worked out by hand, draw two graphs,
that of this function and that of a transformer, trace the transformer's backward pass, record a
whole training step of it, and explain an error.
"""

EPILOG = """\
examples:
  inspect-autograd demo               files go to the folder out/
  inspect-autograd demo --out /tmp    or to another one
"""

START = """\
1. A function, and where it is evaluated

   f(x) = 2 · dot(x, x)      in Python: y = 2 * torch.dot(x, x)
   x    = {x}
   f(x) = {y:g}

   x was made with requires_grad=True, so PyTorch notes every operation on it.
   x.grad is {grad}: no gradient was computed yet.
"""

GRAPH = """\
2. What PyTorch noted: the autograd graph

{tree}

   One node per operation, named after what it does in the backward pass, and one for x itself,
   an AccumulateGrad node: it adds what it receives to x.grad. Edges point the way gradients flow,
   from the loss to the leaves. Two lead from DotBackward0 to x, as both arguments of dot are x.
   f32[] is a single number (float32, no dimension), f32[4] a vector of four.
"""

BACKWARD = """\
3. y.backward() walks this graph

   x.grad               = {grad}
   4 · x, done by hand  = {by_hand}      the same, as it must be:

   f(x) = 2 · (x₀² + x₁² + x₂² + x₃²), so its derivative with respect to xᵢ is 4 · xᵢ.
   A small step of x₃ moves f twelve times as far; one of x₀, which is 0, moves it hardly at all.
"""

MODEL = """\
4. A real model: a transformer with {layers} encoder layers, and its loss

   {counts}
   All its {parameters} parameters are reached by a gradient.
   Until backward() the nodes keep {saved} in memory, {own} of it in parameters.
   The layers have the same shape, so the picture shows them once, with ×{layers} on the frame.
   There a dashed arrow leads from one layer to the next, and circles of one number belong together.
"""

TRACE = """\
5. Its backward pass: what every node received and returned

{table}

   |…| is the norm of a gradient. All {events} nodes ran, each once, and all numbers are finite.
   In the picture transformer_flow.png the same norms are colours.
"""

STEP = """\
6. A whole training step: forward, backward, and what the optimizer wrote

{text}
"""

FILES = """\
7. Files

{files}
"""

WHAT = (
    "the three nodes, and the tensors that they keep for backward",
    "the same, sharp at any size",
    "the loss at the top, parameters in blue",
    "the same; tooltips tell more of each node",
    "its backward pass: the numbers are the order, the colours the norms",
    "the whole graph as data",
    "the recorded step as data",
)

NEXT = """\
Next, look around in the graph that was saved:

   inspect-autograd show {saved} --find "*norm1.weight"

and in the step that was recorded, for example which lines keep memory for backward:

   inspect-autograd show {step} --memory line

Then, with your own code: write a function that returns the loss and the model, such as

   def make_loss():
       return criterion(model(inputs), targets), model

into train.py, and look at its graph:

   inspect-autograd show train.py:make_loss
   inspect-autograd render train.py:make_loss -o graph.png

or trace its backward pass in your program:

   with inspect_autograd.trace(loss, params=model) as trace:
       loss.backward()
   print(trace)

or record whole steps:

   with inspect_autograd.record(model) as recording:
       train_one_step()
   print(recording)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this verb."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out"),
        metavar="DIR",
        help="folder for the files, made if it is not there (%(default)s by default)",
    )


def run(options: argparse.Namespace, say: Say) -> Result:
    """Show the main job from end to end; an unexpected result is an error."""
    from .examples import transformer_loss

    out: Path = options.out
    # Before anything is computed: a folder that cannot be made should not cost a wait.
    out.mkdir(parents=True, exist_ok=True)
    quadratic, quadratic_data = _show_quadratic(say)
    loss, model = transformer_loss(LAYERS)
    transformer, transformer_data = _show_transformer(loss, model, say)
    trace, trace_data = _show_trace(loss, model, say)
    recording, step_data = _show_step(say)
    report, refusal_data = explain_refusal()
    say(REFUSAL.format(text=_indent(str(report))))
    paths = [
        *_write_files(out, quadratic, transformer, trace),
        recording.save(out / "transformer_step.json"),
    ]
    rows = [(str(path), what) for path, what in zip(paths, WHAT, strict=True)]
    say(FILES.format(files=_indent(format_table(rows))))
    graph_file, step_file = (shlex.quote(str(path)) for path in paths[-2:])
    say(NEXT.format(saved=graph_file, step=step_file))
    return Result(
        {
            "quadratic": quadratic_data,
            "transformer": transformer_data,
            "trace": trace_data,
            "step": step_data,
            "refusal": refusal_data,
            "files": [str(path) for path in paths],
        }
    )


def _write_files(out: Path, quadratic: Graph, transformer: Graph, trace: Trace) -> list[Path]:
    title = "f(x) = 2 · dot(x, x)"
    deep = f"A transformer of {LAYERS} layers"
    return [
        quadratic.render(out / "quadratic.png", title=title, show_saved=True),
        quadratic.render(out / "quadratic.svg", title=title, show_saved=True),
        transformer.render(out / "transformer.png", title=deep, view="repeat"),
        transformer.render(out / "transformer.svg", title=deep, view="repeat"),
        trace.render(out / "transformer_flow.png", title=f"{deep}: backward", view="repeat"),
        transformer.save(out / "transformer.json"),
    ]


def _show_quadratic(say: Say) -> tuple[Graph, dict[str, Any]]:
    from ..live.capture import capture
    from .examples import quadratic

    x, y = quadratic()
    say(START.format(x=_numbers(x.tolist()), y=y.item(), grad=x.grad))
    graph = capture(y, params={"x": x})
    say(GRAPH.format(tree=_indent(graph.tree())))
    before = x.grad
    y.backward()
    gradient = [] if x.grad is None else x.grad.tolist()
    by_hand = [4 * value for value in (0.0, 1.0, 2.0, 3.0)]
    _expect("x.grad before backward()", before, None)
    _expect("f([0, 1, 2, 3])", y.item(), 28.0)
    _expect("x.grad", gradient, by_hand)
    say(BACKWARD.format(grad=_numbers(gradient), by_hand=_numbers(by_hand)))
    nodes = [node.name for node in graph.nodes]
    return graph, {"x": x.tolist(), "value": y.item(), "gradient": gradient, "nodes": nodes}


def _show_transformer(loss: Tensor, model: Module, say: Say) -> tuple[Graph, dict[str, Any]]:
    from ..live.capture import capture

    graph = capture(loss, params=model)
    names = {name for name, _ in model.named_parameters()}
    reached = names & set(graph.parameters())
    _expect("the parameters that the graph of the transformer reaches", reached, names)
    summary = graph.summary()
    say(
        MODEL.format(
            layers=LAYERS,
            counts=str(summary).splitlines()[0],
            parameters=len(names),
            saved=format_bytes(summary.saved_bytes),
            own=format_bytes(summary.parameter_bytes),
        )
    )
    return graph, {"summary": summary, "parameters_reached": len(reached)}


def _show_trace(loss: Tensor, model: Module, say: Say) -> tuple[Trace, dict[str, Any]]:
    from ..live.tracing.tracer import trace as trace_block

    with trace_block(loss, params=model) as trace:
        loss.backward()
    ran = sorted(event.node for event in trace.events)
    _expect("the nodes that ran", ran, list(range(len(trace.graph))))
    _expect("the first gradient that is not finite", trace.first_nonfinite(), None)
    say(TRACE.format(table=_indent(trace.table(max_lines=TABLE_LINES)), events=len(trace)))
    return trace, {"events": len(trace), "outcome": trace.outcome.status}


def _show_step(say: Say) -> tuple[Recording, dict[str, Any]]:
    from ..live.recording.recorder import record
    from .examples import transformer_step

    model, step = transformer_step(LAYERS)
    with record(model, stats="basic") as recording:
        step()
    say(STEP.format(text=_indent(str(recording))))
    written = {write.tensor for write in recording.mutations} - {""}
    names = {name for name, _ in model.named_parameters()}
    _expect("the parameters that the optimizer did not write", names - written, set())
    return recording, {"passes": len(recording.traces), "parameters_written": len(written & names)}


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise InspectAutogradError(
            f"{what} is {found}, but {expected} was expected",
            remedy="Run inspect-autograd doctor: it checks the installation.",
        )


def _numbers(values: list[float]) -> str:
    return f"[{', '.join(f'{value:g}' for value in values)}]"


def _indent(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
