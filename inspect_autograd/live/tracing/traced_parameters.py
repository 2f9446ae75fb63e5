"""The parameters of a trace: all leaves, and all named tensors that require grad."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from ...events.records import TracedParameter
from ...graph.tensor_meta import TensorMeta
from ..parameters import TensorNames
from ..private_torch import LiveNode, has_dispatch
from ..tensor_meta import TensorMetaCache
from .gradient_stats import GradientStats

__all__ = ["ParameterBook"]


@dataclass(slots=True)
class _Entry:
    names: tuple[str, ...]
    meta: TensorMeta
    position: int | None
    node: int | None = None


class ParameterBook:
    """Notes parameters in the order of `params`, then nameless leaves, with their norms.

    Args:
        names: What the user named.
        metas: Makes the TensorMeta records.
        with_norms: Whether to measure the values.
    """

    def __init__(self, names: TensorNames, metas: TensorMetaCache, *, with_norms: bool) -> None:
        self._names = names
        self._metas = metas
        self._stats = GradientStats("norm", metas) if with_norms else None
        self._entries: list[_Entry] = []
        self._by_names: dict[tuple[str, ...], _Entry] = {}
        for found, tensor in names.items():
            if tensor.requires_grad and tensor.is_leaf:
                self._by_names[found] = self._add(found, tensor)

    def _add(self, names: tuple[str, ...], tensor: torch.Tensor) -> _Entry:
        # Even a detach would be the code of such a subclass.
        measurable = self._stats is not None and not has_dispatch(type(tensor))
        position = self._stats.note(tensor.detach()) if self._stats and measurable else None
        entry = _Entry(names, self._metas.describe(tensor), position)
        self._entries.append(entry)
        return entry

    def add_leaves(self, nodes: Iterable[tuple[int, LiveNode]]) -> None:
        """Note which nodes are the AccumulateGrad of a parameter.

        Args:
            nodes: Nodes with their ids; those that are no leaf are passed over.
        """
        for id, node in nodes:
            if type(node).__name__ != "AccumulateGrad":
                continue
            variable = node.variable
            entry = self._by_names.get(self._names.of_leaf(variable))
            if entry is None or entry.node is not None:
                entry = self._add(self._names.of_leaf(variable), variable)
            entry.node = id

    def release(self) -> None:
        """Let go of the tensors; what was noted stays."""
        self._names = TensorNames(())

    def names_of(self, value: Any) -> tuple[str, ...]:
        """The names of one of the `inputs=` of a pass."""
        return self._names.of_leaf(value) if isinstance(value, torch.Tensor) else ()

    def to_records(self) -> tuple[TracedParameter, ...]:
        """All of them as records."""
        stats = self._stats
        if stats is not None:
            stats.fetch()
        return tuple(
            TracedParameter(
                e.names,
                e.meta,
                e.node,
                None if stats is None or e.position is None else stats.stats[e.position].l2,
            )
            for e in self._entries
        )
