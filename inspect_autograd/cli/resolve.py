"""What a name in the user's code stands for: something with a graph, or what to write instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import torch

from ..errors import TargetError
from ..graph.graph import Graph
from ..live.node_types import is_node

__all__ = ["find_names", "find_object", "to_outputs"]

MAX_SUGGESTIONS = 10


def find_object(module: ModuleType, name: str, target: str) -> Any:
    """Follow a dotted name from a module.

    Raises:
        TargetError: There is no such name; says which are near, and which could be used.
    """
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise _no_such_name(value, part, target)
        value = getattr(value, part)
    return value


def to_outputs(value: Any, target: str) -> tuple[Any, torch.nn.Module | None]:
    """What to capture, and the model that knows the names of its parameters, if one is there.

    A function is called. Of a nest, such as `(loss, model)`, the model is taken out.

    Raises:
        TargetError: It is a model, or needs arguments, or returns nothing.
    """
    called = callable(value) and not is_node(value) and not isinstance(value, torch.nn.Module)
    if called:
        value = _call(value, target)
    if isinstance(value, torch.nn.Module):
        raise _is_model(value, target, called=called)
    if isinstance(value, tuple | list):
        models = [member for member in value if isinstance(member, torch.nn.Module)]
        others = [member for member in value if not isinstance(member, torch.nn.Module)]
        if len(models) == 1 and others:
            return (others[0] if len(others) == 1 else others), models[0]
    return value, None


def find_names(module: ModuleType, model: torch.nn.Module | None) -> list[tuple[str, torch.Tensor]]:
    """Names for leaves: those of the model's parameters, and of the tensors of a module.

    Where no model was given, those among the module's variables are asked; their own names come
    first if there are several.
    """
    models = {"": model} if model is not None else _find_models(module)
    pairs = []
    for prefix, found in models.items():
        for name, tensor in (
            *found.named_parameters(remove_duplicate=False),
            *found.named_buffers(remove_duplicate=False),
        ):
            pairs.append((f"{prefix}.{name}" if prefix else name, tensor))
    for name, value in vars(module).items():
        if isinstance(value, torch.Tensor) and value.is_leaf:
            pairs.append((name, value))
    return pairs


def _find_models(module: ModuleType) -> dict[str, torch.nn.Module]:
    found: dict[str, torch.nn.Module] = {}
    for name, value in vars(module).items():
        if isinstance(value, torch.nn.Module) and value not in found.values():
            found[name] = value
    parts = {part for model in found.values() for part in model.modules() if part is not model}
    found = {
        name: model
        for name, model in found.items()
        # A loss function is a module too, with nothing to name in it.
        if model not in parts and any(True for _ in (*model.parameters(), *model.buffers()))
    }
    return {"": next(iter(found.values()))} if len(found) == 1 else found


# -- calling ---------------------------------------------------------------------------------------


def _call(function: Callable[..., Any], target: str) -> Any:
    required = _required_arguments(function)
    name = target.rpartition(":")[2]
    if isinstance(function, type) and issubclass(function, torch.nn.Module):
        raise TargetError(
            f"{target} is a class of models, and a graph is made by calling a model",
            remedy=_paste(target, [f"model = {name}({', '.join(required)})"]),
        )
    if required:
        s = "s" if len(required) > 1 else ""
        raise TargetError(
            f"{target} needs the argument{s} {', '.join(required)}, and cannot know what to give",
            remedy=_paste(target, [], f"{name}({', '.join(required)})"),
        )
    result = function()
    if result is None:
        raise TargetError(
            f"{target} was called and returned None",
            remedy="Let it return the loss: end it with a line such as `return loss`.",
        )
    return result


def _required_arguments(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []  # Some functions written in C do not tell; calling will show.
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind not in optional
    ]


def _is_model(model: torch.nn.Module, target: str, *, called: bool) -> TargetError:
    name = target.rpartition(":")[2]
    what = "returned" if called else "is"
    return TargetError(
        f"{target} {what} a model ({type(model).__name__}), and a graph is made by calling a model",
        remedy=_paste(target, [f"model = {name}()"] if called else [], model=name),
    )


def _paste(target: str, lines: list[str], call: str = "", *, model: str = "model") -> str:
    """Code for the user to paste: a function that makes a graph."""
    code, _, name = target.rpartition(":")
    model = "model" if lines else model
    if not call:
        lines = [*lines, "inputs = torch.randn(8, 3)  # put here what the model takes"]
    result = call or f"{model}(inputs).sum(), {model}"
    note = "  # with values for the arguments" if call else ""
    body = "\n".join(f"        {line}" for line in [*lines, f"return {result}{note}"])
    if code.endswith(".py"):
        where, file, imports = f"Add a function like this one to {code}", code, ""
    else:
        where, file = "Write a file like this one, make_loss.py for example", "make_loss.py"
        imports = f"    import torch\n    from {code} import {name.partition('.')[0]}\n\n"
    return f"{where}, and name it: {file}:make_loss\n\n{imports}    def make_loss():\n{body}"


# -- names that are not there ----------------------------------------------------------------------


def _no_such_name(holder: Any, part: str, target: str) -> TargetError:
    where = target.rpartition(":")[0] if isinstance(holder, ModuleType) else _kind(holder)
    names = [name for name in dir(holder) if not name.startswith("_")]
    near = get_close_matches(part, names, n=3)
    usable = [name for name in names if _is_usable(getattr(holder, name, None), holder)]
    remedy = f"Did you mean {' or '.join(near)}? " if near else ""
    if usable:
        more = ", …" if len(usable) > MAX_SUGGESTIONS else ""
        remedy += f"What can be named there: {', '.join(usable[:MAX_SUGGESTIONS])}{more}. "
    if isinstance(holder, ModuleType):
        remedy += 'What is made only below `if __name__ == "__main__":` cannot be named.'
    return TargetError(f"there is no {part!r} in {where}", remedy=remedy)


def _kind(value: Any) -> str:
    return f"an object of type {type(value).__name__}"


def _is_usable(value: Any, holder: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.requires_grad
    if isinstance(value, Graph) or is_node(value):
        return True
    # Of the functions those that the module defines itself, not what it imports.
    return (
        inspect.isfunction(value)
        and value.__module__ == getattr(holder, "__name__", None)
        and not _required_arguments(value)
    )
