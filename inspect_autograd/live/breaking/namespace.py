"""The names that an expression of the prompt may use."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import ArgumentError
from ...graph.records import SavedTensor
from ..node_types import describe_type
from ..parameters import TensorNames
from ..private_torch import LiveNode, unobserved
from ..saved import SavedTensorReader, look_again
from ..tensor_meta import TensorMetaCache
from .stop import Stop

__all__ = ["evaluate", "evaluate_with", "read_saved"]


def read_saved(node: LiveNode) -> list[tuple[SavedTensor, torch.Tensor | None]]:
    """What a node saved, each with the tensor if that can be had without running a hook."""
    with unobserved():
        reader = SavedTensorReader(TensorMetaCache(), TensorNames(()))
        records = reader.read(node, describe_type(type(node)))
        return [
            (record, look_again(node, record.name)[0] if record.meta is not None else None)
            for record in records
        ]


def evaluate(expression: str, stop: Stop) -> Any:
    """The value of a Python expression at a stop.

    Raises:
        ArgumentError: It is none, or it failed.
    """
    names = _names(stop) if expression else {}
    stop.is_evaluating = True
    try:
        return evaluate_with(expression, names)
    finally:
        stop.is_evaluating = False


def evaluate_with(expression: str, names: dict[str, Any]) -> Any:
    """The value of a Python expression.

    Args:
        expression: What was typed.
        names: The names that it may use; empty afterwards.

    Raises:
        ArgumentError: It is none, or it failed.
    """
    if not expression:
        raise ArgumentError("there is no expression", remedy="Type print received[0].norm().")
    try:
        return eval(compile(expression, "<prompt>", "eval"), names)
    except Exception as error:
        remedy = ""
        if isinstance(error, NameError):
            known = ", ".join(name for name in names if not name.startswith("__"))
            remedy = f"The names are {known}."
        raise ArgumentError(f"{type(error).__name__}: {error}", remedy=remedy) from None
    finally:
        names.clear()  # Not before the garbage collector comes, if the expression made a cycle.


def _names(stop: Stop) -> dict[str, Any]:
    pause = stop.pause
    node = stop.find_live(pause.node)
    saved = {} if node is None else {r.name: t for r, t in read_saved(node) if t is not None}
    names: dict[str, Any] = {
        "received": pause.received,
        "returned": pause.returned,
        **{f"g{slot}": gradient for slot, gradient in enumerate(pause.received)},
        **{f"r{slot}": gradient for slot, gradient in enumerate(pause.returned or ())},
        "norm": pause.norm,
        "node": pause.node,
        "pause": pause,
        "saved": saved,
        "torch": torch,
    }
    own = {**pause.node.attributes, **saved}
    return {**{name: own[name] for name in own if name.isidentifier()}, **names}
