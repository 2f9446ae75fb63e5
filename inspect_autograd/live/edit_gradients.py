"""edit_gradients: change what chosen nodes receive, for experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch

from ..errors import ArgumentError, ArgumentTypeError, InspectAutogradError
from .call_nodes import find_call_nodes
from .edits import name_of_edit
from .engine_calls import EngineCall, unwatch, watch
from .node_selection import find_by_glob, name_nodes, select_by_glob
from .node_types import short_name
from .parameters import collect_names
from .private_torch import LiveNode, current_graph_task, unobserved, version_of
from .roots import find_roots
from .tensor_meta import TensorMetaCache
from .walk import LiveGraph, walk_graph

__all__ = ["GradientEdits", "NodeEdit", "active_edits", "edit_gradients"]

_active: list[tuple[str, ...]] = []


def active_edits() -> tuple[str, ...]:
    """What is edited right now, in the order of the blocks: `ReluBackward0: scale(0.5)`."""
    return tuple(text for texts in list(_active) for text in texts)


@dataclass(slots=True)
class NodeEdit:
    """One edit and what it did.

    Attributes:
        pattern: The glob.
        name: What the edit is called, such as `scale(0.5)`.
        nodes: Ids of the nodes that it is for, as `capture` numbers them; empty where the block
            is for every pass.
        node_count: How many nodes it matched, those of all passes so far together.
        count: How many gradients it has edited so far.
    """

    pattern: str
    name: str
    nodes: tuple[int, ...] = ()
    node_count: int = 0
    count: int = 0

    def __str__(self) -> str:
        return f"{self.pattern}: {self.name}"


def edit_gradients(
    edits: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    outputs: Any = None,
    *,
    params: Any = None,
) -> GradientEdits:
    """Edit the gradients that nodes receive, in every backward pass while the block is open.

    A node's edit sees what the node receives, summed over all ways that lead there, and the node
    works with what the edit returns. Gradients that are None stay None. If several globs match a
    node, its edits run in the order of `edits`. The hooks are removed when the block is left, in
    whichever way.

    Nodes may belong to several graphs. One that the graph of `outputs` shares with another graph
    is edited in passes of that graph as well; only a leaf (an AccumulateGrad) is edited in no
    pass but those that come through this graph. Where one pass covers both graphs, a leaf
    receives the sum of both, and that is what is edited. Nodes that a backward pass makes
    (`create_graph=True`) are not edited.

    Args:
        edits: What to do where: a glob for the names of nodes, or for the names of parameters in
            `params`, and a function that makes the new gradient. `inspect_autograd.edits` has
            `zero`, `scale`, `clip_norm`, `clamp` and `add_noise`. A function of your own must
            return a new tensor of the same shape, dtype and device.
        outputs: As for `capture`: what the passes start from, such as the loss. Left out, the
            edits are for every pass that starts while the block is open, whatever its graph; a
            glob may then match no node, which `print` shows.
        params: As for `capture`: names for the leaves.

    Returns:
        A context manager; it counts what each edit did, and `print` shows it.

    Raises:
        ArgumentError: A glob matches no node. While a pass runs: an edit returned something else
            than such a tensor, or changed the gradient in place.
        ArgumentTypeError: `edits` is not a mapping of globs to functions.
        NoGraphError: No tensor in `outputs` carries a graph.

    Example:
        >>> import torch, inspect_autograd as ia
        >>> x = torch.ones(2, requires_grad=True)
        >>> loss = (3 * x).exp().sum()
        >>> with ia.edit_gradients({"Exp*": ia.edits.scale(0.0)}, loss):
        ...     loss.backward()
        >>> x.grad
        tensor([0., 0.])
    """
    return GradientEdits(_check_edits(edits), outputs, params)


class GradientEdits:
    """The block of `edit_gradients`.

    Attributes:
        edits: Each edit, and how many gradients it has edited so far; empty before the block is
            entered.
    """

    def __init__(
        self,
        edits: dict[str, Callable[[torch.Tensor], torch.Tensor]],
        outputs: Any,
        params: Any,
    ) -> None:
        self._given: Any = (edits, outputs, params)
        self._handles: list[Any] = []
        self._leaves: list[LiveNode] = []
        self._texts: tuple[str, ...] = ()
        self._functions: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = ()
        self.edits: tuple[NodeEdit, ...] = ()

    def __enter__(self) -> GradientEdits:
        if self._given is None:
            raise InspectAutogradError(
                "this block of edit_gradients has been entered before",
                remedy="Call edit_gradients again for each block.",
            )
        # The block must not keep the graph alive, so what was given is let go of.
        (edits, outputs, params), self._given = self._given, None
        self.edits = tuple(NodeEdit(glob, name_of_edit(edit)) for glob, edit in edits.items())
        self._functions = tuple(edits.values())
        self._names = collect_names(params)
        try:
            if outputs is None:
                watch(self)
            else:
                with unobserved():
                    roots, _ = find_roots(outputs, TensorMetaCache())
                    self._register([root.node for root in roots], self._handles, strict=True)
        except BaseException:
            self._remove()
            raise
        self._texts = tuple(map(str, self.edits))
        _active.append(self._texts)
        return self

    def begin(self, call: EngineCall) -> list[Any]:
        """A pass is about to start, and there is no graph that the edits are limited to."""
        handles: list[Any] = []
        try:
            with unobserved():
                nodes = [node for node, _ in find_call_nodes(call.outputs) if node is not None]
                self._register(nodes, handles, strict=False)
        except BaseException:
            _remove_all(handles)
            raise
        return handles

    def end(self, token: object, error: BaseException | None, results: Sequence[Any]) -> None:
        """The pass is over, in whichever way."""
        del error, results
        if isinstance(token, list):
            _remove_all(token)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()
        for index, texts in enumerate(_active):
            if texts is self._texts:
                del _active[index]
                break

    def __str__(self) -> str:
        return "\n".join(
            f"{edit}: {edit.node_count} node{'s' * (edit.node_count != 1)}, "
            f"{edit.count} gradient{'s' * (edit.count != 1)} edited"
            for edit in self.edits
        )

    def _register(self, nodes: Sequence[LiveNode], handles: list[Any], *, strict: bool) -> None:
        """Hook what the globs match in the graph behind some nodes.

        Args:
            nodes: Live nodes to start from.
            handles: Is given what removes the hooks, one by one.
            strict: Refuse a glob that matches nothing.
        """
        live = walk_graph(nodes)
        roots = set(nodes)
        node_names = name_nodes(live.nodes, self._names)
        chosen = [
            select_by_glob(record.pattern, node_names, "edits:")
            if strict
            else find_by_glob(record.pattern, node_names)
            for record in self.edits
        ]
        leaves = {
            id
            for ids in chosen
            for id in ids
            if node_names[id][0] == "AccumulateGrad" and live.nodes[id] not in roots
        }
        if strict:
            # With no graph that holds it, the AccumulateGrad of a leaf is made anew for each pass.
            self._leaves = [node for node in roots if short_name(node) == "AccumulateGrad"]
        passes = _watch_passes(live, leaves, handles)
        for record, edit, ids in zip(self.edits, self._functions, chosen, strict=True):
            record.node_count += len(ids)
            record.nodes = tuple(ids) if strict else ()
            for id in ids:
                name = f"#{id} {node_names[id][-1]}"
                hook = _EditHook(record, edit, name, passes if id in leaves else None)
                handles.append(live.nodes[id].register_prehook(hook))

    def _remove(self) -> None:
        unwatch(self)
        _remove_all(self._handles)
        self._leaves.clear()


def _watch_passes(live: LiveGraph, leaves: set[int], handles: list[Any]) -> set[int]:
    """Note each pass that comes to one of these leaves through this graph.

    An AccumulateGrad is shared by all graphs that its leaf is in. The nodes in front of it are
    not, and they run before it.
    """
    passes: set[int] = set()
    edges = live.edges
    nearer = {
        source
        for source, target in zip(edges.sources, edges.targets, strict=True)
        if target in leaves
    }
    handles.extend(live.nodes[id].register_prehook(_PassHook(passes)) for id in sorted(nearer))
    return passes


def _remove_all(handles: list[Any]) -> None:
    while handles:
        handles.pop().remove()


# Hooks are objects and not closures, to have it in plain sight that they hold no node and no
# tensor: a hook that holds what lies nearer the loss would keep the graph alive for ever.


class _PassHook:
    __slots__ = ("_passes",)

    def __init__(self, passes: set[int]) -> None:
        self._passes = passes

    def __call__(self, _: Any) -> None:
        self._passes.add(current_graph_task())


class _EditHook:
    __slots__ = ("_edit", "_node", "_passes", "_record")

    def __init__(
        self,
        record: NodeEdit,
        edit: Callable[[torch.Tensor], torch.Tensor],
        node: str,
        passes: set[int] | None,
    ) -> None:
        self._record = record
        self._edit = edit
        self._node = node
        self._passes = passes

    def __call__(
        self, gradients: tuple[torch.Tensor | None, ...]
    ) -> tuple[torch.Tensor | None, ...] | None:
        if self._passes is not None and current_graph_task() not in self._passes:
            return None
        edited: list[torch.Tensor | None] = []
        for gradient in gradients:
            if gradient is None:
                edited.append(None)
                continue
            version = _version(gradient)
            result = self._edit(gradient)
            self._check(gradient, result, _version(gradient) != version)
            edited.append(result)
            self._record.count += 1
        return tuple(edited)

    def _check(self, gradient: torch.Tensor, result: Any, changed_in_place: bool) -> None:
        where = f"the edit {self._record} at node {self._node}"
        if changed_in_place:
            raise ArgumentError(
                f"{where} changed the gradient in place; expected a new tensor",
                remedy="Other nodes may receive the same tensor: write gradient * 2, "
                "not gradient.mul_(2).",
            )
        if not isinstance(result, torch.Tensor):
            raise ArgumentError(
                f"{where} returned {type(result).__name__}; expected a tensor",
                remedy="Return the gradient itself to leave it as it is, and "
                "torch.zeros_like(gradient) for none.",
            )
        for what in ("shape", "dtype", "device"):
            expected, found = getattr(gradient, what), getattr(result, what)
            if expected != found:
                shown = (list(found), list(expected)) if what == "shape" else (found, expected)
                raise ArgumentError(
                    f"{where} returned a tensor of {what} {shown[0]}; expected {shown[1]}",
                    remedy="Return a tensor that is like the gradient in shape, dtype and device.",
                )


def _version(tensor: torch.Tensor) -> int:
    try:
        return version_of(tensor)
    except RuntimeError:
        return 0  # An inference tensor counts no writes.


def _check_edits(edits: Any) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    remedy = 'Write edit_gradients({"Relu*": edits.scale(0.5)}, loss).'
    if not isinstance(edits, Mapping):
        raise ArgumentTypeError(
            f"edits is of type {type(edits).__name__}; expected a mapping of globs to functions",
            remedy=remedy,
        )
    if not edits:
        raise ArgumentError("edits is empty; expected a glob and a function", remedy=remedy)
    for pattern, edit in edits.items():
        if not isinstance(pattern, str):
            raise ArgumentTypeError(
                f"edits has the key {pattern!r} of type {type(pattern).__name__}; "
                "expected a glob string",
                remedy=remedy,
            )
        if not callable(edit) or isinstance(edit, type):
            what = edit.__name__ if isinstance(edit, type) else repr(edit)
            raise ArgumentTypeError(
                f"edits[{pattern!r}] is {what} of type {type(edit).__name__}; "
                "expected a function from gradient to gradient",
                remedy=remedy,
            )
    return dict(edits)
