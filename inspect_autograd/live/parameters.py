"""Names for parameters, buffers and inputs, found again by identity or by their memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch

from ..errors import ArgumentTypeError
from .memory import find_memory, find_region

__all__ = ["TensorNames", "collect_names"]

_EXPECTED = "a torch.nn.Module, a mapping of names to tensors, or pairs (name, tensor)"


class TensorNames:
    """Finds the names of a tensor.

    A tensor is known by identity, or else by its memory: `state_dict()` gives detached tensors
    that share the storage of the parameters, and a transposed weight is saved as a view.
    """

    def __init__(self, pairs: Iterable[tuple[str, torch.Tensor]]) -> None:
        self._held: list[torch.Tensor] = []  # An id is only good while its object lives.
        self._by_identity: dict[int, list[str]] = {}
        self._by_storage: dict[int, list[tuple[int, int, list[str]]]] = {}
        for name, tensor in pairs:
            names = self._by_identity.get(id(tensor))
            if names is None:
                self._held.append(tensor)
                names = self._by_identity[id(tensor)] = self._names_of_place(tensor)
            if name not in names:
                names.append(name)

    def _names_of_place(self, tensor: torch.Tensor) -> list[str]:
        # Tensors that are in exactly the same place are tied, and have one list of names.
        _, storage, _ = find_memory(tensor)
        if storage is None:
            return []
        start, stop = find_region(tensor)
        places = self._by_storage.setdefault(storage, [])
        for other_start, other_stop, names in places:
            if (start, stop) == (other_start, other_stop):
                return names
        places.append((start, stop, []))
        return places[-1][2]

    def items(self) -> Iterator[tuple[tuple[str, ...], torch.Tensor]]:
        """Every named tensor once with all its names, in the order in which they were named."""
        seen: set[int] = set()
        for tensor in self._held:
            names = self._by_identity[id(tensor)]
            if id(names) not in seen:  # Tied tensors have one list of names.
                seen.add(id(names))
                yield tuple(names), tensor

    def is_given(self, tensor: torch.Tensor) -> bool:
        """Whether it is one of the tensors that were named, and does not only share memory."""
        return id(tensor) in self._by_identity

    def of_leaf(self, tensor: torch.Tensor) -> tuple[str, ...]:
        """All names of a leaf: those of the tensor itself, else those of exactly its place."""
        names = self._by_identity.get(id(tensor))
        if names is None and self._by_storage:
            places = self._by_storage.get(find_memory(tensor)[1] or 0, ())
            region = find_region(tensor) if places else None
            names = next((names for *place, names in places if tuple(place) == region), None)
        return tuple(names or ())

    def of_memory(self, storage: int, tensor: torch.Tensor) -> tuple[str, ...]:
        """Names of the tensors that own any of the memory that a tensor looks at."""
        places = self._by_storage.get(storage)
        if places is None:
            return ()
        start, stop = find_region(tensor)
        return tuple(
            name
            for other_start, other_stop, names in places
            if start < other_stop and other_start < stop
            for name in names
        )

    def of_storage(self, storage: int) -> tuple[str, ...]:
        """Names of all tensors that live in a storage."""
        places = self._by_storage.get(storage)
        return () if places is None else tuple(name for _, _, names in places for name in names)


def collect_names(params: Any) -> TensorNames:
    """Read the `params` argument.

    Args:
        params: None; a `torch.nn.Module`, whose parameters and buffers get their qualified names
            (tied ones all of them); a mapping of names to tensors, such as
            `dict(model.named_parameters())` or `model.state_dict()`; pairs; or what was collected
            before.

    Raises:
        ArgumentTypeError: It is none of these.
    """
    return params if isinstance(params, TensorNames) else TensorNames(_iterate_pairs(params))


def _iterate_pairs(params: Any) -> Iterable[tuple[str, torch.Tensor]]:
    if params is None:
        return
    if isinstance(params, torch.nn.Module):
        yield from params.named_parameters(remove_duplicate=False)
        yield from params.named_buffers(remove_duplicate=False)
        return
    if isinstance(params, torch.Tensor | str | bytes) or not isinstance(params, Iterable):
        raise ArgumentTypeError(
            f"params is of type {type(params).__name__}; expected {_EXPECTED}",
            remedy="Give the model itself: params=model.",
        )
    items = params.items() if isinstance(params, Mapping) else params
    for position, item in enumerate(items):
        match item:
            case (str() as name, torch.Tensor() as tensor):
                yield name, tensor
            case (str(), None):
                pass  # A module's optional parameter, such as a bias that is switched off.
            case torch.Tensor():
                raise ArgumentTypeError(
                    f"params holds a tensor without a name at position {position}; "
                    f"expected {_EXPECTED}",
                    remedy="Give model.named_parameters() instead of model.parameters().",
                )
            case (str() as name, other):
                if isinstance(params, Mapping):
                    continue  # state_dict() may carry extra state that is no tensor.
                raise _wrong_pair(position, f"({name!r}, {type(other).__name__})")
            case _:
                raise _wrong_pair(position, type(item).__name__)


def _wrong_pair(position: int, found: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        f"params holds {found} at position {position}; expected {_EXPECTED}",
        remedy="Give the model itself (params=model), or a dict of names to tensors.",
    )
