"""What users call a function of torch."""

from __future__ import annotations

from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodWrapperType
from typing import Any

__all__ = ["name_of_call", "qualified_name"]

_CLASSES = {"TensorBase": "Tensor", "_TensorBase": "Tensor", "_VariableFunctionsClass": "torch"}
_MODULES = {
    "torch._C._nn": "torch.nn.functional",
    "torch._C._special": "torch.special",
    "torch._C._linalg": "torch.linalg",
    "torch._C._fft": "torch.fft",
    "torch._C._nested": "torch.nested",
    "torch._C._sparse": "torch.sparse",
    "torch._tensor": "",
    "torch.functional": "torch",
}


def qualified_name(function: Any) -> str:
    """What users call a function: `torch.nn.functional.linear`, `Tensor.add_`, `Tensor.T`.

    Methods and functions written in C belong to private classes (`_C.TensorBase`,
    `_VariableFunctionsClass`) and modules (`torch._C._nn`).
    """
    if isinstance(function, MethodWrapperType):
        # `__get__` of the descriptor of a property, or another slot of the C interface.
        owner = getattr(function, "__self__", None)
        name = getattr(owner, "__name__", None)
        if name is not None and function.__name__ == "__get__":
            return f"Tensor.{name}"
        if name is not None and function.__name__ == "__set__":
            return f"Tensor.{name}.__set__"
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if name is None:
        return str(function)  # An operator of torch.ops: `aten.add.Tensor`.
    head, _, rest = str(name).partition(".")
    if head.startswith("pybind11"):
        return rest  # A private class of the binding of an operator, under a mangled name.
    if rest and head in _CLASSES:
        return f"{_CLASSES[head]}.{rest}"
    module = getattr(function, "__module__", None)
    if isinstance(function, BuiltinFunctionType | FunctionType) and module:
        module = _MODULES.get(module, module)
        # `torch._C._linalg.linalg_inv_ex` is `torch.linalg.inv_ex`.
        name = str(name).removeprefix(f"{module.rpartition('.')[2]}_")
        return f"{module}.{name}" if module else name
    return str(name)


def name_of_call(function: Any) -> str:
    """The same; of functions written in C, which live for ever anyway, it is found out once."""
    if isinstance(function, BuiltinFunctionType | MethodDescriptorType):
        return _name_of_native(function)
    return qualified_name(function)


_name_of_native = lru_cache(maxsize=2000)(qualified_name)
