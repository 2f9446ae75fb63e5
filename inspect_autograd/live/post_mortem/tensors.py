"""Tensors of the user as plain facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from ...diagnosis.scene import TensorFacts
from ...graph.creation import SourceLine
from ...graph.tensor_meta import TensorMeta
from ..holders.safe_access import class_name
from ..memory import find_memory
from ..no_graph import explain_no_graph
from ..node_types import short_name
from ..parameters import TensorNames
from ..private_torch import LiveNode, version_of
from ..tensor_meta import TensorMetaCache

__all__ = ["TensorDescriber"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)
_UNKNOWN = TensorMeta(shape=None, dtype="?", device="?", layout=None)


class TensorDescriber:
    """Describes tensors, and remembers what the program calls them.

    To be used inside `unobserved()`, so that no code of a subclass or a mode runs. It holds
    tensors: drop it when the facts are gathered.

    Args:
        names: Names of parameters, where a model is known.
        source_of: Tells the line that made a live node, where a recording saw it.

    Attributes:
        ids: Ids of live nodes in the graph of the scene.
        storages: Ids of storages in that graph, by the key of the storage.
    """

    def __init__(self, names: TensorNames, source_of: Any = None) -> None:
        self.metas = TensorMetaCache()
        self.ids: Mapping[LiveNode, int] = {}
        self.storages: Mapping[int, int] = {}
        self._names = names
        self._source_of = source_of
        self._variables: dict[int, tuple[torch.Tensor, list[str]]] = {}

    def name(self, tensor: torch.Tensor, name: str) -> None:
        """Remember a name that the program has for a tensor; the first one is the best."""
        names = self._variables.setdefault(id(tensor), (tensor, []))[1]
        if name not in names:
            names.append(name)

    def names_of(self, tensor: torch.Tensor) -> tuple[str, ...]:
        """All names of a tensor."""
        _, names = self._variables.get(id(tensor), (tensor, []))
        return tuple(dict.fromkeys((*self._names.of_leaf(tensor), *names)))

    def named(self) -> Iterator[tuple[str, torch.Tensor]]:
        """All tensors that were given names, each once under its best one."""
        for tensor, names in self._variables.values():
            yield names[0], tensor

    def describe(self, tensor: torch.Tensor, name: str = "") -> TensorFacts:
        """The facts about a tensor; whatever kind of tensor it is, this does not raise.

        Args:
            tensor: Any tensor.
            name: What the program calls it here.
        """
        if name:
            self.name(tensor, name)
        try:
            facts = self._identity(tensor)
        except Exception:  # Such as the wrapper of a function transform that is over.
            return TensorFacts(self._safe_names(tensor), _UNKNOWN, kind=_kind_of(tensor))
        try:
            return self._with_graph(tensor, facts)
        except Exception as error:
            # A view that an in-place change has spoiled refuses to give its grad_fn.
            why = explain_no_graph(tensor) if isinstance(error, RuntimeError) else None
            return replace(facts, is_leaf=False, why_no_graph=why)

    def describe_edge(self, edge: torch.autograd.graph.GradientEdge) -> TensorFacts:
        """The facts about a GradientEdge that was given in place of a tensor."""
        metas = next(iter(self.metas.describe_received([edge.node])), ())
        return TensorFacts(
            names=(),
            meta=metas[edge.output_nr] if edge.output_nr < len(metas) else _UNKNOWN,
            requires_grad=True,
            is_leaf=False,
            grad_fn=short_name(edge.node),
            node=self.ids.get(edge.node),
            slot=edge.output_nr,
            version=None,
            kind="GradientEdge",
            source=self._line_of(edge.node),
        )

    def _safe_names(self, tensor: torch.Tensor) -> tuple[str, ...]:
        return tuple(self._variables.get(id(tensor), (tensor, []))[1])

    def _identity(self, tensor: torch.Tensor) -> TensorFacts:
        storage = find_memory(tensor)[1] if self.storages else None
        return TensorFacts(
            names=self.names_of(tensor),
            meta=self.metas.describe(tensor),
            requires_grad=tensor.requires_grad,
            is_inference=tensor.is_inference(),
            is_parameter=isinstance(tensor, torch.nn.Parameter),
            kind=_kind_of(tensor),
            storage=None if storage is None else self.storages.get(storage),
        )

    def _with_graph(self, tensor: torch.Tensor, facts: TensorFacts) -> TensorFacts:
        node = tensor.grad_fn
        return replace(
            facts,
            is_leaf=node is None,
            grad_fn=None if node is None else short_name(node),
            node=None if node is None else self.ids.get(node),
            slot=tensor.output_nr,
            version=None if facts.is_inference else version_of(tensor),
            is_view=not facts.is_inference and tensor._base is not None,
            has_grad=node is None and tensor.grad is not None,
            retains_grad=node is not None and tensor.retains_grad,
            source=self._line_of(node),
            why_no_graph=None if facts.requires_grad else explain_no_graph(tensor),
        )

    def _line_of(self, node: LiveNode | None) -> SourceLine | None:
        if node is None or self._source_of is None:
            return None
        line: SourceLine | None = self._source_of(node)
        return line


def _kind_of(tensor: torch.Tensor) -> str:
    return "" if any(type(tensor) is kind for kind in _PLAIN) else class_name(type(tensor))
