"""Draw the graph of a model's loss: in full, and folded so that the whole fits on a page.

python scripts/render_model.py [--out FOLDER] [--blocks N]
"""

import argparse
from pathlib import Path

import torch
from torch import nn

import inspect_autograd as ia


class Block(nn.Module):
    """Two linear layers around a GELU, with a way past them: x + f(norm(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        change: torch.Tensor = self.down(nn.functional.gelu(self.up(self.norm(x))))
        return x + change


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the files")
    parser.add_argument("--blocks", type=int, default=8, help="how many blocks the model has")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), *(Block(16) for _ in range(options.blocks)))
    inputs, targets = torch.randn(32, 8), torch.randn(32, 16)
    loss = nn.functional.mse_loss(model(inputs), targets)

    # params=model gives the leaves their names: 1.up.weight instead of a nameless tensor.
    graph = ia.capture(loss, params=model)
    print(graph.summary(), end="\n\n")

    # One box per node, then alike blocks drawn once, which is what a deep model needs.
    print("full:  ", graph.render(out / "model_full.svg", view="full"))
    print("folded:", graph.render(out / "model.png", view="repeat"))

    # A graph holds no tensor. Once saved, it can be looked at without PyTorch:
    print("saved: ", graph.save(out / "model.json"))
    print(f"\nnext: inspect-autograd show {out / 'model.json'} --find '*.norm.weight'")


if __name__ == "__main__":
    main()
