"""What is known of the parameters that a DistributedDataParallel model watches."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.tensor_meta import TensorMeta

__all__ = ["ReplicaFacts", "ReplicaParameter"]


@dataclass(frozen=True, slots=True)
class ReplicaParameter:
    """One parameter, in the order in which DistributedDataParallel counts them.

    Attributes:
        name: In the wrapped model: `fc.weight`.
        meta: Its shape and type.
        behind: Variables of the user's frames whose graph reaches it.
    """

    name: str
    meta: TensorMeta
    behind: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """The model of a traceback; `Scene.numbers["replica"]`.

    Attributes:
        name: What the user's program calls the DistributedDataParallel model; empty if unknown.
        parameters: What it watches.
        results: The user's variables that have a graph which reaches some parameter: what is left
            of the last step.
        finds_unused: Its `find_unused_parameters`.
        is_static: Its `static_graph`.
    """

    name: str
    parameters: tuple[ReplicaParameter, ...]
    results: tuple[str, ...] = ()
    finds_unused: bool = False
    is_static: bool = False
