"""In which order the engine runs the nodes of a graph, foretold from its records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import ArgumentError, ArgumentTypeError
from .graph import Graph
from .pass_plan import plan_pass
from .ready_queue import ReadyQueue, priority_of
from .records import Node

__all__ = ["ExecutionOrder", "execution_order"]

_EXPECTED = "the id of a node, a Node, a glob such as '*.weight', or several of these"


@dataclass(frozen=True, slots=True, repr=False)
class ExecutionOrder:
    """Which nodes a pass runs, in order, and which it does not.

    Attributes:
        nodes: Ids of the nodes that run, first the root.
        pruned: Ids of the nodes that do not, because no wanted input is behind them, in order of
            their ids. The wanted inputs of `autograd.grad` are not among them.
        captured: Ids of the inputs of `autograd.grad`: their gradients are taken where they
            arrive. One that leads to another input also stands in `nodes`.
    """

    nodes: tuple[int, ...]
    pruned: tuple[int, ...] = ()
    captured: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[int]:
        return iter(self.nodes)

    def __repr__(self) -> str:
        first = ", ".join(map(str, self.nodes[:8]))
        more = ", …" if len(self.nodes) > 8 else ""
        pruned = f", {len(self.pruned)} pruned" if self.pruned else ""
        return f"<{len(self.nodes)} nodes in order: {first}{more}{pruned}>"


def execution_order(
    graph: Graph,
    *,
    inputs: Any = None,
    call: Literal["backward", "grad"] | None = None,
) -> ExecutionOrder:
    """Foretell in which order the engine runs the nodes, from records alone.

    The engine runs, of the nodes that have got all their gradients, the one that was made last;
    a leaf runs as soon as it is ready. This is the order in one thread, as on the CPU: with
    accelerators each device has a queue and a thread of its own, and only the order within each
    is determined.

    Args:
        graph: As captured, whole, from what the pass starts from; a loaded one will do.
        inputs: What gradients are wanted for, as the argument `inputs` of `backward` and of
            `autograd.grad`: ids, Nodes, or globs for nodes and parameters. Without it, all leaves.
        call: Whether `inputs` are those of `backward`, which runs the inputs themselves, too, or
            of `grad`, which only collects what arrives there. By default `grad` if there are
            inputs.

    Returns:
        The nodes that run, in order, and those that are pruned.

    Raises:
        ArgumentError: The graph was folded or truncated, or has no such input.
        ArgumentTypeError: An argument is of the wrong kind.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.arange(4.0, requires_grad=True)
        >>> graph = ia.capture(2 * torch.dot(x, x))
        >>> [graph.nodes[id].name for id in ia.execution_order(graph)]
        ['MulBackward0', 'DotBackward0', 'AccumulateGrad']
    """
    _check_graph(graph)
    if call not in (None, "backward", "grad"):
        raise ArgumentError(
            f"call is {call!r}; expected 'backward' or 'grad'",
            remedy="Leave it out, or name the function that the pass is started with.",
        )
    if call == "grad" and inputs is None:
        raise ArgumentError(
            "call is 'grad', but inputs is None; expected inputs, as autograd.grad has them",
            remedy="Say which gradients are wanted: inputs='*.weight'.",
        )
    wanted = None if inputs is None else _find_inputs(graph, inputs)
    edges = graph.edge_table
    roots = [root.node for root in graph.roots]
    plan = plan_pass(edges, roots, wanted, accumulate=call == "backward")
    priorities = [priority_of(number) for number in graph.node_table.sequence_nrs]
    missing, runs, captured = plan.missing, plan.runs, plan.captured
    starts, targets = edges.starts, edges.targets
    queue = ReadyQueue()
    push, pop = queue.push, queue.pop
    if len(roots) == 1:
        push(priorities[roots[0]], roots[0])
    else:
        for root in roots:
            missing[root] -= 1
            if not missing[root] and plan.is_delivered(root):
                push(priorities[root], root)
    order = []
    while queue:
        node = pop()
        if runs is not None and node not in runs:
            continue
        order.append(node)
        for target in targets[starts[node] : starts[node + 1]]:
            missing[target] -= 1
            if not missing[target] and (runs is None or target in runs or target in captured):
                push(priorities[target], target)
    passed = set(order) | captured
    pruned = () if runs is None else tuple(id for id in range(len(graph)) if id not in passed)
    return ExecutionOrder(tuple(order), pruned, tuple(sorted(captured)))


def _check_graph(graph: Any) -> None:
    if not isinstance(graph, Graph):
        raise ArgumentTypeError(
            f"graph is of type {type(graph).__name__}; expected a Graph",
            remedy="Capture one: execution_order(capture(loss)).",
        )
    if graph.fold_notes:
        raise ArgumentError(
            "graph was folded, so its nodes are not those that the engine runs",
            remedy="Give the graph as it was captured.",
        )
    if graph.truncation is not None:
        raise ArgumentError(
            f"graph is not whole ({graph.truncation})",
            remedy="Capture it without max_nodes.",
        )


def _find_inputs(graph: Graph, inputs: Any) -> list[int]:
    if isinstance(inputs, str | int | Node):
        inputs = [inputs]
    if not isinstance(inputs, Iterable):
        raise ArgumentTypeError(
            f"inputs is of type {type(inputs).__name__}; expected {_EXPECTED}",
            remedy="Give for example inputs='*.weight'.",
        )
    ids: dict[int, None] = {}
    for wanted in inputs:
        if isinstance(wanted, str):
            found = [node.id for node in graph.find(wanted)]
            if not found:
                raise ArgumentError(
                    f"inputs holds {wanted!r}, which matches none of the {len(graph)} nodes",
                    remedy="graph.find(pattern) shows what a glob matches.",
                )
            ids.update(dict.fromkeys(found))
        else:
            ids[graph.id_of(wanted, "inputs")] = None
    return list(ids)
