"""Draw the graphs of the tour.

python scripts/build_tour_graphs_figures.py [--out FOLDER]
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import inspect_autograd as ia

DURATION = re.compile(r", took [\d.]+ \w+")


def four_numbers() -> Tensor:
    return torch.arange(4.0, requires_grad=True)


def graph(path: Path) -> Path:
    x = four_numbers()
    return ia.capture(2 * torch.dot(x, x), params={"x": x}).render(path, show_saved=True)


def vjp(path: Path) -> Path:
    x = four_numbers()
    return draw_pass(2 * torch.dot(x, x), path, x=x)


def sum_of_four(path: Path) -> Path:
    x = four_numbers()
    return draw_pass((2 * x * x).sum(), path, x=x)


def stepper(path: Path) -> Path:
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    return draw_pass((a * b + a) ** 2, path, a=a, b=b)


def draw_pass(loss: Tensor, path: Path, **params: Tensor) -> Path:
    with ia.trace(loss, params=params) as trace:
        loss.backward()
    drawn = trace.render(path)
    # How long a node took is not the same twice.
    text = DURATION.sub("", drawn.read_text(encoding="utf-8"))
    drawn.write_text(text, encoding="utf-8")
    return drawn


def in_place(path: Path) -> Path:
    x = torch.tensor([0.5, 1.0, 1.5], requires_grad=True)
    y = (2 * x).exp()
    y.add_(1)
    return ia.capture(y, params={"x": x}).render(path, show_saved=True)


def block(x: Tensor) -> Tensor:
    return x.sin().exp().tanh()


def draw_block(function: Callable[[Tensor], Tensor]) -> Callable[[Path], Path]:
    def draw(path: Path) -> Path:
        x = torch.linspace(0.0, 1.0, 1000, requires_grad=True)
        return ia.capture(function(x), params={"x": x}).render(path, show_saved=True)

    return draw


PICTURES = {
    "graph": graph,
    "vjp": vjp,
    "sum": sum_of_four,
    "stepper": stepper,
    "in_place": in_place,
    "block": draw_block(block),
    "block_checkpoint": draw_block(lambda x: checkpoint(block, x, use_reentrant=False)),
    "block_reentrant": draw_block(lambda x: checkpoint(block, x, use_reentrant=True)),
    "block_compiled": draw_block(torch.compile(block, backend="aot_eager")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the folder tour/")
    out: Path = parser.parse_args().out / "tour"
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        print("picture:", draw(out / f"{name}.svg"))


if __name__ == "__main__":
    main()
