"""Why backward() from several numbers needs a gradient argument, on real tensors.

python scripts/nonscalar_backward.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import torch

import inspect_autograd as ia

# By hand, for y = [x·x, x₀+x₁+x₂+x₃, x₀·x₃] at x = [0, 1, 2, 3].
VALUES = [14, 6, 0]
JACOBIAN = [[0, 2, 4, 6], [1, 1, 1, 1], [3, 0, 0, 0]]


def three_numbers() -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.arange(4.0, requires_grad=True)
    return x, torch.stack([torch.dot(x, x), x.sum(), x[0] * x[3]])


def show_refusal() -> None:
    print("1. y = [x·x, sum(x), x0·x3] at x = [0, 1, 2, 3]; y.backward() is refused\n")
    x, y = three_numbers()
    check("y", y, VALUES)
    try:
        y.backward()
    except RuntimeError as error:
        report = ia.explain(error)
        print(f"\n{indent(str(report))}\n")
        assert report.diagnoses[0].slug == "non-scalar-output"
    graph = ia.capture(y, params={"x": x})
    node = graph.nodes[graph.roots[0].node]
    print(f"   {node.name} would have received the gradient: {node.receives[0]}, three numbers")
    assert x.grad is None  # It was refused before anything was computed.


def show_jacobian() -> None:
    print("\n2. The Jacobian J has a row for each number of y; a backward pass gives one row\n")
    x, y = three_numbers()
    rows: list[torch.Tensor] = []
    with ia.trace(y, params={"x": x}) as trace:
        for unit in torch.eye(3):  # The weight 1 for one number, 0 for the others.
            rows += torch.autograd.grad(y, x, unit, retain_graph=True)
    check("J", torch.stack(rows), JACOBIAN)
    print(f"   it took {len(trace.passes)} passes, one for each number of y")
    assert len(trace.passes) == 3


def show_weights() -> None:
    print("\n3. backward(v) computes v·J: the rows of J, weighed by v and added up\n")
    by_hand = {
        (1.0, 0.0, 0.0): [0, 2, 4, 6],
        (1.0, 10.0, 0.0): [10, 12, 14, 16],
        (2.0, -1.0, 1.0): [2, 3, 7, 11],
    }
    for v, expected in by_hand.items():
        x, y = three_numbers()
        y.backward(torch.tensor(v))
        check(f"v = {list(v)}: x.grad", x.grad, expected)
        check(f"v = {list(v)}: v·J", torch.tensor(v) @ torch.tensor(JACOBIAN).float(), expected)
    print("   Two weightings, two gradients: PyTorch cannot know which you want.")


def show_sum_and_mean() -> None:
    print("\n4. What sum, mean and a vector of ones mean\n")
    x, y = three_numbers()
    total = [4, 3, 5, 7]  # The three rows of J added up.
    check("y.sum()", torch.autograd.grad(y.sum(), x, retain_graph=True)[0], total)
    check("y, torch.ones_like(y)", torch.autograd.grad(y, x, torch.ones(3), True)[0], total)
    check("3 * y.mean()", torch.autograd.grad(3 * y.mean(), x)[0], total)  # 1/3 for each number.


def show_linearity() -> None:
    print("\n5. v·J is linear in v: for 2v + w it is twice that for v, plus that for w\n")
    v, w = torch.tensor([1.0, 0, 2]), torch.tensor([0, 1.0, -1])
    found: list[torch.Tensor] = []
    for weights in (v, w, 2 * v + w):
        x, y = three_numbers()
        found += torch.autograd.grad(y, x, weights)
    check("for v", found[0], [6, 2, 4, 6])
    check("for w", found[1], [-2, 1, 1, 1])
    check("for 2v + w", found[2], [10, 5, 9, 13])
    check("twice for v, plus for w", 2 * found[0] + found[1], [10, 5, 9, 13])


def show_cost(out: Path) -> None:
    print("\n6. Why start from one number: a vector goes through the graph, not a matrix\n")
    size, depth = 64, 5
    torch.manual_seed(0)
    weights = [torch.randn(size, size) / 8 for _ in range(depth)]
    x = torch.randn(size, requires_grad=True)
    y = x
    for weight in weights:
        y = weight @ y
    with ia.trace([y, y.sum()], params={"x": x}, stats="meta") as trace:
        y.sum().backward(retain_graph=True)
        for unit in torch.eye(size):
            torch.autograd.grad(y, x, unit, retain_graph=True)
    products = [event.backward_pass for event in trace.find("MvBackward0")]
    once = products.count(0)
    print(f"   {depth} layers of {size}x{size}, from {size} numbers to {size} numbers")
    print(f"   from y.sum(): {once} products of a vector and a matrix, a pass over the graph")
    print(f"   the whole Jacobian: {len(products) - once} such products, {size} passes")
    assert (once, len(products) - once) == (depth, depth * size)
    # It is v·W5·W4·…, from the left: each product has 64·64 multiplications, not 64·64·64.
    (first,) = torch.autograd.grad(y, x, torch.ones(size), retain_graph=True)
    torch.testing.assert_close(first, torch.linalg.multi_dot([torch.ones(size), *weights[::-1]]))
    print(f"   multiplications: {depth * size**2:,} against {depth * size**3:,}")
    x, y = three_numbers()
    with ia.trace(y, params={"x": x}) as trace:
        y.backward(torch.tensor([1.0, 10.0, 0.0]))
    title = "y.backward(v) with v = [1, 10, 0]"
    print("   picture:", trace.render(out / "nonscalar_backward.png", title=title))


def check(what: str, found: torch.Tensor | None, by_hand: list[int] | list[list[int]]) -> None:
    numbers = [] if found is None else found.tolist()
    if numbers != by_hand:
        raise SystemExit(f"{what} is {numbers}, but by hand it is {by_hand}")
    print(f"   {what}: {numbers}, as worked out by hand")


def indent(text: str) -> str:
    return "\n".join(f"   | {line}".rstrip() for line in text.splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for show in (show_refusal, show_jacobian, show_weights, show_sum_and_mean, show_linearity):
        show()
    show_cost(out)


if __name__ == "__main__":
    main()
