"""Draw the charts of the tour about several outputs and their weights.

python scripts/build_tour_weights_figures.py [--out FOLDER]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.style
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

BLACK, BLUE, GREEN, ORANGE = COLOURS = ["#000000", "#0072b2", "#009e73", "#d55e00"]
POINT = (2.0, 1.0)


def weights() -> Figure:
    figure = Figure(figsize=(8.6, 3.3))
    axes = figure.subplots()
    x, v = torch.arange(4.0, requires_grad=True), torch.tensor([1.0, 10.0, 2.0])
    y = torch.stack([torch.dot(x, x), x.sum(), x[0] * x[3]])
    for j, unit in enumerate(torch.eye(3)):
        (row,) = torch.autograd.grad(y, x, unit, retain_graph=True)
        draw_cells(axes, 0, j, v[j : j + 1], COLOURS[j + 1])
        draw_cells(axes, 2, j, row, COLOURS[j + 1])
        draw_cells(axes, 7, j, v[j] * row, COLOURS[j + 1])
    draw_cells(axes, 7, 3.4, torch.autograd.grad(y, x, v)[0], BLACK)
    texts: dict[tuple[float, float], str] = {
        (0, -1): "$v$",
        (3.5, -1): "$J$",
        (8.5, -1): r"$v_j\,J_{ji}$",
        (6, 1): "$=$",
    }
    texts |= {(1, 1): r"$\times$", (6, 3.4): r"$v^\top J\;=$", (11.3, 1): r"$\sum_j\;\downarrow$"}
    for (column, line), text in texts.items():
        axes.text(column, line, text, ha="center", va="center", fontsize=13)
    axes.set(xlim=(-0.7, 12), ylim=(4, -1.4), aspect="equal")
    axes.axis("off")
    return figure


def draw_cells(axes: Axes, column: float, line: float, numbers: Tensor, colour: str) -> None:
    for i, number in enumerate(numbers.tolist()):
        corner = (column + i - 0.47, line - 0.44)
        axes.add_patch(Rectangle(corner, 0.94, 0.88, facecolor=colour + "1c", edgecolor=colour))
        axes.text(column + i, line, f"{number:g}", ha="center", va="center")


def outputs(x: Tensor) -> Tensor:
    return torch.stack([x[0] ** 2 + x[1] ** 2, x[0] * x[1] + x[1]])


def gradient(*v: float) -> Tensor:
    x = torch.tensor(POINT, requires_grad=True)
    return torch.autograd.grad(outputs(x), x, torch.tensor(v))[0]


def draw_arrow(axes: Axes, start: Sequence[float], end: Sequence[float], **look: object) -> None:
    style = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14, **look}
    axes.annotate("", (end[0], end[1]), (start[0], start[1]), arrowprops=style)


def linearity() -> Figure:
    figure = Figure(figsize=(5.4, 4))
    axes = figure.subplots()
    v, w, both = (1.0, 0.0), (-1.0, 1.0), (1.0, 1.0)  # The last is 2v + w.
    one, other, total = gradient(*v), gradient(*w), gradient(*both)
    origin = [0.0, 0.0]
    draw_arrow(axes, origin, total.tolist(), color=BLACK, lw=2.5)
    draw_arrow(axes, origin, (2 * one).tolist(), color=BLUE, lw=1.5, ls="--")
    draw_arrow(axes, origin, one.tolist(), color=BLUE, lw=2.5)
    draw_arrow(axes, (2 * one).tolist(), (2 * one + other).tolist(), color=ORANGE, lw=1.5, ls="--")
    draw_arrow(axes, origin, other.tolist(), color=ORANGE, lw=2.5)
    labels = [
        (one, r"$v^\top J$", BLUE, (6, -16)),
        (2 * one, r"$2\,v^\top J$", BLUE, (-8, -20)),
        (other, r"$w^\top J$", ORANGE, (-4, 8)),
        (total, r"$(2v + w)^\top J = 2\,v^\top J + w^\top J$", BLACK, (-60, 10)),
    ]
    for place, text, colour, offset in labels:
        axes.annotate(text, tuple(place.tolist()), offset, textcoords="offset points", color=colour)
    axes.set(xlim=(-4, 9), ylim=(-0.6, 6.4), aspect="equal")
    axes.set(xlabel=r"$\partial / \partial x_0$", ylabel=r"$\partial / \partial x_1$")
    return figure


def one_number() -> Figure:
    figure = Figure(figsize=(6.4, 4.6))
    axes = figure.subplots()
    x0, x1 = torch.meshgrid(
        torch.linspace(0.8, 3.6, 113), torch.linspace(0.2, 2.3, 85), indexing="xy"
    )
    for values, colour, line in zip(
        outputs(torch.stack([x0, x1])), (BLUE, ORANGE), ("solid", "dashed"), strict=True
    ):
        axes.contour(x0, x1, values, 9, colors=colour, linestyles=line, linewidths=0.9, alpha=0.75)
    for share in torch.linspace(0, 1, 7).tolist():
        colour = {0.0: ORANGE, 1.0: BLUE}.get(share, "0.35")
        tip = torch.tensor(POINT) + 0.3 * gradient(share, 1 - share)
        draw_arrow(axes, POINT, tip.tolist(), color=colour, lw=3 if share in (0, 1) else 1)
    label: dict[str, Any] = {"textcoords": "offset points", "fontsize": 14}
    axes.annotate(r"$\nabla y_0$", (3.2, 1.6), (6, -6), color=BLUE, **label)
    axes.annotate(r"$\nabla y_1$", (2.3, 1.9), (-16, 8), color=ORANGE, **label)
    axes.plot(*POINT, "o", color=BLACK, markersize=7)
    axes.annotate("$x$", POINT, (-14, -10), **label)
    axes.set(xlabel="$x_0$", ylabel="$x_1$", aspect="equal")
    axes.grid(visible=False)
    return figure


FIGURES = {"weights": weights, "linearity": linearity, "one_number": one_number}


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
