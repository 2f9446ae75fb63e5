"""What kind of function was called: whether it may write, cut a graph, or tells nothing at all."""

from __future__ import annotations

import dis
from enum import IntEnum
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodWrapperType,
)
from typing import Any

import torch

__all__ = ["Kind", "kind_of"]


class Kind(IntEnum):
    """What has to be looked at when a function is called."""

    PLAIN = 0
    """Neither makes a node nor hands values on: a property, a size, a new tensor of some shape."""
    NORMAL = 1
    """May make nodes; its result may be cut off. It writes only if `out=` or `inplace=` says so."""
    WRITES = 2
    """Writes to a tensor it is given."""
    MAY_WRITE = 3
    """Python code that may write to what it is given."""
    STATISTICS = 4
    """Updates running statistics, which PyTorch does not count as a write to them."""
    LEAVES = 5
    """Its result is no tensor, but holds values of one: `item`, `tolist`, `numpy`."""


_LEAVES = frozenset(
    ("item", "tolist", "numpy", "__float__", "__int__", "__complex__", "__index__", "__array__")
)

# Properties that are functions of the values, or may give a view a new grad_fn.
_PROPERTIES = frozenset(("data", "T", "mT", "H", "mH", "real", "imag", "grad_fn"))

# What follows `__i` in `__iadd__`.
_OPERATORS = frozenset(
    (
        "add__", "and__", "floordiv__", "lshift__", "mod__", "mul__", "or__", "pow__", "rshift__",
        "sub__", "truediv__", "xor__",
    )
)  # fmt: skip

_PLAIN = frozenset(
    (
        "__bool__", "__contains__", "__deepcopy__", "__dir__", "__format__", "__hash__",
        "__len__", "__reduce_ex__", "__repr__", "_set_grad_enabled", "backward", "data_ptr", "dim",
        "element_size", "get_device", "is_complex", "is_contiguous", "is_floating_point",
        "is_inference", "is_same_size", "is_set_to", "is_shared", "is_signed", "nelement", "numel",
        "register_hook", "register_post_accumulate_grad_hook", "requires_grad_", "retain_grad",
        "size", "sparse_dim", "storage", "storage_offset", "stride", "untyped_storage",
    )
)  # fmt: skip

# What the engine makes while they run is seen from the nodes that run.
_ENGINE = (torch.autograd.grad, torch.autograd.backward)

_known: dict[Any, Kind] = {}
MAX_KNOWN = 10_000
"""Functions of users may come without end; those of torch are some two thousand."""


def kind_of(function: Any) -> Kind:
    """The kind of a function; each is looked at once."""
    try:
        known = _known.get(function)
        if known is None:
            if len(_known) >= MAX_KNOWN:
                _known.clear()
            known = _known[function] = _classify(function)
        return known
    except TypeError:  # It cannot be hashed.
        return _classify(function)


def _classify(function: Any) -> Kind:
    if isinstance(function, MethodWrapperType):
        name = getattr(function.__self__, "__name__", "")
        if function.__name__ == "__set__":
            return Kind.WRITES if name == "data" else Kind.PLAIN
        return Kind.NORMAL if name in _PROPERTIES else Kind.PLAIN
    name = getattr(function, "__name__", "")
    if function in _ENGINE:
        return Kind.PLAIN
    if name in _LEAVES:
        return Kind.LEAVES
    if name in _PLAIN or name.endswith("_like"):
        return Kind.PLAIN
    if name.startswith("new_") and name != "new_tensor":
        return Kind.PLAIN
    if _is_in_place(name):
        return Kind.WRITES
    if name in ("batch_norm", "instance_norm"):
        return Kind.STATISTICS
    if isinstance(function, BuiltinFunctionType | MethodDescriptorType):
        return Kind.NORMAL
    if isinstance(function, FunctionType):
        return Kind.MAY_WRITE if _may_write(function) else Kind.NORMAL
    # An operator of torch.ops; those of a library tell by their schema whether they write.
    schemas = getattr(function, "_schemas", None) or {"": getattr(function, "_schema", None)}
    mutable = [getattr(schema, "is_mutable", True) for schema in dict(schemas).values()]
    return Kind.MAY_WRITE if any(mutable) else Kind.NORMAL


def _is_in_place(name: str) -> bool:
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name[3:] in _OPERATORS)
    return name.endswith("_")


def _may_write(function: FunctionType) -> bool:
    """Whether Python code may write to its arguments though no argument says so.

    Comparing the versions of all arguments costs more than all the rest. Of torch's own functions
    the code tells: one that writes calls a function whose name ends in `_`, or has a statement
    that writes. Those that have `inplace` do so only if it is true, and hand it on by name.
    """
    code = function.__code__
    if not (function.__module__ or "").startswith("torch."):
        return True
    if "inplace" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
        return False
    return _has_write(code)


def _has_write(code: CodeType) -> bool:
    if any(name.endswith("_") and not name.startswith("__") for name in code.co_names):
        return True
    return any(
        step.opname == "STORE_SUBSCR" or (step.opname == "BINARY_OP" and step.argrepr[-1:] == "=")
        for step in dis.get_instructions(code)
    )
