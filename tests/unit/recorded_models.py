"""Graphs of real models with the modules and lines that made their nodes.

Noted while the forward pass runs, by forward hooks and a TorchFunctionMode of our own, so that what
reads recorded graphs is tested without what records them.
"""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

import inspect_autograd as ia
from inspect_autograd.graph.creation import Creation, SourceLine

TORCH = str(Path(torch.__file__).parent)


def take_number() -> int:
    """A sequence number, between those of the nodes before and those to come."""
    node = torch.zeros((), requires_grad=True).clone().grad_fn
    assert node is not None
    return node._sequence_nr()


class Notes(TorchFunctionMode):
    """Notes which calls made which sequence numbers, and in which module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.made: dict[int, tuple[str | None, Creation]] = {}
        self._open: list[tuple[str, int]] = []
        self._calls: Counter[str] = Counter()
        self._hooks: list[Any] = []
        for path, module in model.named_modules():
            self._hooks.append(module.register_forward_pre_hook(self._opener(path)))
            self._hooks.append(module.register_forward_hook(self._close))

    def _opener(self, path: str) -> Callable[..., None]:
        def open_module(*_: object) -> None:
            self._open.append((path, self._calls[path]))
            self._calls[path] += 1

        return open_module

    def _close(self, *_: object) -> None:
        self._open.pop()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        before = take_number()
        result = func(*args, **(kwargs or {}))
        numbers = range(before + 1, take_number())
        if numbers:
            scope, call = self._open[-1] if self._open else (None, None)
            name = resolve_name(func) or str(func)
            source, stack = _lines()
            creation = Creation(name, source, stack, call, "MainThread")
            self.made.update(dict.fromkeys(numbers, (scope, creation)))
        return result

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()


def _lines() -> tuple[SourceLine, tuple[SourceLine, ...]]:
    """The innermost line outside of torch, and the innermost one of torch below it."""
    frame = sys._getframe(2)
    inner: list[SourceLine] = []
    while True:
        code = frame.f_code
        line = SourceLine(code.co_filename, frame.f_lineno, code.co_qualname)
        if not code.co_filename.startswith(TORCH):
            return line, tuple(inner[:1])
        if not code.co_filename.endswith("overrides.py"):  # Which hands the call to this mode.
            inner.append(line)
        assert frame.f_back is not None
        frame = frame.f_back


def capture_recorded(model: nn.Module, run: Callable[[], Tensor], params: Any = None) -> ia.Graph:
    """The graph of what `run` returns, with recorded scopes and creations.

    Args:
        model: Its modules are the scopes.
        run: Calls it.
        params: Names for the leaves; those of the model by default.
    """
    with Notes(model) as notes:
        loss = run()
    graph = ia.capture(loss, params=model if params is None else params)
    scopes: dict[int, str] = {}
    creations: dict[int, Creation] = {}
    owners = {
        f"{path}.{name}".lstrip("."): path
        for path, module in model.named_modules()
        for name, _ in module.named_parameters(recurse=False)
    }
    for node in graph.nodes:
        if node.sequence_nr in notes.made:
            scope, creations[node.id] = notes.made[node.sequence_nr]
        else:
            scope = owners.get(node.label)
        if scope is not None:
            scopes[node.id] = scope
    table = replace(graph.node_table, scopes=scopes, creations=creations)
    return replace(graph, node_table=table, scopes="recorded")
