"""Describe what nodes keep besides tensors."""

from __future__ import annotations

from typing import Any

from ..graph.records import Plain
from .node_types import NodeType
from .plain_values import to_plain
from .private_torch import LiveNode
from .tensor_meta import TensorMetaCache

__all__ = ["AttributeReader"]


class AttributeReader:
    """Reads attributes; nodes of one type with equal values share one dict."""

    def __init__(self, metas: TensorMetaCache) -> None:
        self._metas = metas
        self._known: dict[tuple[Any, ...], dict[str, Plain]] = {}

    def read(self, node: LiveNode, node_type: NodeType) -> dict[str, Plain]:
        """The values by name: `_saved_*` of a built-in node, those of `ctx` of a custom one."""
        if node_type.is_python:
            values = {"needs_input_grad": node.needs_input_grad, **vars(node)}
            return self._to_plain({k: v for k, v in values.items() if not k.startswith("_")})
        try:
            values_read = tuple([read(node) for _, read, _ in node_type.attributes])
        except Exception:  # No error of torch's may cost us the graph.
            return self._read_one_by_one(node, node_type)
        # The types too: 1, 1.0 and True are equal, and not the same.
        key: tuple[Any, ...] | None = (node_type.name, values_read, tuple(map(type, values_read)))
        try:
            if key in self._known:
                return self._known[key]
        except TypeError:
            key = None  # Something that cannot be a key, such as a symbolic size.
        names = [name for name, _, _ in node_type.attributes]
        result = self._to_plain(dict(zip(names, values_read, strict=True)))
        if key is not None:
            self._known[key] = result
        return result

    def _to_plain(self, values: dict[str, Any]) -> dict[str, Plain]:
        return {name: to_plain(value, self._metas) for name, value in values.items()}

    def _read_one_by_one(self, node: LiveNode, node_type: NodeType) -> dict[str, Plain]:
        result: dict[str, Plain] = {}
        for name, read, _ in node_type.attributes:
            try:
                result[name] = to_plain(read(node), self._metas)
            except Exception as error:
                result[name] = f"<not readable: {type(error).__name__}>"
        return result
