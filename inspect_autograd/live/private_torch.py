"""Every private name of torch that this package relies on, in one place.

Each function says what we rely on, which versions were seen to have it, and what happens without
it. Nothing else in the package may use a torch name that starts with an underscore.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from operator import attrgetter
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode as OperatorMode
from torch.utils._python_dispatch import _disable_current_modes

__all__ = [
    "ANOMALY_PARENT",
    "ANOMALY_TRACEBACK",
    "NO_SEQUENCE_NR",
    "LiveNode",
    "OperatorMode",
    "SavedAccess",
    "accumulate_grad_of",
    "are_modes_active",
    "argument_names",
    "current_graph_task",
    "current_node",
    "engine_entry",
    "forward_class",
    "function_base",
    "has_dispatch",
    "inner_tensors",
    "input_metadata",
    "is_functorch_wrapper",
    "is_in_function_transform",
    "next_sequence_nr",
    "not_compiled",
    "peek_saved",
    "plain_engine_entry",
    "raw_saved_tensors",
    "saved_accesses",
    "sequence_nrs",
    "set_engine_entry",
    "storage_key_and_bytes",
    "tensor_hooks",
    "unobserved",
    "use_count",
    "version_of",
]

P = ParamSpec("P")
R = TypeVar("R")

LiveNode = Any
"""A `grad_fn`. `torch.autograd.graph.Node` is not a base of the nodes of C++ extensions."""

PREFIX = "_saved_"
"""`_saved_X` of a built-in node (1.8 and newer): what its forward function kept as X."""

RAW_PREFIX = "_raw_saved_"
"""`_raw_saved_X` is the SavedVariable behind `_saved_X` (1.9 and newer). Without it a saved
tensor would have to be read through `_saved_X`, which runs unpack hooks."""

ANOMALY_PARENT = "parent_"
"""Key in a node's `metadata` under anomaly mode (1.0 and newer): the node that was running when
this one was made, None or absent for the forward pass."""

ANOMALY_TRACEBACK = "traceback_"
"""Key in the `metadata` of every node made under anomaly mode (1.0 and newer)."""

NO_SEQUENCE_NR = 2**64 - 1
"""What AccumulateGrad has for a sequence number: the engine runs it at once."""


def sequence_nrs(nodes: Iterable[LiveNode]) -> list[int]:
    """`Node._sequence_nr()` of each node (2.1 and newer).

    A number is unique within its thread and rises with every node made. AccumulateGrad has
    `NO_SEQUENCE_NR`, and so has every node where torch lacks the method.
    """
    try:
        return [node._sequence_nr() for node in nodes]
    except AttributeError:
        return [getattr(node, "_sequence_nr", lambda: NO_SEQUENCE_NR)() for node in nodes]


def input_metadata(nodes: Iterable[LiveNode]) -> Iterator[Sequence[Any]]:
    """`Node._input_metadata` (2.1 and newer): what each node receives, one entry per output slot.

    Each entry has `shape`, `dtype`, `device`; `shape` raises for strided nested tensors. We do
    not do without it: the oldest supported torch has it.
    """
    return map(attrgetter("_input_metadata"), nodes)


class SavedAccess(NamedTuple):
    """How to read what nodes of one type save as X.

    Attributes:
        name: X.
        read: Gives `_saved_X`: a plain value, or a tensor that is unpacked and checked. Raises
            RuntimeError if the tensor was freed, or modified in place since it was saved.
        read_raw: Gives `_raw_saved_X`, one SavedVariable or a tuple of them: no hook runs, and
            nothing is checked. None if X is no tensor.
    """

    name: str
    read: Callable[[LiveNode], Any]
    read_raw: Callable[[LiveNode], Any] | None


def saved_accesses(node_type: type) -> list[SavedAccess]:
    """What nodes of a built-in type save, in alphabetical order."""
    attributes = set(dir(node_type))
    return [
        SavedAccess(
            name,
            attrgetter(PREFIX + name),
            attrgetter(RAW_PREFIX + name) if RAW_PREFIX + name in attributes else None,
        )
        for name in sorted(a.removeprefix(PREFIX) for a in attributes if a.startswith(PREFIX))
    ]


def peek_saved(raw: Any) -> tuple[bool, Any, int]:
    """Look at a SavedVariable without running a hook or checking anything.

    Returns:
        Whether reading it as a tensor would run an unpack hook; what it holds, None if that was
        freed, was never there, or is behind a hook; how often that was written in place.

    `.unpack_hook` was seen on 2.12 and newer. Without it we look at what `.data` (1.10 and newer)
    gives: a checkpoint packs into an object that is not a tensor, but a hook that packs into a
    tensor is not seen. `Tensor._version` raises for an inference tensor, which counts no writes.
    """
    data = raw.data
    try:
        hooked = raw.unpack_hook is not None
    except AttributeError:
        hooked = not (data is None or isinstance(data, torch.Tensor))
    if hooked or data is None:
        return hooked, None, 0
    try:
        return False, data, data._version
    except RuntimeError:
        return False, data, 0


def unpack_hook_of(raw: Any) -> Any:
    """`SavedVariable.unpack_hook` (seen on 2.12 and newer): the hook itself, which is not called.

    None where it has none. Without it the hook that unpacked wrongly is not named.
    """
    return getattr(raw, "unpack_hook", None)


def raw_saved_tensors(node: LiveNode) -> tuple[Any, ...] | None:
    """`_raw_saved_tensors` of a custom Function (1.10 and newer); None once they were freed."""
    try:
        return node._raw_saved_tensors or ()
    except RuntimeError:
        return None
    except AttributeError:
        return ()


def storage_key_and_bytes(tensor: torch.Tensor) -> tuple[int, int]:
    """The storage of a tensor: its key, equal where memory is shared, and its size in bytes.

    The key is the address of the StorageImpl (`UntypedStorage._cdata`, 2.0 and newer).

    Raises:
        RuntimeError, NotImplementedError: The tensor has no storage.
    """
    storage = tensor.untyped_storage()
    return storage._cdata, storage.nbytes()


def inner_tensors(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors that a composed one is made of; empty if it is not composed.

    A sparse tensor has `_indices` and `_values` (1.0 and newer); a wrapper subclass, jagged
    nested tensors among them, tells its parts by `__tensor_flatten__` (2.1 and newer).
    """
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is not None:
        return [getattr(tensor, name) for name in flatten()[0]]
    return []


@contextmanager
def unobserved() -> Iterator[None]:
    """Nothing of the user's watches what happens inside.

    No `__torch_function__` runs (`DisableTorchFunction`, 1.7 and newer): reading `.shape` of a
    subclass would otherwise run the user's code. No dispatch mode sees the few operators that
    describing needs (`_disable_current_modes`, 2.0 and newer).
    """
    with torch._C.DisableTorchFunction(), _disable_current_modes():
        yield


def not_compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Keep `torch.compile` away from a function that is called inside a compiled one.

    `torch.compiler.disable` does that, but imports the whole compiler, which takes seconds; so it
    is used only where the compiler (`torch._dynamo`, 2.0 and newer) is there anyway.
    """
    disabled: list[Callable[P, R]] = []

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if "torch._dynamo" not in sys.modules:
            return function(*args, **kwargs)
        if not disabled:
            disabled.append(torch.compiler.disable(function))
        return disabled[0](*args, **kwargs)

    return call


def accumulate_grad_of(leaf: torch.Tensor) -> torch.autograd.graph.GradientEdge:
    """The node that accumulates the gradient of a leaf.

    `get_gradient_edge` finds it by making a view of the leaf, which under inference mode would
    have no graph.
    """
    with torch.inference_mode(False):
        return torch.autograd.graph.get_gradient_edge(leaf)


def is_functorch_wrapper(tensor: torch.Tensor) -> bool:
    """Whether a tensor is the wrapper that a function transform works with.

    `is_functorch_wrapped_tensor` (2.1 and newer); without it, the answer is no.
    """
    functorch = getattr(torch._C, "_functorch", None)
    check = getattr(functorch, "is_functorch_wrapped_tensor", None)
    return check is not None and bool(check(tensor))


def tensor_hooks(tensor: torch.Tensor) -> list[Any]:
    """The hooks that were registered on a tensor from Python, in order.

    `_backward_hooks` (0.4 and newer) and `_post_accumulate_grad_hooks` (2.1 and newer): dicts, or
    None where there is none. The hooks of nodes are not to be had.
    """
    dicts = (tensor._backward_hooks, getattr(tensor, "_post_accumulate_grad_hooks", None))
    return [hook for hooks in dicts if hooks for hook in hooks.values()]


use_count: Callable[[torch.Tensor], int] = torch.Tensor._use_count  # type: ignore[attr-defined]
"""How many references C++ has to a tensor, the one of its Python object included (2.1 and newer).
From 2.10 on, C++ code together counts as one reference to the Python object."""


# -- the running engine ----------------------------------------------------------------------------

version_of: Callable[[torch.Tensor], int] = attrgetter("_version")
"""How often a tensor was written in place (0.4 and newer); raises for an inference tensor."""

current_graph_task: Callable[[], int] = torch._C._current_graph_task_id
"""The number of the backward pass that runs in this thread, -1 outside of any (2.1 and newer)."""


def current_node() -> LiveNode | None:
    """The node that runs in this thread (`_current_autograd_node`, 2.1 and newer).

    None outside of a backward pass, and where torch lacks the function; then what a node saved is
    not looked at when it makes NaN or Inf, and a reentrant pass does not know who called it.
    """
    find: Callable[[], LiveNode | None] = getattr(torch._C, "_current_autograd_node", lambda: None)
    return find()


def next_sequence_nr() -> int:
    """The sequence number that the next node made in this thread gets (2.1 and newer)."""
    number: int = getattr(torch.autograd, "_get_sequence_nr")()  # noqa: B009  mypy does not know it
    return number


_ENGINE_ENTRY = "_engine_run_backward"


def engine_entry() -> Callable[..., Any]:
    """The function through which `backward` and `grad` of torch.autograd call the engine.

    `torch.autograd._engine_run_backward(outputs, gradients, retain_graph, create_graph, inputs,
    ..., accumulate_grad=...)`, 2.1 and newer. Both look it up by this name at every call.
    """
    entry: Callable[..., Any] = getattr(torch.autograd, _ENGINE_ENTRY)
    return entry


def plain_engine_entry() -> Callable[..., Any]:
    """The same function under the name where torch defines it (`torch.autograd.graph`)."""
    entry: Callable[..., Any] = getattr(torch.autograd.graph, _ENGINE_ENTRY)
    return entry


def set_engine_entry(entry: Callable[..., Any]) -> None:
    """Put another function in its place."""
    setattr(torch.autograd, _ENGINE_ENTRY, entry)


def are_modes_active() -> bool:
    """Whether a function mode or a dispatch mode would see what is called now.

    `_len_torch_dispatch_stack` and `_is_torch_function_mode_enabled`, 2.1 and newer.
    """
    return bool(torch._C._len_torch_dispatch_stack() or torch._C._is_torch_function_mode_enabled())


def is_in_function_transform() -> bool:
    """Whether a function transform (`torch.func`) runs in this thread.

    `peek_interpreter_stack`, 2.0 and newer; without it, the answer is no.
    """
    functorch = getattr(torch._C, "_functorch", None)
    peek = getattr(functorch, "peek_interpreter_stack", None)
    return peek is not None and peek() is not None


def has_dispatch(tensor_type: type) -> bool:
    """Whether a tensor class handles operators itself (`__torch_dispatch__`).

    The default is `_disabled_torch_dispatch_impl` (1.11 and newer).
    """
    default = torch.Tensor.__torch_dispatch__
    return getattr(tensor_type, "__torch_dispatch__", default) is not default


# -- calls of the forward pass ---------------------------------------------------------------------
# OperatorMode is `torch.utils._python_dispatch.TorchDispatchMode` (1.13 and newer): it sees each
# operator below autograd, when the node of the operator has already been made.


def function_base() -> Any:
    """The class whose `apply` every call of a custom Function goes through.

    Up to torch 2.13 `torch.autograd.Function.apply` is Python code that goes on to
    `_SingleLevelFunction` (2.0 and newer). `apply = MyFunction.apply` keeps the `apply` of that
    moment, but looks this one up at each call. From 2.14 on it is C code that goes nowhere else,
    so an `apply` that was kept before is not seen.
    """
    return _FUNCTION_BASE


# Found once: while a stand-in is in its place, it would not be found again.
_FUNCTION_BASE: Any = (
    torch.autograd.function._SingleLevelFunction
    if isinstance(vars(torch.autograd.Function).get("apply"), classmethod)
    else torch.autograd.Function
)


def forward_class(node: LiveNode) -> Any:
    """The user's class of the node of a custom Function (`_forward_cls`, 1.10 and newer)."""
    return node._forward_cls


def argument_names(operator: Any) -> list[str]:
    """Names of the arguments of an operator, from its `_schema` (1.8 and newer)."""
    return [argument.name for argument in operator._schema.arguments]
