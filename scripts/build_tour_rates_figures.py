"""Draw the charts of the tour in which something changes with one number.

python scripts/build_tour_rates_figures.py [--out FOLDER]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib.style
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.autograd.function import FunctionCtx

COLOURS = ["#000000", "#0072b2", "#009e73", "#d55e00"]


def f(x: Tensor) -> Tensor:
    return 2 * torch.dot(x, x)


def rate_of_change() -> Figure:
    figure = Figure(figsize=(9.5, 3.9))
    left, right = figure.subplots(1, 2)
    x = torch.arange(4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(f(x), x)
    pushes, small = torch.linspace(-1, 1, 81).double(), torch.logspace(-4, -1, 10).double()
    for i, colour in enumerate(COLOURS):
        unit = torch.eye(4, dtype=torch.float64)[i]
        changes = torch.stack([f(x + delta * unit) - f(x) for delta in pushes]).detach()
        left.plot(pushes, changes, color=colour, linestyle="-")
        left.plot(pushes, gradient[i] * pushes, color=colour, linestyle="--", linewidth=1.2)
        left.annotate(rf"$x_{i} = {i}$", (1.05, changes[-1].item()), va="center", color=colour)
        changes = torch.stack([f(x + delta * unit) - f(x) for delta in small]).detach()
        remainder = (changes - gradient[i] * small).abs()
        size, marker = 14 - 3 * i, "os^D"[i]
        style = {"marker": marker, "markersize": size, "fillstyle": "none", "linestyle": "none"}
        right.loglog(small, remainder, color=colour, label=rf"$x_{i} = {i}$", **style)
    right.loglog(small, 2 * small**2, color="0.4", lw=1, ls="-", zorder=0, label=r"$2\,\delta^2$")
    right.legend()
    left.set(xlabel=r"$\delta$", ylabel=r"$f(x + \delta e_i) - f(x)$", xlim=(-1.1, 1.5))
    right.set_xlabel(r"$\delta$")
    right.set_ylabel(r"$|\,f(x + \delta e_i) - f(x) - 4\,x_i\,\delta\,|$")
    return figure


def derivatives() -> Figure:
    figure = Figure(figsize=(6.6, 3.9))
    axes = figure.subplots()
    x = torch.linspace(-3, 3, 241, dtype=torch.float64, requires_grad=True)
    values = x.tanh()
    for order in range(4):
        name = r"\tanh" + (rf"^{{({order})}}" if order else "")
        axes.plot(x.detach(), values.detach(), label=f"${name}$")
        (values,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    axes.set_xlabel("$x$")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


class Round(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: FunctionCtx, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(_ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return gradient


def learn(rounding: Callable[[Tensor], Tensor]) -> list[float]:
    """The values of w on the way to rounding(w) = 3."""
    w, seen = torch.tensor(0.2, requires_grad=True), []
    for _ in range(21):
        seen.append(w.item())
        (gradient,) = torch.autograd.grad((rounding(w) - 3) ** 2, w)
        w = (w - 0.05 * gradient).detach().requires_grad_(True)
    return seen


def custom_function() -> Figure:
    figure = Figure(figsize=(9.5, 3.7))
    left, right = figure.subplots(1, 2)
    x = torch.linspace(-0.45, 3.45, 400)
    left.plot(x, x.round(), color="0.6", linestyle="-", drawstyle="steps-mid", linewidth=1.5)
    styles: dict[str, tuple[Callable[[Tensor], Tensor], str, str]] = {
        "torch.round": (torch.round, COLOURS[1], "-"),
        "Round.apply": (Round.apply, COLOURS[3], "--"),
    }
    for name, (rounding, colour, line) in styles.items():
        points = torch.arange(4.0, requires_grad=True)
        (slopes,) = torch.autograd.grad(rounding(points).sum(), points)
        for point, slope in zip(points.detach(), slopes, strict=True):
            ends = torch.tensor([-0.3, 0.3])
            left.plot(point + ends, point.round() + slope * ends, color=colour, linestyle=line)
        left.plot([], [], color=colour, linestyle=line, label=name)
        marker = "o" if line == "-" else "s"
        right.plot(learn(rounding), color=colour, linestyle=line, marker=marker, label=name)
    left.set(xlabel="$x$", ylabel="round($x$)")
    left.legend(loc="upper left")
    right.axhspan(2.5, 3.5, color="0.93", zorder=0)
    right.annotate("round($w$) = 3", (20, 3.38), ha="right", va="top")
    right.set(xlabel="step", ylabel="$w$", ylim=(-0.1, 3.6), xticks=range(0, 21, 5))
    return figure


FIGURES = {
    "rate_of_change": rate_of_change,
    "derivatives": derivatives,
    "custom_function": custom_function,
}


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
