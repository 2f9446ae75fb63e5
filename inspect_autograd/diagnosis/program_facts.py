"""ProgramFacts: what a loss, a model and an optimizer tell, as plain records for rules to read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..events.recording import Recording
from ..graph.graph import Graph
from ..graph.tensor_meta import TensorMeta

__all__ = ["AttributeFacts", "ForeignFacts", "ParameterFacts", "ProgramFacts", "Ran", "ValueFacts"]

Ran = Literal["ran", "not run", "unknown"]

Unregistered = Literal["computed", "leaf tensor", "in a container", "module in a container"]


@dataclass(frozen=True, slots=True)
class ValueFacts:
    """What is known of the elements of a tensor.

    Attributes:
        problem: `NaN`, `Inf` or `NaN and Inf`; empty where every element is finite.
        is_zero: Whether every element is exactly 0.
        is_known: Whether the elements were looked at: those of a tensor on the meta device, of a
            sparse one or of a subclass are not.
    """

    problem: str = ""
    is_zero: bool = False
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class ParameterFacts:
    """One tensor of the model, or of `params`.

    Attributes:
        names: All its names; several where it is tied.
        meta: Shape, dtype, device.
        module: Path of the module that holds it.
        module_type: Class of that module; empty where it was given in `params`.
        is_training: Whether that module is in training mode.
        requires_grad: As the tensor says.
        is_leaf: As the tensor says.
        is_parameter: Whether it is a `torch.nn.Parameter`.
        is_plain: Whether it is no tensor subclass with code of its own (a DTensor), whose leaves
            in the graph are other tensors.
        grad_fn: Name of its node, where it is no leaf.
        node: Id of its AccumulateGrad node in the graph of the loss; None if that does not reach
            it.
        is_held: Whether an optimizer that was given holds it.
        grad: Facts about its `.grad`; None if there is none.
        values: Facts about its own elements; None if they were not looked at.
        no_graph: Why it cannot have a gradient, where it cannot.
        has_graph_of_grad: Whether its `.grad` is the result of a graph.
    """

    names: tuple[str, ...]
    meta: TensorMeta
    module: str = ""
    module_type: str = ""
    is_training: bool = True
    requires_grad: bool = True
    is_leaf: bool = True
    is_parameter: bool = True
    is_plain: bool = True
    grad_fn: str | None = None
    node: int | None = None
    is_held: bool = False
    grad: ValueFacts | None = None
    values: ValueFacts | None = None
    no_graph: str = ""
    has_graph_of_grad: bool = False

    @property
    def name(self) -> str:
        """Its first name."""
        return self.names[0]

    @property
    def is_trainable(self) -> bool:
        """Whether a backward pass could give it a gradient."""
        return self.requires_grad and self.is_leaf


@dataclass(frozen=True, slots=True)
class AttributeFacts:
    """What stands in a module like a parameter, but is none that `parameters()` gives.

    Attributes:
        name: Path of the module and the attribute: `head.scale`, `blocks[0]`.
        meta: Shape and dtype; None for a module.
        kind: `computed` (a tensor with a `grad_fn`), `leaf tensor` (a tensor that requires grad
            but is no Parameter), `in a container` (in a list, tuple or dict), `module in a
            container`.
        grad_fn: Name of its node, where it was computed.
        what: Class of the module; empty for a tensor.
        parameter_count: How many parameters the module holds.
        is_certain: Whether nothing else explains it.
        is_held: Whether an optimizer that was given holds it all the same.
    """

    name: str
    meta: TensorMeta | None
    kind: Unregistered
    grad_fn: str | None = None
    what: str = ""
    parameter_count: int = 1
    is_certain: bool = True
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class ForeignFacts:
    """A tensor that an optimizer holds and the model does not.

    Attributes:
        meta: Shape, dtype, device.
        position: Which of the optimizer's tensors it is, counted from 0.
        has_grad: Whether its `.grad` is there.
        is_reached: Whether the graph of the loss reaches it.
    """

    meta: TensorMeta
    position: int
    has_grad: bool = False
    is_reached: bool = False


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """All facts about a program in which nothing has failed.

    Attributes:
        parameters: Of the model, then of `params`; each tensor once.
        buffers: Of the model.
        attributes: What looks like a parameter of the model, but is not registered.
        optimizers: Classes of the optimizers that were given.
        held_count: How many tensors they hold.
        foreign: Tensors that they hold and the model does not.
        has_model: Whether a model or `params` were given.
        has_loss: Whether a loss was given.
        wrapper: Class of the outermost module, where that is one that wraps a model for several
            processes (`DistributedDataParallel`).
        graph: Of the loss; None if it has none.
        no_graph: Why it has none.
        ran: Whether a backward pass has been over that graph.
        hides_leaves: Whether there may be leaves that the graph does not show, as behind a
            reentrant checkpoint.
        recording: What was seen of the program.
    """

    parameters: tuple[ParameterFacts, ...] = ()
    buffers: tuple[ParameterFacts, ...] = ()
    attributes: tuple[AttributeFacts, ...] = ()
    optimizers: tuple[str, ...] = ()
    held_count: int = 0
    foreign: tuple[ForeignFacts, ...] = ()
    has_model: bool = False
    has_loss: bool = False
    wrapper: str = ""
    graph: Graph | None = None
    no_graph: str = ""
    ran: Ran = "unknown"
    hides_leaves: bool = False
    recording: Recording | None = None

    @property
    def has_optimizer(self) -> bool:
        """Whether an optimizer was given."""
        return bool(self.optimizers)

    def trainable(self) -> Iterator[ParameterFacts]:
        """The parameters that a backward pass could give a gradient."""
        return (parameter for parameter in self.parameters if parameter.is_trainable)
