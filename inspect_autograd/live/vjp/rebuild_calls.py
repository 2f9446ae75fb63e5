"""Find out, from a graph alone, what call made a node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ..node_types import NodeType, describe_type, short_name
from ..private_torch import (
    LiveNode,
    forward_class,
    input_metadata,
    peek_saved,
    raw_saved_tensors,
)
from .forward_call import (
    Argument,
    CannotCheckError,
    ForwardCall,
    RandomState,
    check_tensor,
    copy_tensor,
    flatten,
)
from .operators import OPERATORS, OUTPUT_SHAPE, Operator
from .record_calls import parameter_names

__all__ = ["CallRebuilder"]

REMEDY = "give a function that makes the loss instead of the loss"


class CallRebuilder:
    """Repeats calls from what the nodes of a graph save.

    Args:
        nodes: All nodes of the graph: what one of them saves may be the input of another.
        max_elements: Largest tensor to work with.
        generator: Where values that do not matter come from.
    """

    def __init__(
        self, nodes: Sequence[LiveNode], max_elements: int, generator: torch.Generator
    ) -> None:
        self._nodes = nodes
        self._max_elements = max_elements
        self._generator = generator
        self._values: dict[tuple[LiveNode, int], torch.Tensor] | None = None

    def rebuild(self, node: LiveNode, node_type: NodeType) -> ForwardCall:
        """The call that made a node.

        Raises:
            CannotCheckError: It cannot be known.
        """
        if node_type.kind == "custom":
            call = self._rebuild_function(node)
        else:
            operator = OPERATORS.get(short_name(node))
            if operator is None:
                raise CannotCheckError(
                    f"its forward function cannot be told from the graph; {REMEDY}"
                )
            call = self._rebuild_operator(node, node_type, operator)
        _run_once(call)
        return call

    # -- operators -----------------------------------------------------------------------------

    def _rebuild_operator(
        self, node: LiveNode, node_type: NodeType, operator: Operator
    ) -> ForwardCall:
        saved = _read_saved(node, node_type)
        output = next(iter(input_metadata([node])))[0]
        edges = node.next_functions
        names = _expand_names(operator.inputs, len(edges))
        if len(names) != len(edges):
            raise CannotCheckError(f"it has {len(edges)} edges where {len(names)} were expected")
        tensors = []
        for name, edge in zip(names, edges, strict=True):
            value = self._find_input(name, edge, operator, saved)
            if value is None:
                value = self._make_input(edge, output)
            tensors.append(copy_tensor(value, self._max_elements))
        others = [
            name
            for name, value in saved.items()
            if isinstance(value, torch.Tensor) and name not in names
        ]
        tensors += [copy_tensor(saved[name], self._max_elements) for name in others]
        is_list = operator.inputs[0].startswith("*")
        attributes = {**saved, OUTPUT_SHAPE: tuple(output.shape)}

        def repeat(values: Sequence[torch.Tensor]) -> Any:
            inputs, rest = values[: len(names)], values[len(names) :]
            by_name: dict[str, Any] = {**attributes, **dict(zip(others, rest, strict=True))}
            if is_list:
                by_name[operator.inputs[0][1:]] = list(inputs)
            else:
                by_name.update(zip(names, inputs, strict=True))
            return operator.forward(by_name)

        return ForwardCall(
            repeat=repeat,
            tensors=tensors,
            arguments=tuple(
                Argument(slot, slot, name, slot, slot)
                for slot, (name, edge) in enumerate(zip(names, edges, strict=True))
                if edge[0] is not None
            ),
            outputs=None,
            differentiable=None,
            random_state=None,
            is_custom=False,
            argument_names=names,
            tensor_positions=frozenset(range(len(names))),
            source="what the node saved",
        )

    def _find_input(
        self, name: str, edge: tuple[LiveNode, int], operator: Operator, saved: dict[str, Any]
    ) -> torch.Tensor | None:
        value = saved.get(name)
        if isinstance(value, torch.Tensor):
            return value
        if name in operator.inverse and isinstance(saved.get("result"), torch.Tensor):
            return operator.inverse[name](saved)
        starred = name.rpartition("[")[0] in _starred(operator)
        if starred and edge[0] is None:
            raise CannotCheckError(f"the shape of its input {name} is not known; {REMEDY}")
        if starred or name in operator.free:
            return None
        known = self._value_of(edge)
        if known is None:
            raise CannotCheckError(f"the value of its input {name} is not known; {REMEDY}")
        return known

    def _make_input(self, edge: tuple[LiveNode, int], output: Any) -> torch.Tensor:
        """An input whose value does not matter."""
        node, input_nr = edge
        if node is None:
            return torch.zeros(output.shape, dtype=output.dtype, device=output.device)
        like = _meta_of(node, input_nr)
        if torch.Size(like.shape).numel() > self._max_elements:
            check_tensor(torch.empty(like.shape, dtype=like.dtype), self._max_elements)
        dtype = torch.complex128 if like.dtype.is_complex else torch.float64
        values = torch.randn(tuple(like.shape), generator=self._generator, dtype=dtype)
        return values.to(like.dtype).to(like.device)

    # -- custom Functions ----------------------------------------------------------------------

    def _rebuild_function(self, node: LiveNode) -> ForwardCall:
        cls = forward_class(node)
        needs = node.needs_input_grad
        names = parameter_names(cls, len(needs))
        edges = list(node.next_functions)
        if len(names) != len(needs):
            raise CannotCheckError(f"the arguments of its forward function are not known; {REMEDY}")
        if len(edges) not in (sum(needs), len(needs)):
            raise CannotCheckError(
                f"which of its arguments are tensors that need no gradient is not known; {REMEDY}"
            )
        all_are_tensors = len(edges) == len(needs)
        args: list[Any] = []
        tensors: list[torch.Tensor] = []
        arguments: list[Argument] = []
        taken: list[str] = []
        for position, (name, needed) in enumerate(zip(names, needs, strict=True)):
            if not needed:
                args.append(self._from_context(node, name, want_tensor=all_are_tensors))
                taken.append(name)
                continue
            slot = position if all_are_tensors else len(arguments)
            value = self._value_of(edges[slot])
            if value is None:
                raise CannotCheckError(
                    f"the value of its argument {name} is not known; {REMEDY}, or save it"
                )
            arguments.append(Argument(len(tensors), position, name, slot, position))
            tensors.append(copy_tensor(value, self._max_elements))
            args.append(None)

        def repeat(values: Sequence[torch.Tensor]) -> Any:
            filled = list(args)
            for argument in arguments:
                filled[argument.position] = values[argument.tensor]
            return cls.apply(*filled)

        return ForwardCall(
            repeat=repeat,
            tensors=tensors,
            arguments=tuple(arguments),
            outputs=None,
            differentiable=None,
            random_state=None,
            is_custom=True,
            argument_names=names,
            tensor_positions=frozenset(argument.position for argument in arguments),
            source="its leaves and saved tensors",
            assumption=" and ".join(f"its argument {name} is ctx.{name}" for name in taken),
        )

    def _from_context(self, node: LiveNode, name: str, *, want_tensor: bool) -> Any:
        """An argument that the Function has kept under its own name."""
        attributes = vars(node)
        if name not in attributes or isinstance(attributes[name], torch.Tensor) != want_tensor:
            raise CannotCheckError(f"the value of its argument {name} is not known; {REMEDY}")
        return attributes[name]

    # -- values --------------------------------------------------------------------------------

    def _value_of(self, edge: tuple[LiveNode, int]) -> torch.Tensor | None:
        """What flowed over an edge in the forward pass, if any node has saved it."""
        node, input_nr = edge
        if node is None:
            return None
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, torch.Tensor):
            return leaf
        if self._values is None:
            self._values = dict(_saved_values(self._nodes))
        return self._values.get((node, input_nr))


def _saved_values(
    nodes: Iterable[LiveNode],
) -> Iterable[tuple[tuple[LiveNode, int], torch.Tensor]]:
    """Everything that nodes saved and that can be read without running a hook."""
    types: dict[type, NodeType] = {}
    for node in nodes:
        kind = type(node)
        node_type = types.get(kind)
        if node_type is None:
            node_type = types[kind] = describe_type(kind)
        try:
            if node_type.kind == "custom":
                saved: Iterable[Any] = _read_function(node)
            else:
                saved = _read_saved(node, node_type, attributes=False).values()
        except CannotCheckError:
            continue
        for value in saved:
            for tensor in value if isinstance(value, tuple) else (value,):
                if isinstance(tensor, torch.Tensor) and tensor.grad_fn is not None:
                    yield (tensor.grad_fn, tensor.output_nr), tensor


def _read_function(node: LiveNode) -> Sequence[Any]:
    entries = raw_saved_tensors(node)
    clears = getattr(forward_class(node), "clear_saved_tensors_on_access", False)
    if clears or entries is None or any(peek_saved(entry)[0] for entry in entries):
        return ()
    try:
        return tuple(node.saved_tensors)
    except RuntimeError:
        return ()


def _read_saved(node: LiveNode, node_type: NodeType, *, attributes: bool = True) -> dict[str, Any]:
    """What a built-in node saved, by name; what was freed or modified is left out."""
    saved = {}
    for access in (*node_type.saved, *(node_type.attributes if attributes else ())):
        try:
            raw = None if access.read_raw is None else access.read_raw(node)
            for entry in raw if isinstance(raw, tuple) else (raw,):
                if entry is not None and peek_saved(entry)[0]:
                    raise CannotCheckError("what it saved is packed")
            value = access.read(node)
        except RuntimeError:
            continue
        saved[access.name] = _signed(value)
    return saved


def _signed(value: Any) -> Any:
    """Torch hands a negative dimension out as an unsigned number of 64 bits."""
    if isinstance(value, tuple):
        return tuple([_signed_one(member) for member in value])
    return _signed_one(value)


def _signed_one(value: Any) -> Any:
    is_wrapped = type(value) is int and value >= 2**63
    return value - 2**64 if is_wrapped else value


def _expand_names(names: tuple[str, ...], count: int) -> list[str]:
    if names[0].startswith("*"):
        return [f"{names[0][1:]}[{i}]" for i in range(count)]
    return list(names)


def _starred(operator: Operator) -> set[str]:
    return {name[1:] for name in operator.free if name.startswith("*")}


def _meta_of(node: LiveNode, input_nr: int) -> Any:
    leaf = getattr(node, "variable", None)
    return leaf if isinstance(leaf, torch.Tensor) else next(iter(input_metadata([node])))[input_nr]


def _run_once(call: ForwardCall) -> None:
    """Find out what the call returns, and that it is not random."""
    before = RandomState(call.tensors[0].device if call.tensors else None)
    try:
        with torch.no_grad():
            outputs = call.repeat([tensor.clone() for tensor in call.tensors])
    except Exception as error:
        # Whatever the user's forward function raises.
        raise CannotCheckError(
            f"repeating its forward function raised {type(error).__name__}: {error}"
        ) from None
    if not before.is_now():
        raise CannotCheckError(f"its forward function draws random numbers; {REMEDY}")
    call.outputs = flatten(outputs, is_custom=call.is_custom)
