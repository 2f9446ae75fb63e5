"""Describe the tensors that nodes save, without running hooks or recomputing anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..graph.fast_records import fast_constructor
from ..graph.records import SavedState, SavedTensor, Storage
from .memory import find_memory
from .node_types import NodeType, describe_type
from .parameters import TensorNames
from .private_torch import (
    LiveNode,
    peek_saved,
    raw_saved_tensors,
)
from .tensor_meta import TensorMetaCache

__all__ = ["SavedTensorReader", "look_again"]

_make_saved: Callable[..., SavedTensor] = fast_constructor(SavedTensor)
_make_storage: Callable[..., Storage] = fast_constructor(Storage)


class SavedTensorReader:
    """Makes SavedTensor records and numbers the storages that they look at.

    Attributes:
        storages: The storages met so far; `SavedTensor.storage` is an index here.
        storage_ids: The same index by the key of the storage.
    """

    def __init__(self, metas: TensorMetaCache, names: TensorNames) -> None:
        self._metas = metas
        self._names = names
        self.storages: list[Storage] = []
        self.storage_ids: dict[int, int] = {}

    def release(self) -> None:
        """Let go of the tensors that have names; what was read stays."""
        self._names = TensorNames(())

    def read(self, node: LiveNode, node_type: NodeType) -> tuple[SavedTensor, ...]:
        """The tensors that one node saves, in the order of their names."""
        if node_type.is_python:
            return tuple(self._read_custom(node))
        records: list[SavedTensor] = []
        for name, read, read_raw in node_type.saved:
            try:
                raw = read_raw(node)  # type: ignore[misc]
            except RuntimeError:
                records.append(_freed(name))  # A list of tensors has no raw form any more.
                continue
            if isinstance(raw, tuple):
                for index, entry in enumerate(raw):
                    self._read_entry(records, f"{name}[{index}]", entry, _unpack, entry)
            else:
                self._read_entry(records, name, raw, read, node)
        return tuple(records)

    def _read_custom(self, node: LiveNode) -> list[SavedTensor]:
        entries = raw_saved_tensors(node)
        if entries is None:
            # Torch forgets how many there were, and whether there were any.
            return [_freed("saved_tensors")]
        hooked = any(peek_saved(entry)[0] for entry in entries)
        records: list[SavedTensor] = []
        for index, entry in enumerate(entries):
            label = f"saved_tensors[{index}]"
            self._read_entry(records, label, entry, _check_custom, (node, entry, hooked))
        return records

    def _read_entry(
        self,
        records: list[SavedTensor],
        label: str,
        entry: Any,
        check: Callable[[Any], object],
        checked: Any,
    ) -> None:
        hooked, data, version = peek_saved(entry)
        # Only the checked access tells whether a tensor was freed, modified, or never there.
        # One that was never written to (version 0) cannot have been modified.
        if hooked:
            records.append(SavedTensor(label, None, None, None, "packed"))
        elif data is not None:
            modified = version and _state(check, checked) == "modified"
            records.append(self._describe(label, data, "modified" if modified else "available"))
        elif _state(check, checked) == "freed":
            records.append(_freed(label))

    def _describe(self, label: str, data: torch.Tensor, state: SavedState) -> SavedTensor:
        meta = self._metas.describe(data)
        size, storage, storage_bytes = find_memory(data)
        if storage is None:
            return _make_saved(label, meta, size, None, state, ())
        index = self.storage_ids.get(storage)
        if index is None:
            index = self.storage_ids[storage] = len(self.storages)
            self.storages.append(_make_storage(storage_bytes, self._names.of_storage(storage)))
        return _make_saved(label, meta, size, index, state, self._names.of_memory(storage, data))


def look_again(node: LiveNode, label: str) -> tuple[Any, str]:
    """A saved tensor that is known not to be packed, and what PyTorch has against it.

    Args:
        node: The node that saved it.
        label: `SavedTensor.name`.

    Returns:
        The tensor as it is now, and the message that backward would fail with; empty if none.
    """
    name, _, index = label.rstrip("]").partition("[")
    node_type = describe_type(type(node))
    if node_type.is_python:
        entry = (raw_saved_tensors(node) or ())[int(index)]
        return peek_saved(entry)[1], _refusal(_check_custom, (node, entry, False))
    _, read, read_raw = next(access for access in node_type.saved if access.name == name)
    raw = read_raw(node)  # type: ignore[misc]
    if index:
        return peek_saved(raw[int(index)])[1], _refusal(_unpack, raw[int(index)])
    return peek_saved(raw)[1], _refusal(read, node)


def _refusal(check: Callable[[Any], object], checked: Any) -> str:
    try:
        check(checked)
    except RuntimeError as error:
        return str(error)
    return ""


def _freed(label: str) -> SavedTensor:
    return SavedTensor(label, None, None, None, "freed")


def _state(check: Callable[[Any], object], checked: Any) -> SavedState:
    try:
        check(checked)
    except RuntimeError as error:
        return "modified" if "modified" in str(error) else "freed"
    return "available"


def _unpack(entry: Any) -> object:
    return entry.unpack()


def _check_custom(checked: tuple[LiveNode, Any, bool]) -> None:
    node, entry, hooked = checked
    try:
        entry.unpack()
    except RuntimeError as error:
        # A saved output can only be unpacked through its node, which unpacks all of them and so
        # would run their hooks.
        if "modified" in str(error):
            raise
        if not hooked:
            _ = node.saved_tensors
