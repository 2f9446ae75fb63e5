"""Draw the charts of the tour about what runs when.

python scripts/build_tour_engine_figures.py [--out FOLDER]
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import inspect_autograd as ia
from inspect_autograd.events.engine_state import NodeStatus

BLUE, ORANGE = "#0072b2", "#d55e00"


def engine() -> Figure:
    """Rows are nodes, the last one made at the top and leaves at the bottom; columns are steps."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    w = torch.tensor([0.5, 0.5], requires_grad=True)
    a, b = x.sin(), w.exp()
    c, d = a * b, x.tanh()
    stepper = ia.step((c * (b + d)).sum(), params={"x": x, "w": w})
    made = {node.sequence_nr: node for node in stepper.graph.nodes if node.sequence_nr is not None}
    nodes = [*(made[number] for number in sorted(made, reverse=True)), *stepper.graph.leaves()]
    figure = Figure(figsize=(8, 4.3))
    axes = figure.subplots()
    for column in range(len(nodes)):
        before = [stepper.peek(node.id) for node in nodes]
        step = stepper.next()
        assert step is not None
        for line, (node, status) in enumerate(zip(nodes, before, strict=True)):
            draw_cell(axes, (column, line), "runs" if node.id == step.id else status)
    names = [node.label for node in nodes]
    for number, line in zip(sorted(made, reverse=True), range(len(made)), strict=True):
        names[line] += f"  {number - min(made)}"
    axes.set_yticks(range(len(nodes)), names)
    axes.set(xticks=range(len(nodes)), xlabel="step.index", xlim=(-0.55, len(nodes) - 0.45))
    axes.set_ylim(len(nodes) - 0.45, -0.55)
    axes.grid(visible=False)
    return figure


def draw_cell(axes: Axes, place: tuple[int, int], status: NodeStatus | Literal["runs"]) -> None:
    look: dict[str, Any] = {"facecolor": "white"}
    text, colour = "", "black"
    if status == "runs":
        look, text, colour = {"facecolor": BLUE}, "▶", "white"
    elif status.status == "executed":
        look, text = {"facecolor": "#f2f2f2"}, "·"
    elif status.status == "ready":
        look = {"facecolor": "#cfe5f3", "edgecolor": BLUE, "hatch": "//"}
    else:
        text = str(status.missing)
    column, line = place
    look = {"edgecolor": "#bbbbbb", **look}
    axes.add_patch(Rectangle((column - 0.46, line - 0.43), 0.92, 0.86, **look))
    axes.text(column, line, text, ha="center", va="center", color=colour)


def hooks() -> Figure:
    """What a pass through y = 3 * x calls, from left to right, in a lane for each object."""
    log: list[tuple[str, str]] = []

    def note(lane: str, *names: str) -> Callable[..., None]:
        return lambda *_: log.extend((lane, name) for name in names)

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = 3 * x
    y.register_hook(note("y", "register_\nhook"))
    x.register_hook(note("x", "register_\nhook"))
    x.register_post_accumulate_grad_hook(note("x", "register_post_\naccumulate_grad_hook"))
    assert y.grad_fn is not None
    (accumulation, _), _ = y.grad_fn.next_functions
    assert accumulation is not None
    for node, what in ((y.grad_fn, "3 * gradient"), (accumulation, "x.grad")):
        lane = node.name().rpartition(":")[2]
        # Nothing can be hooked in between, so the node is noted right after its prehook.
        node.register_prehook(note(lane, "register_\nprehook", what))
        node.register_hook(note(lane, "register_\nhook"))
    y.sum().backward()
    figure = Figure(figsize=(9, 3.8))
    axes = figure.subplots()
    lanes = ["y", "MulBackward0", "x", "AccumulateGrad"]
    lines = [lanes.index(lane) for lane, _ in log]
    axes.plot(lines, color="0.6", linestyle="-", linewidth=1.2)
    for order, (line, (_, name)) in enumerate(zip(lines, log, strict=True)):
        marker, colour = ("o", ORANGE) if name.startswith("register") else ("s", BLUE)
        axes.plot(order, line, marker, color=colour, markersize=11)
        text: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
        axes.annotate(name, (order, line), (0, 11), **text)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set(xticks=range(len(log)), xticklabels=range(1, len(log) + 1))
    axes.set(xlim=(-0.7, len(log) - 0.3), ylim=(len(lanes) - 0.6, -0.8))
    axes.grid(visible=False, axis="x")
    return figure


FIGURES = {"engine": engine, "hooks": hooks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the folder tour/")
    out: Path = parser.parse_args().out / "tour"
    out.mkdir(parents=True, exist_ok=True)
    matplotlib.style.use(Path(__file__).with_name("tour.mplstyle"))
    for name, draw in FIGURES.items():
        path = out / f"{name}.svg"
        draw().savefig(path, metadata={"Date": None})
        print("picture:", path)


if __name__ == "__main__":
    main()
