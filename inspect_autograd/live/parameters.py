"""Names for parameters, buffers and inputs, found again by identity or by their memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..errors import ArgumentTypeError
from .private_torch import storage_key

__all__ = ["TensorNames", "collect_names"]

_EXPECTED = "a torch.nn.Module, a mapping of names to tensors, or pairs (name, tensor)"


class TensorNames:
    """Finds the names of a tensor.

    A tensor is known by identity, or else by its memory: `state_dict()` gives detached tensors
    that share the storage of the parameters, and a transposed weight is saved as a view.
    """

    def __init__(self, pairs: Iterable[tuple[str, torch.Tensor]]) -> None:
        self._by_identity: dict[int, list[str]] = {}
        self._by_storage: dict[int, list[tuple[int, int, str]]] = {}
        self._held: list[torch.Tensor] = []  # An id is only good while its object lives.
        for name, tensor in pairs:
            self._held.append(tensor)
            names = self._by_identity.setdefault(id(tensor), [])
            if name not in names:
                names.append(name)
            region = find_region(tensor)
            if region is not None:
                storage, start, stop = region
                self._by_storage.setdefault(storage, []).append((start, stop, name))

    def of_leaf(self, tensor: torch.Tensor) -> tuple[str, ...]:
        """All names of a leaf: those of the tensor itself, else those of exactly its memory."""
        names = self._by_identity.get(id(tensor))
        region = find_region(tensor)
        if region is None:
            return tuple(names or ())
        storage, start, stop = region
        same = [
            name
            for other_start, other_stop, name in self._by_storage.get(storage, ())
            if (start, stop) == (other_start, other_stop)
        ]
        return tuple(dict.fromkeys([*(names or ()), *same]))

    def of_memory(self, storage: int, start: int, stop: int) -> tuple[str, ...]:
        """Names of the tensors that own any of the bytes `start` to `stop` of a storage."""
        known = self._by_storage.get(storage)
        if not known:
            return ()
        return tuple(
            dict.fromkeys(
                name
                for other_start, other_stop, name in known
                if start < other_stop and other_start < stop
            )
        )

    def of_storage(self, storage: int) -> tuple[str, ...]:
        """Names of all tensors that live in a storage."""
        return tuple(dict.fromkeys(name for _, _, name in self._by_storage.get(storage, ())))


def find_region(tensor: torch.Tensor) -> tuple[int, int, int] | None:
    """Where a tensor's elements lie: `(storage, first byte, byte behind the last)`.

    None for what has no plain storage (sparse, nested, functorch wrappers).
    """
    try:
        storage = storage_key(tensor)
        start = tensor.storage_offset()
        last = sum(
            (size - 1) * stride
            for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
        )
        empty = not tensor.numel()
    except (RuntimeError, NotImplementedError, TypeError, AttributeError):
        return None
    item = tensor.itemsize
    return storage, start * item, start * item + (0 if empty else (last + 1) * item)


def collect_names(params: Any) -> TensorNames:
    """Read the `params` argument.

    Args:
        params: None; a `torch.nn.Module`, whose parameters and buffers get their qualified names
            (tied ones all of them); a mapping of names to tensors, such as
            `dict(model.named_parameters())` or `model.state_dict()`; or pairs.

    Raises:
        ArgumentTypeError: It is none of these.
    """
    return TensorNames(_iterate_pairs(params))


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
