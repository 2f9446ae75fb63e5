"""Facts worked out on the real tensors, where that is safe.

Keys of `Scene.numbers` for an output that backward refused since it is no scalar; m is the number
of its elements:

- `jacobian_shape`: `(m, n)`; n is the number of elements of all leaves behind it together.
- `leaf_elements`: pairs `(name, elements)` of these leaves, the largest first, at most 20; the
  name is empty where none is known.
- `values`: the first elements of the output, at most 8; `sum` and `mean`: of all of it.
- `leaf`: name of the leaf whose gradients `weightings` shows: the largest one that has a name.
- `weightings`: a tuple of dicts, one for each of three ways to weigh the m numbers: `weights`
  (`1 each`, `1/m each` with the number put in, `1 for the first, 0 for the rest`), `code` (what the
  user would write, with the name of the output), `grad` (the first elements of the gradient that
  the leaf would get, at most 8) and `grad_norm` (2-norm of all of it).
- `not_computed`: why `values` and `weightings` are missing: a clause.

The numbers come from the formulas of the nodes themselves, called one by one: the engine does not
run, so no hook does, nothing is freed, and no `.grad` changes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ...graph.graph import Graph
from ..node_types import describe_type
from ..private_torch import LiveNode, is_in_function_transform, peek_saved
from .calls import LiveCall
from .pass_by_calls import TooSlowError, leaf_gradients, order_for_pass
from .tensors import TensorDescriber

__all__ = ["work_out_numbers"]

MAX_NODES = 500
MAX_ELEMENTS = 200_000
"""Elements of all gradients of a pass together: a millisecond's work for most graphs."""
MAX_SECONDS = 0.15
MAX_SHOWN = 8

Leaves = Sequence[tuple[str, LiveNode]]


def work_out_numbers(
    call: LiveCall,
    message: str,
    graph: Graph | None,
    ids: Mapping[LiveNode, int],
    describer: TensorDescriber,
) -> dict[str, object]:
    """The numbers for an output that is no scalar; empty for any other failure."""
    output = _failing_output(call)
    if output is None or graph is None or "scalar outputs" not in message or output.numel() == 1:
        return {}
    leaves = [
        (next(iter(describer.names_of(node.variable)), ""), node)
        for node in ids
        if type(node).__name__ == "AccumulateGrad"
    ]
    sizes = sorted(((n, node.variable.numel()) for n, node in leaves), key=lambda s: -s[1])
    numbers: dict[str, object] = {
        "jacobian_shape": (output.numel(), sum(size for _, size in sizes)),
        "leaf_elements": tuple(sizes[:20]),
    }
    reason = _why_not(output, leaves, graph, ids)
    if reason is None:
        try:
            name = next(iter(describer.names_of(output)), "output")
            return numbers | _work_out(output, name, leaves, ids)
        except TooSlowError:
            reason = f"it would have taken longer than {MAX_SECONDS} s"
        except Exception as error:
            reason = f"a formula refused: {str(error).partition('. ')[0]}"
    return numbers | {"not_computed": reason}


def _failing_output(call: LiveCall) -> torch.Tensor | None:
    index = call.failing
    output = call.outputs[index] if index is not None and index < len(call.outputs) else None
    return output if isinstance(output, torch.Tensor) else None


def _why_not(
    output: torch.Tensor, leaves: Leaves, graph: Graph, ids: Mapping[LiveNode, int]
) -> str | None:
    """Why no formula must be called; None if nothing speaks against it."""
    table = graph.node_table
    if graph.truncation is not None or len(table) > MAX_NODES:
        return f"the graph has more than {MAX_NODES} nodes"
    foreign = (n for n, k in zip(table.names, table.kinds, strict=True) if _is_foreign(n, k))
    if (name := next(foreign, None)) is not None:
        return f"{name} is not a formula of PyTorch alone"
    states = {saved.state for tensors in table.saved.values() for saved in tensors}
    if bad := states - {"available"}:
        return f"the graph holds {' and '.join(sorted(bad))} tensors"
    if _count_elements(graph) > MAX_ELEMENTS:
        return f"a pass works on more than {MAX_ELEMENTS} elements"
    if not leaves:
        return "there is no leaf behind it"
    if is_in_function_transform():
        return "a function transform is at work"
    tensors = [output, *(node.variable for _, node in leaves), *_saved_tensors(ids)]
    if any(type(tensor) not in (torch.Tensor, torch.nn.Parameter) for tensor in tensors):
        return "tensors of a class of their own would run code that is not PyTorch's"
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return "some tensors are not in the memory of the CPU"
    return None if output.is_floating_point() else "the output is not made of real numbers"


def _is_foreign(name: str, kind: str) -> bool:
    return kind not in ("op", "leaf") or not (name[-1:].isdigit() or name == "AccumulateGrad")


def _count_elements(graph: Graph) -> int:
    return sum(
        math.prod(size for size in meta.shape if type(size) is int)
        for received in graph.node_table.receives
        for meta in received
        if meta is not None and meta.shape is not None
    )


def _saved_tensors(ids: Mapping[LiveNode, int]) -> Iterator[Any]:
    for node in ids:
        for access in describe_type(type(node)).saved:
            raw = None if access.read_raw is None else access.read_raw(node)
            for entry in raw if isinstance(raw, tuple) else (raw,):
                data = None if entry is None else peek_saved(entry)[1]
                if data is not None:
                    yield data


def _work_out(
    output: torch.Tensor, name: str, leaves: Leaves, ids: Mapping[LiveNode, int]
) -> dict[str, object]:
    deadline = time.perf_counter() + MAX_SECONDS
    order = order_for_pass(ids)
    root = output.grad_fn, output.output_nr
    leaf_name, leaf = max(leaves, key=lambda pair: (bool(pair[0]), pair[1].variable.numel()))
    m = output.numel()
    values = output.detach()
    ones = torch.ones_like(values)
    first = torch.zeros_like(values)
    if m:
        first.view(-1)[0] = 1
    ways = (
        ("1 each", f"{name}.sum().backward()", ones),
        (f"1/{m} each", f"{name}.mean().backward()", ones / max(m, 1)),
        (
            "1 for the first, 0 for the rest",
            f"{name}[{', '.join('0' * values.dim())}].backward()",
            first,
        ),
    )
    weightings = []
    for weights, code, v in ways:
        gradient = leaf_gradients(order, root, v, deadline).get(leaf)
        shown = torch.zeros(0) if gradient is None else gradient
        weightings.append(
            {
                "weights": weights,
                "code": code,
                "grad": _first(shown),
                "grad_norm": float(shown.to_dense().double().norm()),
            }
        )
    return {
        "values": _first(values),
        "sum": float(values.sum()),
        "mean": float(values.mean()) if m else math.nan,
        "leaf": leaf_name,
        "weightings": tuple(weightings),
    }


def _first(tensor: torch.Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in tensor.to_dense().reshape(-1)[:MAX_SHOWN].tolist())
