"""Scene: everything that is known of a failure, as plain records for the rules to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ..events.effects import Mutation
from ..events.recording import Recording
from ..events.trace import Trace
from ..graph.creation import SourceLine
from ..graph.graph import Graph
from ..graph.records import SavedTensor
from ..graph.tensor_meta import TensorMeta
from .records import Failure

__all__ = [
    "CallFacts",
    "FrameFacts",
    "FunctionFacts",
    "HookFacts",
    "ModifiedFacts",
    "RunningFacts",
    "Scene",
    "TensorFacts",
]


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What is known of one tensor of the user, without reading its values.

    Attributes:
        names: What the user's program calls it, the best first: its name in `params`, variables of
            the user's frames (the innermost frame first), `self.attribute`, elements such as
            `losses[2]` or `batch["x"]`, parameters of modules such as `model.fc.weight`; empty if
            no name was found.
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
        kind: Name of its class, where that is a subclass of Tensor other than Parameter;
            `GradientEdge` for one of these, which has no `meta` of its own.
        source: The line that made it, from a recording.
        why_no_graph: Why it carries no graph, as far as it tells itself; None if it carries one.
        storage: Index in `Scene.graph.storages` of its memory, where a node saved some of that:
            it equals `SavedTensor.storage` of what shares memory with it.
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
    storage: int | None = None

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
            attributes of `self` one level deep, as `self.name`, and elements of lists, tuples and
            dicts, as `losses[2]` or `batch["x"]`. At the level of a module these are its global
            variables; of a function only the global ones that the failing line names.
        others: Other local variables, by name, described in a few words without running their
            code (type name; numbers, bools, None and short strings as they are; of a list, tuple
            or dict its length and the types inside); of user frames only.
        expression: Text of the innermost expression or statement of the line that was running, as
            far as Python knows it: `x.add_(1)` of `x = f(y); x.add_(1)`; empty if it is unknown.
        is_from_text: Whether all that is known of it comes from the text of a traceback, as where
            an exception was raised again in another thread; then it has no variables.
        body: Text of its whole function, or of the file or cell where it is in none, as it stands
            there; of user frames only, and empty if it cannot be read.
        first_line: Number of the first line of `body`.
    """

    source: SourceLine
    code: str
    owner: Literal["user", "torch", "inspect_autograd", "python"]
    tensors: Mapping[str, TensorFacts] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    expression: str = ""
    is_from_text: bool = False
    body: str = field(default="", repr=False)
    first_line: int = 1


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
        source: Where it is defined; None where the function was not found.
        on: What it is registered on, in words: `y (f32[3], MulBackward0)`; empty where that was
            not found. PyTorch does not tell the hooks of nodes, only those of tensors.
        tensor: The tensor that it is registered on, where that was found.
        is_running: Whether the failure came out of its own code.
    """

    name: str
    source: SourceLine | None
    on: str
    tensor: TensorFacts | None = None
    is_running: bool = False


@dataclass(frozen=True, slots=True)
class RunningFacts:
    """The node whose backward was running when the failure came.

    Attributes:
        name: Name of the node: `MulBackward0`, `MyFunctionBackward`.
        node: Id in `Scene.graph`; None where several nodes have that name, or none.
        told_by: Who says so: `trace` (which saw it run), `frames` (the traceback leads into it) or
            `message`.
    """

    name: str
    node: int | None
    told_by: Literal["trace", "frames", "message"]


@dataclass(frozen=True, slots=True)
class ModifiedFacts:
    """A tensor that was written after a node of `Scene.graph` had saved it.

    Attributes:
        node: Id of the node that saved it.
        saved: What it saved; `saved.alias` has the names of parameters and variables whose memory
            it is.
        tensor: The saved tensor as it is now. Its `grad_fn` is that of the last write, if that was
            recorded by autograd.
        is_result: Whether it is the result of the node itself (the `exp` of ExpBackward0), and not
            one of its inputs.
        version: How often it was written by now.
        expected: How often it had been written when it was saved; None where PyTorch does not say.
        is_named: Whether the message of the failure fits it: same shape and same versions.
        writes: The writes that did it, from a recording, in order: those between the two
            versions to a tensor of that name, or of that shape and type where it has no name. An
            optimizer is named by `Mutation.function`: `torch.optim.SGD.step`.
    """

    node: int
    saved: SavedTensor
    tensor: TensorFacts
    is_result: bool = False
    version: int | None = None
    expected: int | None = None
    is_named: bool = False
    writes: tuple[Mutation, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """All facts about a failure. What was not found is None or empty.

    Attributes:
        failure: The exception; None where nothing failed and the state of a program is examined.
        chain: The exceptions that led to it (`__cause__`, `__context__`), innermost last.
        led_to: The exceptions that were raised from it: the one that was to be explained last.
        frames: The traceback, outermost first. Frames that are known from text only, since the
            exception was raised again elsewhere, come last.
        operation: What was called on the failing line: the last part of its name, such as `add_`,
            `backward`, `requires_grad_`; `__setitem__` for `x[0] = 1`, `__iadd__` for `x += 1`,
            `__matmul__` for `a @ b`, `requires_grad=` for the assignment of an attribute; empty
            if it is unknown.
        involved: The tensors that the failing line of the user names, in order of appearance, each
            once; those of the expression that was running come before those of the rest of the
            line. The left side of an assignment counts too where it was there already.
        call: The call of backward or grad.
        graph: The graph behind the outputs of the call, captured after the failure: the state of
            saved tensors (`freed`, `modified`) says which nodes are at fault.
        modified: Saved tensors of `graph` that were written since, those first that the message
            fits.
        running: The node that was running when a backward pass failed; None where it is unknown.
        numbers: Facts worked out on the real tensors, by name; see `live/post_mortem/numbers.py`.
        functions: Custom Functions: those of the graph, of the traceback and of the message.
        transforms: Functions of `torch.func`, `torch.autograd.functional` or
            `torch.utils.checkpoint` in the traceback, outermost first: `torch.func.grad`,
            `torch.autograd.functional.jacobian`.
        hooks: Hooks of the user, where the traceback leads into one or the message names one.
        warnings: Warnings that PyTorch gave for lines of the user's modules, at any time before:
            category and text. Python remembers them only where each is shown once.
        is_grad_enabled: Whether gradients were enabled when the facts were gathered.
        is_inference_mode: Whether inference mode was on.
        recording: What a recording saw that the exception passed through.
        trace: What a trace saw that the exception passed through.
        torch_version: Of the torch that raised.
        notes: What could not be found out, and why: sentences.
    """

    failure: Failure | None = None
    chain: tuple[Failure, ...] = ()
    led_to: tuple[Failure, ...] = ()
    frames: tuple[FrameFacts, ...] = ()
    operation: str = ""
    involved: tuple[TensorFacts, ...] = ()
    call: CallFacts | None = None
    graph: Graph | None = None
    modified: tuple[ModifiedFacts, ...] = ()
    running: RunningFacts | None = None
    numbers: Mapping[str, object] = field(default_factory=dict)
    functions: tuple[FunctionFacts, ...] = ()
    transforms: tuple[str, ...] = ()
    hooks: tuple[HookFacts, ...] = ()
    warnings: tuple[tuple[str, str], ...] = ()
    is_grad_enabled: bool = True
    is_inference_mode: bool = False
    recording: Recording | None = None
    trace: Trace | None = None
    torch_version: str = ""
    notes: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """What PyTorch said; empty where nothing failed."""
        return "" if self.failure is None else self.failure.message

    @property
    def line(self) -> SourceLine | None:
        """The line that failed: one of the user's own, if the traceback leads through any."""
        if self.failure is not None and self.failure.source is not None:
            return self.failure.source
        frame = self.user_frame
        return None if frame is None else frame.source

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
