"""Watch backward passes: what every node receives and returns, and what the gradient argument is.

python scripts/trace_backward.py [--out FOLDER]
"""

import argparse
import logging
import sys
from pathlib import Path

import torch
from torch import nn

import inspect_autograd as ia


def show_first_gradient() -> None:
    print("1. f(x) = 2 * dot(x, x) at x = [0, 1, 2, 3]\n")
    x = torch.arange(4.0, requires_grad=True)
    y = 2 * torch.dot(x, x)
    with ia.trace(y, params={"x": x}) as trace:
        y.backward()
    print(trace)
    # By hand: dot receives 2 and returns 2 * x, once for each of its two arguments.
    check("what x receives", trace.find("x")[0].received[0], norm=(0 + 16 + 64 + 144) ** 0.5)
    check_equal("x.grad", x.grad, [0, 4, 8, 12])


def show_sum_and_ones() -> None:
    print("\n2. y = 2 * x * x, four numbers: y.sum().backward() and y.backward(ones)\n")
    x = torch.arange(4.0, requires_grad=True)
    y = 2 * x * x
    total = y.sum()
    # keep="Mul*" keeps the gradients themselves, not only their norms.
    with ia.trace([y, total], params={"x": x}, keep="Mul*") as trace:
        total.backward(retain_graph=True)
        from_sum = x.grad
        x.grad = None
        y.backward(torch.ones_like(y))
    node = trace.graph.roots[0].node  # The node that made y.
    received = [trace.kept[event.order].received[0] for event in trace.of(node)]
    name = trace.graph.nodes[node].name
    print(f"   {name} received {received[0].tolist()} from sum, {received[1].tolist()} from you")
    check_equal("what it received both times", received[0], [1, 1, 1, 1])
    check_equal("what it received the second time", received[1], [1, 1, 1, 1])
    check_equal("x.grad of the sum", from_sum, [0, 4, 8, 12])
    check_equal("x.grad of the ones", x.grad, [0, 4, 8, 12])


def show_weights() -> None:
    print("\n3. y = [dot(x, x), sum(x)]: the gradient argument v weighs the rows of the Jacobian\n")
    x = torch.arange(4.0, requires_grad=True)
    y = torch.stack([torch.dot(x, x), x.sum()])
    # By hand: the first row of the Jacobian J is 2 * x, the second is all ones.
    print("   J = [[0, 2, 4, 6], [1, 1, 1, 1]]")
    by_hand = {
        (1.0, 0.0): [0, 2, 4, 6],
        (0.0, 1.0): [1, 1, 1, 1],
        (1.0, 10.0): [10, 12, 14, 16],
        (3.0, -1.0): [-1, 5, 11, 17],
    }
    with ia.trace(y, params={"x": x}) as trace:
        for v, expected in by_hand.items():
            x.grad = None
            y.backward(torch.tensor(v), retain_graph=True)
            check_equal(f"v = {list(v)}: x.grad = v·J", x.grad, expected)
    for backward_pass in trace.passes:
        (root,) = backward_pass.roots
        assert not root.is_implicit  # All four were given by us.


def show_linearity() -> None:
    print("\n4. Linearity: what a node returns for v + 2w is what it returns for v, plus 2 for w\n")
    x = torch.arange(4.0, requires_grad=True)
    y = x.square()
    v, w = torch.tensor([1.0, 0, 2, 0]), torch.tensor([0, 1.0, 1, 1])
    with ia.trace(y, keep="Pow*") as trace:
        for gradient in (v, w, v + 2 * w):
            y.backward(gradient, retain_graph=True)
    of_v, of_w, of_both = (trace.kept[event.order].returned[0] for event in trace.find("Pow*"))
    # By hand: PowBackward0 multiplies by 2 * x.
    check_equal("for v", of_v, [0, 0, 8, 0])
    check_equal("for w", of_w, [0, 2, 4, 6])
    check_equal("for v + 2w", of_both, [0, 4, 16, 12])
    check_equal("for v, plus twice for w", of_v + 2 * of_w, [0, 4, 16, 12])


def show_network(out: Path) -> None:
    print("\n5. A network with two layers, logged while it runs\n")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    loss = nn.functional.cross_entropy(model(torch.randn(16, 3)), torch.randint(2, (16,)))

    # The same lines as readable messages; any logging configuration will do.
    logging.basicConfig(format="   %(message)s", level=logging.INFO, stream=sys.stdout)
    with ia.trace(loss, params=model, stats="full", log=out / "network.jsonl") as trace:
        loss.backward()

    print(f"\n{trace.gradient_flow(learning_rate=0.1)}\n")
    slowest = trace.slowest(1)[0]
    print("slowest node:", trace.node_of(slowest).name)
    print("first NaN or Inf:", trace.first_nonfinite())
    print("log:         ", out / "network.jsonl")
    print("trace:       ", trace.save(out / "network.json"))
    print("timeline:    ", trace.save(out / "network.chrome.json"))
    print("picture:     ", trace.render(out / "network_flow.png", title="What flows where"))


def check_equal(what: str, found: torch.Tensor | None, by_hand: list[int]) -> None:
    numbers = [] if found is None else found.tolist()
    if numbers != by_hand:
        raise SystemExit(f"{what} is {numbers}, but by hand it is {by_hand}")
    print(f"   {what}: {numbers}, as worked out by hand")


def check(what: str, stats: ia.TensorStats | None, norm: float) -> None:
    if stats is None or stats.l2 is None or abs(stats.l2 - norm) > 1e-5 * norm:
        raise SystemExit(f"{what} is {stats}, but its norm by hand is {norm}")
    print(f"   {what} has the norm {stats.l2:.4g}, as worked out by hand")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the files")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    show_first_gradient()
    show_sum_and_ones()
    show_weights()
    show_linearity()
    show_network(out)


if __name__ == "__main__":
    main()
