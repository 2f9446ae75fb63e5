"""Paths of modules, and names of the parameters in them."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from ...errors import ArgumentTypeError
from .calls import ModuleCall

__all__ = ["ModulePaths", "check_models"]

COMPILED_INNER = "_orig_mod"
"""Name of the module inside the one that `torch.compile` gives (2.0 and newer)."""


def check_models(models: Sequence[Any]) -> dict[str, torch.nn.Module]:
    """The models that `record` was given, by the prefix of their paths.

    Args:
        models: Modules, or one mapping of names to modules. A single module has the prefix "",
            so that its paths are those of `named_modules()`; of several, each has the name of
            its class, with a number where that is not unique.

    Raises:
        ArgumentTypeError: Something else is among them.
    """
    named: dict[Any, Any] = {}
    for model in models:
        if isinstance(model, Mapping):
            named.update(model)
        else:
            prefix = "" if len(models) == 1 else _free_name(type(model).__name__, named)
            named[prefix] = model
    for name, model in named.items():
        if not (isinstance(name, str) and isinstance(model, torch.nn.Module)):
            raise ArgumentTypeError(
                f"models holds {model!r:.80} of type {type(model).__name__}; expected a "
                "torch.nn.Module, or a dict of names to modules",
                remedy="Write record(model), record(encoder, decoder), "
                'record({"generator": g, "critic": c}), or record() for all that runs.',
            )
    return named


class ModulePaths:
    """Knows the path of every module that runs.

    A module that is called outside of all known ones becomes a root itself, under the name of its
    class: a loss such as `CrossEntropyLoss`, or the model where `record` was given none.
    """

    def __init__(self, models: Mapping[str, torch.nn.Module]) -> None:
        # An id is only good while its object lives, and no module must be kept alive.
        self._paths: dict[int, tuple[weakref.ref[torch.nn.Module], str]] = {}
        self._roots: dict[str, weakref.ref[torch.nn.Module]] = {}
        self._counts: dict[int, int] = {}
        self.version = 0
        for prefix, model in models.items():
            self._add_root(prefix, model)

    def find(self, module: torch.nn.Module, parent: ModuleCall | None) -> str:
        """The path of a module.

        Args:
            module: It is about to run.
            parent: The module call that it is called in.
        """
        known = self._paths.get(id(module))
        if known is not None and known[0]() is module:
            return known[1]
        # What torch.compile makes of a module goes by the path of that.
        inner = vars(module).get("_modules")
        compiled = self._paths.get(id(inner.get(COMPILED_INNER))) if type(inner) is dict else None
        if compiled is not None and compiled[0]() is not None:
            self._add(compiled[1], module)
            return compiled[1]
        if parent is None:
            prefix = _free_name(type(module).__name__, self._roots)
            self._add_root(prefix, module)
            return prefix
        # Added to its parent after the parent was named, or kept where torch does not look for
        # modules, such as in a list. Then it has no name of its own.
        self._refresh()
        known = self._paths.get(id(module))
        if known is not None and known[0]() is module:
            return known[1]
        path = f"{parent.path}.<{type(module).__name__}>".removeprefix(".")
        self._add(path, module)
        return path

    def count(self, module: torch.nn.Module) -> int:
        """Which call of it this is, from 0, since `start_step`."""
        key = id(module)
        number = self._counts.get(key, 0)
        self._counts[key] = number + 1
        return number

    def start_step(self) -> None:
        """Count calls from 0 again."""
        self._counts.clear()

    def named_tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Parameters and buffers of all roots, with the paths of their modules before them."""
        for prefix, ref in list(self._roots.items()):
            root = ref()
            if root is None:
                continue
            for named in (root.named_parameters, root.named_buffers):
                for name, tensor in named(remove_duplicate=False):
                    yield (f"{prefix}.{name}" if prefix else name), tensor

    def _add_root(self, prefix: str, module: torch.nn.Module) -> None:
        self._roots[prefix] = weakref.ref(module)
        self._name_inner(prefix, module)
        self.version += 1

    def _refresh(self) -> None:
        for prefix, ref in list(self._roots.items()):
            root = ref()
            if root is not None:
                self._name_inner(prefix, root)
        self.version += 1

    def _name_inner(self, prefix: str, root: torch.nn.Module) -> None:
        for name, module in root.named_modules():
            known = self._paths.get(id(module))
            if known is None or known[0]() is not module:
                self._add(f"{prefix}.{name}" if prefix and name else prefix or name, module)

    def _add(self, path: str, module: torch.nn.Module) -> None:
        self._paths[id(module)] = weakref.ref(module), path


def _free_name(name: str, used: Mapping[str, Any]) -> str:
    free, number = name, 1
    while free in used:
        number += 1
        free = f"{name}#{number}"
    return free
