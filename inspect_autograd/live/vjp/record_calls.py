"""Record, while a function runs, which call made which node."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..private_torch import (
    LiveNode,
    OperatorMode,
    argument_names,
    forward_class,
    next_sequence_nr,
    unobserved,
)
from ..walk import walk_graph
from .forward_call import (
    Argument,
    CannotCheckError,
    ForwardCall,
    Place,
    RandomState,
    copy_tensor,
    flatten,
    take_apart,
)

__all__ = ["CallRecorder", "parameter_names"]

Link = tuple[LiveNode, int] | torch.Tensor | None
"""What a gradient goes on to: a node and its output slot, or a leaf."""


@dataclass(slots=True)
class _Recorded:
    """A call before it is known which node it made."""

    function: Any  # The operator, or the class of the custom Function.
    call: ForwardCall
    places: list[Place]
    names: list[str]
    links: list[Link]


class CallRecorder(OperatorMode):
    """Notes each operator and each custom Function that makes a node in this thread."""

    def __init__(self, max_elements: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._max_elements = max_elements
        self._thread = threading.get_ident()
        self._unseen = next_sequence_nr()
        self._calls: dict[int, _Recorded | str] = {}

    # -- recording -----------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Below autograd, the node of an operator was made right before this is called."""
        del types
        kwargs = kwargs or {}
        number = next_sequence_nr() - 1
        is_new = number >= self._unseen
        self._unseen = max(self._unseen, number + 1)
        if not (is_new and torch.is_grad_enabled() and threading.get_ident() == self._thread):
            return func(*args, **kwargs)
        is_random = torch.Tag.nondeterministic_seeded in func.tags
        with unobserved():
            noted = self._note(func, argument_names(func), args, kwargs, is_random=is_random)
        outputs = func(*args, **kwargs)
        with unobserved():
            self._finish(number, noted, outputs, None)
        return outputs

    def record_function(self, cls: Any, call: Callable[[], Any], args: Any, kwargs: Any) -> Any:
        """Run a custom Function; its node gets the next number."""
        if threading.get_ident() != self._thread or not torch.is_grad_enabled():
            return call()
        number = next_sequence_nr()
        with unobserved(), torch.no_grad():
            noted = self._note(cls, parameter_names(cls, len(args)), args, kwargs, is_random=True)
        outputs = call()
        with unobserved(), torch.no_grad():
            self._finish(number, noted, outputs, _are_differentiable(outputs))
        return outputs

    def _note(
        self,
        function: Any,
        names: list[str],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        is_random: bool,
    ) -> _Recorded | str | None:
        is_custom = isinstance(function, type)
        repeat = function.apply if is_custom else function
        tensors, places, put_together = take_apart(args, kwargs)
        if not any(tensor.requires_grad for tensor in tensors):
            return None

        def repeat_with(others: Sequence[torch.Tensor]) -> Any:
            new_args, new_kwargs = put_together(others)
            return repeat(*new_args, **new_kwargs)

        try:
            call = ForwardCall(
                repeat=repeat_with,
                tensors=[copy_tensor(tensor, self._max_elements) for tensor in tensors],
                arguments=(),
                outputs=None,
                differentiable=None,
                random_state=RandomState(tensors[0].device) if is_random else None,
                is_custom=is_custom,
                argument_names=_fill(names, len(args)),
                tensor_positions=frozenset(
                    key for key, index in places if isinstance(key, int) and index is None
                ),
                source="the call that made the node",
                is_autocast=is_custom and torch.is_autocast_enabled(tensors[0].device.type),
            )
        except CannotCheckError as error:
            return str(error)
        except RuntimeError as error:
            return f"its inputs could not be copied: {error}"
        links = [_link_of(tensor) for tensor in tensors]
        return _Recorded(function, call, places, names, links)

    def _finish(
        self,
        number: int,
        noted: _Recorded | str | None,
        outputs: Any,
        differentiable: list[bool] | None,
    ) -> None:
        if isinstance(noted, _Recorded):
            call = noted.call
            try:
                call.outputs = [
                    copy_tensor(output, self._max_elements)
                    if isinstance(output, torch.Tensor)
                    else None
                    for output in flatten(outputs, is_custom=call.is_custom)
                ]
            except CannotCheckError as error:
                noted = str(error)
            except RuntimeError as error:
                noted = f"its outputs could not be copied: {error}"
            else:
                call.differentiable = differentiable
                if call.random_state is not None and call.random_state.is_now():
                    call.random_state = None
        if noted is not None:
            self._calls[number] = noted

    def is_of(self, thread: int) -> bool:
        """Whether it records this thread."""
        return self._thread == thread

    # -- afterwards ----------------------------------------------------------------------------

    def find(self, node: LiveNode, number: int, *, is_custom: bool) -> ForwardCall | None:
        """The call that made a node; None if none was recorded.

        Raises:
            CannotCheckError: It was seen, but cannot be repeated.
        """
        recorded = self._calls.get(number)
        if recorded is None:
            return None
        if isinstance(recorded, str):
            raise CannotCheckError(recorded)
        if is_custom != recorded.call.is_custom:
            return None
        if is_custom and forward_class(node) is not recorded.function:
            return None
        match = _match_function if is_custom else _match_operator
        arguments = match(node, recorded)
        if arguments is None:
            return None
        recorded.call.arguments = arguments
        return recorded.call

    def protect_what_was_touched(self) -> None:
        """Plant stepping stones in what was looked at, also if it is not in the final graph."""
        walk_graph(
            {
                link[0]
                for recorded in self._calls.values()
                if isinstance(recorded, _Recorded)
                for link in recorded.links
                if isinstance(link, tuple)
            }
        )


def _match_operator(node: LiveNode, recorded: _Recorded) -> tuple[Argument, ...] | None:
    """Find each of the node's edges among the inputs; None if this call did not make the node."""
    arguments = []
    used: set[int] = set()
    for slot, (next_node, input_nr) in enumerate(node.next_functions):
        if next_node is None:
            continue
        found = next(
            (
                index
                for index, link in enumerate(recorded.links)
                if index not in used and _is_link_to(link, next_node, input_nr)
            ),
            None,
        )
        if found is None:
            return None
        used.add(found)
        position, name = _name_place(recorded.places[found], recorded.names)
        arguments.append(Argument(found, position, name, slot, slot))
    return tuple(arguments)


def _match_function(node: LiveNode, recorded: _Recorded) -> tuple[Argument, ...] | None:
    """A custom Function has one edge for each argument that is a tensor, in their order."""
    direct = [i for i, (_, index) in enumerate(recorded.places) if index is None]
    edges = node.next_functions
    if len(direct) != len(edges):
        return None
    arguments = []
    for slot, (index, (next_node, _)) in enumerate(zip(direct, edges, strict=True)):
        if next_node is not None:
            position, name = _name_place(recorded.places[index], recorded.names)
            arguments.append(Argument(index, position, name, slot, position))
    return tuple(arguments)


def _name_place(place: Place, names: list[str]) -> tuple[int, str]:
    key, index = place
    if isinstance(key, str):
        position, name = (names.index(key) if key in names else len(names)), key
    else:
        position, name = key, names[key] if key < len(names) else f"argument {key}"
    return position, name if index is None else f"{name}[{index}]"


def _link_of(tensor: torch.Tensor) -> Link:
    if not tensor.requires_grad:
        return None
    node = tensor.grad_fn
    return tensor if node is None else (node, tensor.output_nr)


def _is_link_to(link: Link, node: LiveNode, input_nr: int) -> bool:
    if isinstance(link, tuple):
        return bool(link[0] is node and link[1] == input_nr)
    return link is not None and getattr(node, "variable", None) is link


def parameter_names(cls: Any, count: int) -> list[str]:
    """Names of the arguments of `forward`, without `ctx`."""
    try:
        parameters = list(inspect.signature(cls.forward).parameters.values())
    except (TypeError, ValueError):
        return []
    if cls.setup_context is torch.autograd.Function.setup_context:
        parameters = parameters[1:]
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}[{i}]" for i in range(count - len(names))]
        else:
            names.append(parameter.name)
    return names


def _are_differentiable(outputs: Any) -> list[bool]:
    flat = flatten(outputs, is_custom=True)
    return [isinstance(output, torch.Tensor) and output.requires_grad for output in flat]


def _fill(names: list[str], count: int) -> list[str]:
    return [*names[:count], *(f"argument {i}" for i in range(len(names), count))]
