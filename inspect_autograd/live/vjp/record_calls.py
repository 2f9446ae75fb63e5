"""Record, while a function runs, which call made which node."""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..node_types import short_name
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


MAX_CANDIDATES = 4
"""Calls that are kept for one node."""


@dataclass(slots=True)
class _Recorded:
    """A call before it is known which node it made."""

    function: Any  # The operator, or the class of the custom Function.
    is_custom: bool
    places: list[Place]
    names: list[str]
    links: list[Link]
    call: ForwardCall | None = None
    problem: str = ""  # Why there is no call that could be repeated.


class CallRecorder(OperatorMode):
    """Notes each operator and each custom Function that makes a node in this thread."""

    def __init__(self, max_elements: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._max_elements = max_elements
        self._thread = threading.get_ident()
        self._unseen = next_sequence_nr()
        self._calls: dict[int, list[_Recorded]] = {}
        self._open: range = range(0)

    # -- recording -----------------------------------------------------------------------------

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Below autograd, the node of an operator was made before this is called.

        Most often right before. But a formula may call other operators first, as `mul_` clones
        what it is about to overwrite; so all that come until the next node are candidates.
        """
        del types
        kwargs = kwargs or {}
        end = next_sequence_nr()
        if end > self._unseen:
            self._open = range(self._unseen, end)
            self._unseen = end
        if not (
            torch.is_grad_enabled()
            and threading.get_ident() == self._thread
            and any(len(self._calls.get(n, ())) < MAX_CANDIDATES for n in self._open)
        ):
            return func(*args, **kwargs)
        numbers = self._open
        is_random = torch.Tag.nondeterministic_seeded in func.tags
        with unobserved():
            noted = self._note(func, argument_names(func), args, kwargs, is_random=is_random)
        outputs = func(*args, **kwargs)
        with unobserved():
            self._finish(numbers, noted, outputs, None)
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
            self._finish([number], noted, outputs, _are_differentiable(outputs))
        return outputs

    def _note(
        self,
        function: Any,
        names: list[str],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        *,
        is_random: bool,
    ) -> _Recorded | None:
        is_custom = isinstance(function, type)
        repeat = function.apply if is_custom else function
        tensors, places, put_together = take_apart(args, kwargs)
        if not any(tensor.requires_grad for tensor in tensors):
            return None

        recorded = _Recorded(function, is_custom, places, names, list(map(_link_of, tensors)))

        def repeat_with(others: Sequence[torch.Tensor]) -> Any:
            new_args, new_kwargs = put_together(others)
            return repeat(*new_args, **new_kwargs)

        try:
            recorded.call = ForwardCall(
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
            recorded.problem = str(error)
        except RuntimeError as error:
            recorded.problem = f"its inputs could not be copied: {error}"
        return recorded

    def _finish(
        self,
        numbers: Sequence[int],
        recorded: _Recorded | None,
        outputs: Any,
        differentiable: list[bool] | None,
    ) -> None:
        if recorded is None:
            return
        for number in numbers:
            self._calls.setdefault(number, []).append(recorded)
        call = recorded.call
        if call is None:
            return
        try:
            call.outputs = [
                copy_tensor(output, self._max_elements)
                if isinstance(output, torch.Tensor)
                else None
                for output in flatten(outputs, is_custom=call.is_custom)
            ]
        except CannotCheckError as error:
            recorded.call, recorded.problem = None, str(error)
        except RuntimeError as error:
            recorded.call, recorded.problem = None, f"its outputs could not be copied: {error}"
        call.differentiable = differentiable
        if call.random_state is not None and call.random_state.is_now():
            call.random_state = None

    def is_of(self, thread: int) -> bool:
        """Whether it records this thread."""
        return self._thread == thread

    # -- afterwards ----------------------------------------------------------------------------

    def find(self, node: LiveNode, number: int, *, is_custom: bool) -> ForwardCall | None:
        """The call that made a node; None if none was recorded.

        Raises:
            CannotCheckError: It was seen, but cannot be repeated.
        """
        match = _match_function if is_custom else _match_operator
        for recorded in self._calls.get(number, ()):
            arguments = match(node, recorded) if recorded.is_custom == is_custom else None
            if arguments is None:
                continue
            if recorded.call is None:
                raise CannotCheckError(recorded.problem)
            recorded.call.arguments = arguments
            return recorded.call
        return None

    def protect_what_was_touched(self) -> None:
        """Plant stepping stones in what was looked at, also if it is not in the final graph."""
        walk_graph(
            {
                link[0]
                for candidates in self._calls.values()
                for recorded in candidates
                for link in recorded.links
                if isinstance(link, tuple)
            }
        )


def _match_operator(node: LiveNode, recorded: _Recorded) -> tuple[Argument, ...] | None:
    """Find each of the node's edges among the inputs; None if this call did not make the node."""
    if _core(short_name(node)) != _core(recorded.function.overloadpacket.__name__):
        return None
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
    if forward_class(node) is not recorded.function:
        return None
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


def _core(name: str) -> str:
    """`MulBackward0` is made by `mul` and `mul_`, `NllLossBackward0` by `nll_loss_forward`."""
    return re.sub(r"Backwards?\d*(?=$|_copy$)|_forward$|_", "", name).lower()


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
