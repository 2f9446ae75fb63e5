"""From a live loss, model and optimizer to ProgramFacts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ...diagnosis.program_facts import ForeignFacts, ParameterFacts, ProgramFacts, Ran, ValueFacts
from ...errors import NoGraphError
from ...events.recording import Recording
from ...graph.graph import Graph
from ..capture import LiveCapture, capture_live
from ..no_graph import explain_no_graph
from ..node_types import short_name
from ..parameters import TensorNames, collect_names
from ..private_torch import has_dispatch
from ..tensor_meta import TensorMetaCache
from .modules import Held, ModuleTensor, find_module_tensors, find_unregistered
from .values import describe_values

__all__ = ["Program", "collect"]

_WRAPPERS = {"DistributedDataParallel", "DataParallel", "FullyShardedDataParallel"}
_HIDING = {"CheckpointFunctionBackward"}
"""Nodes behind which other parameters are used than the graph shows."""


@dataclass(slots=True)
class Program:
    """What was given, live; hold it no longer than needed.

    Attributes:
        losses: To go back from.
        model: The model.
        optimizers: All of them.
        names: Names of the tensors of the model and of `params`.
        tensors: These tensors.
        recording: What was seen of the program.
        captured: The graph of the losses, and its live nodes; None if there is none.
    """

    losses: list[torch.Tensor]
    model: torch.nn.Module | None
    optimizers: list[Any]
    names: TensorNames
    tensors: list[ModuleTensor]
    recording: Recording | None = None
    captured: LiveCapture | None = None
    metas: TensorMetaCache = field(default_factory=TensorMetaCache)

    @classmethod
    def of(
        cls,
        losses: list[torch.Tensor],
        model: torch.nn.Module | None,
        optimizers: list[Any],
        params: Any,
        recording: Recording | None,
    ) -> Program:
        """Find the tensors and the graph; to be called inside `unobserved()`."""
        tensors = [] if model is None else find_module_tensors(model)
        known = {id(one.tensor): one for one in tensors}
        for names, tensor in collect_names(params).items():
            if id(tensor) not in known:
                tensors.append(ModuleTensor(tensor, "", None, False, list(names)))
        pairs = [(name, one.tensor) for one in tensors for name in one.names]
        program = cls(losses, model, optimizers, TensorNames(pairs), tensors, recording)
        if losses:
            try:
                program.captured = capture_live(losses, program.names)
            except NoGraphError:
                program.captured = None
        return program

    def held(self) -> Held:
        """What the optimizers hold."""
        return Held(
            {
                id(tensor): tensor
                for optimizer in self.optimizers
                for group in optimizer.param_groups
                for tensor in group["params"]
                if isinstance(tensor, torch.Tensor)
            }
        )


def collect(program: Program) -> ProgramFacts:
    """The facts; to be called inside `unobserved()` and with gradients off."""
    graph = None if program.captured is None else program.captured.graph
    held = program.held()
    parameters, buffers = _describe(program, held, graph)
    known = {id(one.tensor): one for one in program.tensors}
    attributes = (
        []
        if program.model is None
        else find_unregistered(program.model, known, held, program.metas)
    )
    return ProgramFacts(
        parameters=parameters,
        buffers=buffers,
        attributes=tuple(attributes),
        optimizers=tuple(type(optimizer).__name__ for optimizer in program.optimizers),
        held_count=len(held.tensors),
        foreign=tuple(_foreign(program, held, known)),
        has_model=bool(program.tensors),
        has_loss=bool(program.losses),
        wrapper=_wrapper(program.model),
        graph=graph,
        no_graph="" if graph or not program.losses else explain_no_graph(program.losses[0]),
        ran=_ran(graph, parameters),
        hides_leaves=graph is not None and not _HIDING.isdisjoint(graph.node_table.names),
        recording=program.recording,
    )


def _describe(
    program: Program, held: Held, graph: Graph | None
) -> tuple[tuple[ParameterFacts, ...], tuple[ParameterFacts, ...]]:
    gradients = [one.tensor.grad if _is_leaf(one.tensor) else None for one in program.tensors]
    values = iter(describe_values([one.tensor for one in program.tensors if not one.is_buffer]))
    of_gradients = iter(describe_values([g for g in gradients if g is not None]))
    leaves = _leaf_nodes(graph)
    parameters: list[ParameterFacts] = []
    buffers: list[ParameterFacts] = []
    for one, gradient in zip(program.tensors, gradients, strict=True):
        facts = _describe_one(
            one,
            program.metas,
            is_held=one.tensor in held,
            node=next((leaves[name] for name in one.names if name in leaves), None),
            values=None if one.is_buffer else next(values),
            grad=None if gradient is None else next(of_gradients),
        )
        (buffers if one.is_buffer else parameters).append(facts)
    return tuple(parameters), tuple(buffers)


def _describe_one(
    one: ModuleTensor,
    metas: TensorMetaCache,
    *,
    is_held: bool,
    node: int | None,
    values: ValueFacts | None,
    grad: ValueFacts | None,
) -> ParameterFacts:
    tensor, owner = one.tensor, one.owner
    is_leaf = _is_leaf(tensor)
    return ParameterFacts(
        names=tuple(one.names),
        meta=metas.describe(tensor),
        module=one.module,
        module_type="" if owner is None else f"{type(owner).__module__}.{type(owner).__name__}",
        is_training=owner is None or bool(vars(owner).get("training", True)),
        requires_grad=tensor.requires_grad,
        is_leaf=is_leaf,
        is_parameter=isinstance(tensor, torch.nn.Parameter),
        is_plain=not has_dispatch(type(tensor)),
        grad_fn=None if is_leaf else short_name(tensor.grad_fn),
        node=node,
        is_held=is_held,
        grad=grad,
        values=values,
        no_graph="" if tensor.requires_grad else explain_no_graph(tensor),
        has_graph_of_grad=grad is not None
        and tensor.grad is not None
        and tensor.grad.requires_grad,
    )


def _is_leaf(tensor: torch.Tensor) -> bool:
    try:
        return tensor.grad_fn is None
    except RuntimeError:  # A view that an in-place change has spoiled.
        return False


def _leaf_nodes(graph: Graph | None) -> Mapping[str, int]:
    """Ids of the AccumulateGrad nodes by the names of their tensors."""
    if graph is None:
        return {}
    return {name: id for id, leaf in graph.node_table.parameters.items() for name in leaf.names}


def _foreign(program: Program, held: Held, known: Mapping[int, object]) -> Iterable[ForeignFacts]:
    if not program.tensors:
        return
    live = () if program.captured is None else program.captured.ids
    reached = {id(node.variable) for node in live if hasattr(node, "variable")}
    for position, tensor in enumerate(held.tensors.values()):
        if id(tensor) not in known:
            yield ForeignFacts(
                program.metas.describe(tensor),
                position,
                _is_leaf(tensor) and tensor.grad is not None,
                id(tensor) in reached,
            )


def _wrapper(model: torch.nn.Module | None) -> str:
    name = "" if model is None else type(model).__name__
    return name if name in _WRAPPERS else ""


def _ran(graph: Graph | None, parameters: Sequence[ParameterFacts]) -> Ran:
    """Whether a backward pass has been over the whole graph, as what it saved tells."""
    if graph is None:
        return "unknown"
    states = {saved.state for tensors in graph.node_table.saved.values() for saved in tensors}
    if states == {"freed"}:
        return "ran"
    if "freed" in states:
        return "unknown"  # Over a part of it.
    reached = [p for p in parameters if p.node is not None]
    if not states:
        return "unknown"
    return "unknown" if any(p.grad is not None for p in reached) else "not run"
