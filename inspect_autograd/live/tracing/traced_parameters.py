"""The parameters of a trace: all leaves, and all named tensors that require grad."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...events.records import TracedParameter
from ...graph.tensor_meta import TensorMeta
from ..parameters import TensorNames
from ..private_torch import LiveNode, has_dispatch
from ..private_training import foreach_norms
from ..tensor_meta import TensorMetaCache
from .gradient_stats import GradientStats
from .reductions import LONG_ROW, SMALL

__all__ = ["ParameterBook"]


@dataclass(slots=True)
class _Entry:
    names: tuple[str, ...]
    meta: TensorMeta
    position: int | None
    node: int | None = None
    l2: float | None = None


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
        leaves = [(found, t) for found, t in names.items() if t.requires_grad and t.is_leaf]
        together = _measure_together([t for _, t in leaves]) if with_norms else {}
        for found, tensor in leaves:
            self._by_names[found] = self._add(found, tensor, together.get(id(tensor)))

    def _add(self, names: tuple[str, ...], tensor: torch.Tensor, l2: float | None = None) -> _Entry:
        if l2 is not None:
            self._entries.append(_Entry(names, self._metas.describe(tensor), None, l2=l2))
            return self._entries[-1]
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
                e.l2 if stats is None or e.position is None else stats.stats[e.position].l2,
            )
            for e in self._entries
        )


def _measure_together(tensors: Sequence[torch.Tensor]) -> dict[int, float]:
    """Norms of ordinary tensors on the CPU by id, many in one call of torch.

    One by one they would take as long as the gradients of a small model. Those that are left out
    need more care: long ones lose digits if their squares are added up one after the other.
    """
    groups: dict[torch.dtype, list[torch.Tensor]] = {}
    for tensor in tensors:
        if (
            type(tensor) in (torch.Tensor, torch.nn.Parameter)
            and tensor.is_cpu
            and tensor.dtype in (torch.float32, torch.float64)
            and tensor.layout is torch.strided
            and not tensor.is_nested
            and SMALL < tensor.numel() <= LONG_ROW
        ):
            groups.setdefault(tensor.dtype, []).append(tensor)
    found: dict[int, float] = {}
    with torch.no_grad():
        for group in groups.values():
            norms = torch.stack(foreach_norms([tensor.detach() for tensor in group])).tolist()
            found.update(zip(map(id, group), norms, strict=True))
    return found
