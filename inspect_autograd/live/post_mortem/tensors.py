"""Tensors of the user as plain facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ...diagnosis.scene import TensorFacts
from ...graph.creation import SourceLine
from ..no_graph import explain_no_graph
from ..node_types import short_name
from ..parameters import TensorNames
from ..private_torch import LiveNode, version_of
from ..tensor_meta import TensorMetaCache

__all__ = ["TensorDescriber"]

_PLAIN = (torch.Tensor, torch.nn.Parameter)


class TensorDescriber:
    """Describes tensors, and remembers what the program calls them.

    To be used inside `unobserved()`, so that no code of a subclass or a mode runs.

    Args:
        names: Names of parameters, where a model is known.
        source_of: Tells the line that made a live node, where a recording saw it.
    """

    def __init__(self, names: TensorNames, source_of: Any = None) -> None:
        self.metas = TensorMetaCache()
        self.ids: Mapping[LiveNode, int] = {}
        self._names = names
        self._source_of = source_of
        self._variables: dict[int, tuple[torch.Tensor, list[str]]] = {}

    def name(self, tensor: torch.Tensor, name: str) -> None:
        """Remember a name that the program has for a tensor."""
        names = self._variables.setdefault(id(tensor), (tensor, []))[1]
        if name not in names:
            names.append(name)

    def names_of(self, tensor: torch.Tensor) -> tuple[str, ...]:
        """All names of a tensor."""
        _, names = self._variables.get(id(tensor), (tensor, []))
        return tuple(dict.fromkeys((*self._names.of_leaf(tensor), *names)))

    def describe(self, tensor: torch.Tensor, name: str = "") -> TensorFacts:
        """The facts about a tensor.

        Args:
            tensor: Any tensor.
            name: What the program calls it here.
        """
        if name:
            self.name(tensor, name)
        facts = TensorFacts(
            names=self.names_of(tensor),
            meta=self.metas.describe(tensor),
            requires_grad=tensor.requires_grad,
            is_inference=tensor.is_inference(),
            is_parameter=isinstance(tensor, torch.nn.Parameter),
            kind="" if type(tensor) in _PLAIN else type(tensor).__qualname__,
        )
        try:
            node = tensor.grad_fn
        except RuntimeError:  # A view that an in-place change has spoiled.
            return replace(facts, is_leaf=False, why_no_graph=explain_no_graph(tensor))
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
