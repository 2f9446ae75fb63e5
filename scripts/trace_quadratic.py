"""Follow one gradient from the loss to the leaf: f(x) = 2 * dot(x, x) at x = [0, 1, 2, 3].

python scripts/trace_quadratic.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import torch

import inspect_autograd as ia


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    out: Path = parser.parse_args().out

    # requires_grad tells PyTorch to note every operation on x from here on.
    x = torch.arange(4.0, requires_grad=True)
    print("x          =", x.tolist())
    print("x.grad     =", x.grad, "(no gradient was computed yet)")

    y = 2 * torch.dot(x, x)
    print("f(x)       =", y.item())

    # What PyTorch noted: one node per operation, and one for x itself.
    graph = ia.capture(y, params={"x": x})
    print("\nThe graph, in the direction in which gradients flow:\n")
    print(graph.tree(), end="\n\n")

    # The same in steps, as the engine takes them. The first node receives df/df = 1.
    received = torch.tensor(1.0)
    print("MulBackward0    receives", received.item(), "and multiplies it by 2")
    received = 2 * received
    print("DotBackward0    receives", received.item(), "and multiplies it by x, once per argument")
    by_hand = received * x.detach() + received * x.detach()
    print("AccumulateGrad  receives", by_hand.tolist(), "and adds it to x.grad\n")

    y.backward()
    assert x.grad is not None
    print("x.grad     =", x.grad.tolist(), "(after y.backward())")
    print("4 * x      =", (4 * x).tolist(), "(the derivative, worked out on paper)")
    if not torch.equal(x.grad, by_hand) or not torch.equal(x.grad, 4 * x.detach()):
        raise SystemExit("PyTorch and we disagree")

    out.mkdir(parents=True, exist_ok=True)
    print("\npicture:", graph.render(out / "quadratic.png", show_saved=True))


if __name__ == "__main__":
    main()
