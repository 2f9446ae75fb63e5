"""What can be seen at a node whose formula just ran, read without running code of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from ...graph.records import NodeKind
from ..node_types import NodeType, describe_type, short_name
from ..private_torch import LiveNode, is_functorch_wrapper, peek_saved, raw_saved_tensors

__all__ = ["Check", "Finding", "Scene", "is_plain", "look_at"]

PACKED = "packed by a hook (checkpoint, saved_tensors_hooks), so not looked at"
FREED = "freed, so not looked at"


class Finding(NamedTuple):
    """What a rule has to say.

    Attributes:
        rule: Its slug.
        text: One or two sentences.
        values: Descriptions that say more than those of `describe_values` would.
    """

    rule: str
    text: str
    values: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Scene:
    """A node, what it received and returned, and what it saved.

    Attributes:
        node: The live node.
        name: As `Node.name` in a Graph.
        kind: As `Node.kind` in a Graph.
        received: Per output slot; None where no gradient came.
        returned: Per slot of `next_functions`; None where it returned nothing.
        saved: The saved tensors that can be looked at.
        attributes: The other saved values of a built-in node.
        unseen: Names of the saved tensors that were not looked at, and why.
    """

    node: LiveNode
    name: str
    kind: NodeKind
    received: tuple[torch.Tensor | None, ...]
    returned: tuple[torch.Tensor | None, ...]
    saved: Mapping[str, torch.Tensor] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    unseen: Mapping[str, str] = field(default_factory=dict)

    @property
    def gradient(self) -> torch.Tensor:
        """The received gradient of a node with one output.

        Raises:
            LookupError: There is none.
        """
        first = self.received[0]
        if first is None:
            raise LookupError("no gradient in slot 0")
        return first

    def bad_slots(self) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
        """The returned gradients that are not finite: slot, gradient, mask of the elements."""
        found = []
        for slot, gradient in enumerate(self.returned):
            if gradient is not None:
                bad = ~torch.isfinite(gradient)
                if bad.any():
                    found.append((slot, gradient, bad))
        return found

    def dims(self, name: str, rank: int) -> tuple[int, ...]:
        """The dimensions that an attribute holds, counted from the front; all if it holds none."""
        value = self.attributes.get(name)
        if value is None or value == ():
            return tuple(range(rank))
        dims = value if isinstance(value, tuple) else (value,)
        # A negative one reaches Python as an unsigned 64-bit integer.
        signed = [dim - 2**64 if dim >= 2**63 else dim for dim in dims]
        return tuple(dim % rank for dim in signed) if rank else ()


Check = Callable[[Scene], Finding | None]
"""A rule: says what it found at a scene, None if it does not apply. It may raise."""


def is_plain(tensor: Any) -> bool:
    """Whether looking at the values of a tensor is possible and runs no code of the user's."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout is torch.strided
        and not tensor.is_nested
        and not tensor.is_quantized
        and tensor.device.type != "meta"
        and not is_functorch_wrapper(tensor)
    )


def look_at(
    node: LiveNode,
    received: Sequence[torch.Tensor | None],
    returned: Sequence[torch.Tensor | None],
) -> Scene:
    """Read all that a node saved and that can be read without running hooks."""
    node_type = describe_type(type(node))
    saved: dict[str, torch.Tensor] = {}
    unseen: dict[str, str] = {}
    for name, raw in _raw_saved(node, node_type):
        if raw is None:
            unseen[name] = FREED
            continue
        hooked, data, _ = peek_saved(raw)
        if hooked:
            unseen[name] = PACKED
        elif data is not None and is_plain(data):
            # torch warns when a number is read from a tensor that requires grad.
            saved[name] = data.detach()
        elif data is not None:
            unseen[name] = f"not looked at: a {type(data).__name__} that is no plain dense tensor"
    return Scene(
        node=node,
        name=node_type.name or short_name(node),
        kind=node_type.kind,
        received=tuple([_detach(gradient) for gradient in received]),
        returned=tuple([_detach(gradient) for gradient in returned]),
        saved=saved,
        attributes=_attributes(node, node_type),
        unseen=unseen,
    )


def _detach(gradient: torch.Tensor | None) -> torch.Tensor | None:
    return gradient.detach() if gradient is not None and is_plain(gradient) else None


def _raw_saved(node: LiveNode, node_type: NodeType) -> list[tuple[str, Any]]:
    """Every SavedVariable of a node by its name; None in the place of one that was freed."""
    if node_type.is_python:
        entries = raw_saved_tensors(node)
        if entries is None:
            return [("saved_tensors", None)]
        return [(f"saved_tensors[{index}]", entry) for index, entry in enumerate(entries)]
    found: list[tuple[str, Any]] = []
    for name, _, read_raw in node_type.saved:
        try:
            raw = read_raw(node)  # type: ignore[misc]
        except RuntimeError:
            found.append((name, None))
            continue
        if isinstance(raw, tuple):
            found += [(f"{name}[{index}]", entry) for index, entry in enumerate(raw)]
        else:
            found.append((name, raw))
    return found


def _attributes(node: LiveNode, node_type: NodeType) -> dict[str, Any]:
    if node_type.is_python:
        return {}  # What `ctx` carries is the user's, whose code might run when it is looked at.
    values = {}
    for name, read, _ in node_type.attributes:
        try:
            values[name] = read(node)
        except Exception:  # One attribute that cannot be read must not cost us the others.
            continue
    return values
