"""Scene: everything that is known of a failure, as plain records for the rules to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..events.recording import Recording
from ..events.trace import Trace
from ..graph.creation import SourceLine
from ..graph.graph import Graph
from ..graph.tensor_meta import TensorMeta
from .records import Failure

__all__ = ["CallFacts", "FrameFacts", "FunctionFacts", "HookFacts", "Scene", "TensorFacts"]


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What is known of one tensor of the user, without reading its values.

    Attributes:
        names: What the user's program calls it: variables of the failing frame, `self.attribute`,
            parameters of a module; empty if no name was found.
        meta: Shape, dtype, device, layout.
        requires_grad: As the tensor says.
        is_leaf: As the tensor says.
        grad_fn: Name of its node without namespaces; None if it has none.
        node: Id of that node in `Scene.graph`, where it is part of it.
        slot: Its `output_nr`.
        version: How often it was written in place; None for an inference tensor.
        is_inference: Whether it was made in inference mode.
        is_parameter: Whether it is a `torch.nn.Parameter`.
        is_view: Whether it is a view of another tensor.
        has_grad: Whether its `.grad` is there (asked of leaves only).
        retains_grad: As the tensor says.
        kind: Name of its class, where that is a subclass of Tensor other than Parameter.
        source: The line that made it, from a recording.
        why_no_graph: Why it carries no graph, as far as it tells itself; None if it carries one.
    """

    names: tuple[str, ...]
    meta: TensorMeta
    requires_grad: bool = False
    is_leaf: bool = True
    grad_fn: str | None = None
    node: int | None = None
    slot: int = 0
    version: int | None = 0
    is_inference: bool = False
    is_parameter: bool = False
    is_view: bool = False
    has_grad: bool = False
    retains_grad: bool = False
    kind: str = ""
    source: SourceLine | None = None
    why_no_graph: str | None = None

    @property
    def name(self) -> str:
        """Its first name, or `a tensor f32[3]`."""
        return self.names[0] if self.names else f"a tensor {self.meta}"


@dataclass(frozen=True, slots=True)
class CallFacts:
    """The call of `backward()` or `grad()` that failed, or was about to be made.

    Attributes:
        call: Which function.
        outputs: What it started from.
        gradients: The gradient that the user gave for each of these, None where none was given.
        inputs: What it was limited to; None if it was not.
        retain_graph: As given.
        create_graph: As given.
        allow_unused: As given, for `grad`.
        failing: Index of the output (or input) that the message is about; None if it names none.
    """

    call: Literal["backward", "grad"]
    outputs: tuple[TensorFacts, ...]
    gradients: tuple[TensorFacts | None, ...] = ()
    inputs: tuple[TensorFacts, ...] | None = None
    retain_graph: bool | None = None
    create_graph: bool = False
    allow_unused: bool | None = None
    failing: int | None = None


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """One frame of the traceback.

    Attributes:
        source: File, line and function.
        code: The text of the line, stripped; empty if it cannot be read.
        owner: `user`, `torch`, `inspect_autograd` or `python` (its library).
        tensors: Tensors among its local variables, by name; of user frames only. Includes
            attributes of `self` one level deep, as `self.name`.
        others: Other local variables, by name, described in a few words without running their
            code (type name; numbers, bools, None and short strings as they are; of a list, tuple
            or dict its length and the types inside); of user frames only.
    """

    source: SourceLine
    code: str
    owner: Literal["user", "torch", "inspect_autograd", "python"]
    tensors: Mapping[str, TensorFacts] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """A custom `torch.autograd.Function` of the user that is part of the graph or the traceback.

    Attributes:
        name: Qualified name of the class.
        node_name: Name of its nodes: `MyFunctionBackward`.
        forward: Where `forward` is defined.
        backward: Where `backward` (or `vjp`) is defined; None if it is not.
        inputs: Names of the arguments of `forward`, without `ctx`.
        backward_code: Text of the `return` lines of `backward`, each with its line.
        has_setup_context: Whether it overrides `setup_context`.
        nodes: Ids of its nodes in `Scene.graph`.
    """

    name: str
    node_name: str
    forward: SourceLine | None
    backward: SourceLine | None
    inputs: tuple[str, ...] = ()
    backward_code: tuple[tuple[str, SourceLine], ...] = ()
    has_setup_context: bool = False
    nodes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HookFacts:
    """A hook of the user that was registered on a tensor or a node of the graph.

    Attributes:
        name: Qualified name of the function.
        source: Where it is defined.
        on: What it is registered on, in words: `y (f32[3], MulBackward0)`.
    """

    name: str
    source: SourceLine | None
    on: str


@dataclass(frozen=True, slots=True)
class Scene:
    """All facts about a failure. What was not found is None or empty.

    Attributes:
        failure: The exception; None where nothing failed and the state of a program is examined.
        chain: The exceptions that led to it (`__cause__`, `__context__`), innermost last.
        frames: The traceback, outermost first.
        call: The call of backward or grad.
        graph: The graph behind the outputs of the call, captured after the failure: the state of
            saved tensors (`freed`, `modified`) says which nodes are at fault.
        numbers: Facts worked out on the real tensors, by name; see `live/post_mortem/numbers.py`.
        functions: Custom Functions.
        hooks: Hooks of the user, where the traceback leads into one or the message names one.
        warnings: Warnings that PyTorch gave, where they are known: category and text.
        is_grad_enabled: Whether gradients were enabled when the facts were gathered.
        is_inference_mode: Whether inference mode was on.
        recording: What a recording saw that the exception passed through.
        trace: What a trace saw that the exception passed through.
        torch_version: Of the torch that raised.
    """

    failure: Failure | None = None
    chain: tuple[Failure, ...] = ()
    frames: tuple[FrameFacts, ...] = ()
    call: CallFacts | None = None
    graph: Graph | None = None
    numbers: Mapping[str, object] = field(default_factory=dict)
    functions: tuple[FunctionFacts, ...] = ()
    hooks: tuple[HookFacts, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    is_grad_enabled: bool = True
    is_inference_mode: bool = False
    recording: Recording | None = None
    trace: Trace | None = None
    torch_version: str = ""

    @property
    def message(self) -> str:
        """What PyTorch said; empty where nothing failed."""
        return "" if self.failure is None else self.failure.message

    @property
    def user_frame(self) -> FrameFacts | None:
        """The innermost frame of the user's program."""
        return next((f for f in reversed(self.frames) if f.owner == "user"), None)

    @property
    def output(self) -> TensorFacts | None:
        """The output that the failure is about: the failing one, or the only one."""
        if self.call is None or not self.call.outputs:
            return None
        index = self.call.failing
        if index is None:
            return self.call.outputs[0] if len(self.call.outputs) == 1 else None
        return self.call.outputs[index] if index < len(self.call.outputs) else None
