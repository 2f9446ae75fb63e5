"""What a captured graph must equal, asked of PyTorch itself.

Nothing here comes from `inspect_autograd.live`: the live graph is followed depth first and in
step with the records, through public names of torch and the attributes of its nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.autograd.graph import get_gradient_edge

from inspect_autograd import Graph, Node

__all__ = [
    "assert_equals_live_graph",
    "assert_same_bits",
    "assert_saved_state",
    "bits",
    "pair_with_live",
    "received_in_backward",
]

LiveNode = Any


def pair_with_live(graph: Graph, outputs: Iterable[torch.Tensor]) -> list[LiveNode]:
    """The live node behind every record, found by following both graphs in step.

    A slot of a node leads to at most one place, so the way to go is never in doubt, and the two
    graphs are equal if every step exists on both sides and the pairs are one to one.
    """
    recorded: list[dict[int, tuple[int, int]]] = [{} for _ in graph.nodes]
    for edge in graph.edges:
        assert edge.count == 1
        assert edge.source_slot not in recorded[edge.source], f"{edge} is there twice"
        recorded[edge.source][edge.source_slot] = (edge.target, edge.target_slot)

    starts = [get_gradient_edge(tensor) for tensor in outputs]
    assert [root.slot for root in graph.roots] == [start.output_nr for start in starts]
    pending = [(root.node, start.node) for root, start in zip(graph.roots, starts, strict=True)]
    pairs: dict[LiveNode, int] = {}  # It holds the nodes, so that they stay the same objects.
    while pending:
        id, node = pending.pop()
        if node in pairs:
            assert pairs[node] == id, f"one live {node.name()} has the ids {pairs[node]} and {id}"
            continue
        pairs[node] = id
        steps = {
            slot: (next_node, input_nr)
            for slot, (next_node, input_nr) in enumerate(node.next_functions)
            if next_node is not None
        }
        assert recorded[id].keys() == steps.keys(), f"slots of {node.name()}, id {id}"
        for slot, (next_node, input_nr) in steps.items():
            target, target_slot = recorded[id][slot]
            assert target_slot == input_nr, f"slot {slot} of {node.name()}, id {id}"
            pending.append((target, next_node))
    by_id = {id: node for node, id in pairs.items()}
    assert sorted(by_id) == list(range(len(graph))), "records without a live node"
    assert len(by_id) == len(pairs), "one record for two live nodes"
    return [by_id[id] for id in range(len(graph))]


def assert_equals_live_graph(
    graph: Graph,
    outputs: Iterable[torch.Tensor],
    named: Mapping[str, torch.Tensor] | None = None,
) -> list[LiveNode]:
    """Every node, edge and slot of the record is that of the live graph, and the other way round.

    Returns:
        The live node behind every record.
    """
    outputs = list(outputs)
    live = pair_with_live(graph, outputs)
    # Ids are dense and in the order in which a breadth-first walk meets the nodes.
    met = [root.node for root in graph.roots] + [edge.target for edge in graph.edges]
    assert list(dict.fromkeys(met)) == list(range(len(graph)))
    for record, node in zip(graph.nodes, live, strict=True):
        _assert_equals_live_node(record, node, named or {})
    for root, tensor in zip(graph.roots, outputs, strict=True):
        assert root.meta is not None
        assert root.meta.dtype == str(tensor.dtype).removeprefix("torch.")
        assert root.meta.layout == str(tensor.layout).removeprefix("torch.")
        if not tensor.is_nested:
            assert root.meta.shape == tuple(tensor.shape)
    return live


def _assert_equals_live_node(
    record: Node, node: LiveNode, named: Mapping[str, torch.Tensor]
) -> None:
    assert record.name == node.name().rsplit("::", 1)[-1].rstrip(">")
    assert record.input_slots == len(node.next_functions)
    nones = [slot for slot, (other, _) in enumerate(node.next_functions) if other is None]
    assert record.none_slots == tuple(nones)
    assert record.cut_slots == ()
    if not hasattr(node, "variable"):
        assert record.kind != "leaf"
        assert record.parameter is None
        # NotImplemented, which stands for a derivative that nobody has written, has none either.
        number = node._sequence_nr()
        assert record.sequence_nr == (None if number == 2**64 - 1 else number)
        return
    variable = node.variable
    assert record.kind == "leaf"
    assert record.sequence_nr is None
    assert record.parameter is not None
    assert record.parameter.meta.dtype == str(variable.dtype).removeprefix("torch.")
    if not variable.is_nested:
        assert record.parameter.meta.shape == tuple(variable.shape)
    assert record.parameter.names == tuple(n for n, tensor in named.items() if tensor is variable)


# -- saved tensors -----------------------------------------------------------------------------


def assert_saved_state(graph: Graph, live: Sequence[LiveNode]) -> None:
    """What a node saves, and whether it was freed or modified, is what `_saved_*` says.

    Reads every `_saved_*`, so it must not be used where that would run unpack hooks.
    """
    for record, node in zip(graph.nodes, live, strict=True):
        is_custom = isinstance(node, torch.autograd.function.BackwardCFunction)
        if is_custom and _is_modified(node):
            # Torch gives either all tensors or none, so it does not tell which it is.
            assert "modified" in {saved.state for saved in record.saved}
            continue
        tensors, values = _read_saved_by_custom(node) if is_custom else _read_saved(node)
        found = {
            saved.name: ("available", saved.meta.shape, saved.meta.dtype, saved.meta.layout)
            if saved.state == "available" and saved.meta is not None
            else saved.state
            for saved in record.saved
        }
        assert found == tensors, f"what {record.name} saves"
        assert values.keys() <= record.attributes.keys(), f"attributes of {record.name}"
        assert is_custom or values.keys() == record.attributes.keys()
        for name, value in values.items():
            if isinstance(value, bool | int | str | tuple):
                assert _signed(record.attributes[name]) == _signed(value), (
                    f"{name} of {record.name}"
                )


def _signed(value: Any) -> Any:
    # Some signed C++ numbers reach Python as unsigned: -1 arrives as 2**64 - 1.
    if isinstance(value, tuple):
        return tuple(map(_signed, value))
    return value - 2**64 if isinstance(value, int) and value >= 2**63 else value


def _read_saved(node: LiveNode) -> tuple[dict[str, Any], dict[str, Any]]:
    """State, shape and so on of the saved tensors of a built-in node, and its other values."""
    tensors: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for attribute in dir(node):
        if not attribute.startswith("_saved_"):
            continue
        name = attribute.removeprefix("_saved_")
        if not hasattr(type(node), f"_raw_saved_{name}"):
            values[name] = getattr(node, attribute)
            continue
        try:
            value = getattr(node, attribute)
        except RuntimeError as error:
            tensors[name] = "modified" if "inplace operation" in str(error) else "freed"
            continue
        if isinstance(value, torch.Tensor):
            tensors[name] = _describe(value)
        elif value is not None:
            for index, item in enumerate(value):
                if item is not None:
                    tensors[f"{name}[{index}]"] = _describe(item)
    return tensors, values


def _is_modified(node: LiveNode) -> bool:
    try:
        return node.saved_tensors is None
    except RuntimeError as error:
        return "inplace operation" in str(error)


def _read_saved_by_custom(node: LiveNode) -> tuple[dict[str, Any], dict[str, Any]]:
    values = {"needs_input_grad": node.needs_input_grad}
    try:
        tensors = node.saved_tensors
    except RuntimeError:
        return {"saved_tensors": "freed"}, values
    described = {f"saved_tensors[{i}]": t for i, t in enumerate(tensors)}
    return {name: _describe(t) for name, t in described.items() if t is not None}, values


def _describe(tensor: torch.Tensor) -> tuple[Any, ...]:
    dtype, layout = str(tensor.dtype), str(tensor.layout)
    shape = None if _is_strided_nested(tensor) else tuple(tensor.shape)
    return "available", shape, dtype.removeprefix("torch."), layout.removeprefix("torch.")


def _is_strided_nested(tensor: torch.Tensor) -> bool:
    return tensor.is_nested and tensor.layout is torch.strided


# -- gradients ---------------------------------------------------------------------------------


def bits(tensor: torch.Tensor) -> tuple[object, ...]:
    """Everything that two equal tensors have in common, the bits of every element included.

    Comparing bits tells a NaN from another value and -0.0 from 0.0, which `torch.equal` does not.
    """
    tensor = tensor.detach()
    if tensor.is_nested:
        return (tensor.dtype, tensor.layout, *map(bits, tensor.unbind()))
    kind = (tensor.dtype, tensor.device, tensor.layout, tuple(tensor.shape), type(tensor))
    if tensor.is_meta:
        return kind
    if tensor.layout is torch.sparse_coo:
        return (*kind, bits(tensor._indices()), bits(tensor._values()), tensor.is_coalesced())
    if tensor.layout is torch.sparse_csr:
        parts = (tensor.crow_indices(), tensor.col_indices(), tensor.values())
        return (*kind, *map(bits, parts))
    # The copy is needed because contiguous() leaves the stride of a single element as it is, and
    # view() does not; `force` because a zero tensor of forward mode has no memory of its own.
    dense = tensor.resolve_conj().resolve_neg().reshape(-1)
    dense = dense.clone(memory_format=torch.contiguous_format).view(torch.uint8)
    return (*kind, tensor.stride(), bytes(dense.numpy(force=True)))


def assert_same_bits(
    found: Sequence[torch.Tensor | None], expected: Sequence[torch.Tensor | None]
) -> None:
    """Two lists of gradients are identical, bit by bit."""
    assert len(found) == len(expected)
    for index, (a, b) in enumerate(zip(found, expected, strict=True)):
        if a is None or b is None:
            assert a is b, f"gradient {index} is None in one run only"
        else:
            assert bits(a) == bits(b), f"gradient {index} differs"


def received_in_backward(live: Sequence[LiveNode]) -> tuple[dict[int, list[Any]], list[Any]]:
    """Register a prehook on every node that notes what the node receives.

    Returns:
        A mapping that is filled during backward: per node, one (shape, dtype) or None for each
        gradient; and the handles that remove the hooks.
    """
    received: dict[int, list[Any]] = {}

    def note(id: int) -> Any:
        def hook(grads: tuple[torch.Tensor | None, ...]) -> None:
            received[id] = [None if g is None else (tuple(g.shape), g.dtype) for g in grads]

        return hook

    return received, [node.register_prehook(note(id)) for id, node in enumerate(live)]
