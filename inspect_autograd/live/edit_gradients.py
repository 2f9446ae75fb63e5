"""edit_gradients: change what chosen nodes receive, for experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch

from ..errors import ArgumentError, ArgumentTypeError, InspectAutogradError
from .edits import name_of_edit
from .node_selection import name_nodes, select_by_glob
from .node_types import short_name
from .parameters import TensorNames, collect_names
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
        nodes: Ids of the nodes that it is for, as `capture` numbers them.
        count: How many gradients it has edited so far.
    """

    pattern: str
    name: str
    nodes: tuple[int, ...]
    count: int = 0

    def __str__(self) -> str:
        return f"{self.pattern}: {self.name}"


def edit_gradients(
    edits: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    outputs: Any,
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
        outputs: As for `capture`: what the passes start from, such as the loss.
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
        >>> from inspect_autograd.live.edits import scale
        >>> from inspect_autograd.live.edit_gradients import edit_gradients
        >>> x = torch.ones(2, requires_grad=True)
        >>> loss = (3 * x).exp().sum()
        >>> with edit_gradients({"Exp*": scale(0.0)}, loss):
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
        self.edits: tuple[NodeEdit, ...] = ()

    def __enter__(self) -> GradientEdits:
        if self._given is None:
            raise InspectAutogradError(
                "this block of edit_gradients has been entered before",
                remedy="Call edit_gradients again for each block.",
            )
        # The block must not keep the graph alive, so what was given is let go of.
        (edits, outputs, params), self._given = self._given, None
        with unobserved():
            roots, _ = find_roots(outputs, TensorMetaCache())
            live = walk_graph([root.node for root in roots])
            try:
                self._register(edits, live, {root.node for root in roots}, collect_names(params))
            except BaseException:
                self._remove()
                raise
        self._texts = tuple(map(str, self.edits))
        _active.append(self._texts)
        return self

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
            f"{edit}: {len(edit.nodes)} node{'s' * (len(edit.nodes) != 1)}, "
            f"{edit.count} gradient{'s' * (edit.count != 1)} edited"
            for edit in self.edits
        )

    def _register(
        self,
        edits: dict[str, Callable[[torch.Tensor], torch.Tensor]],
        live: LiveGraph,
        roots: set[LiveNode],
        names: TensorNames,
    ) -> None:
        node_names = name_nodes(live.nodes, names)
        chosen = {pattern: select_by_glob(pattern, node_names, "edits:") for pattern in edits}
        self.edits = tuple(
            NodeEdit(pattern, name_of_edit(edits[pattern]), tuple(ids))
            for pattern, ids in chosen.items()
        )
        leaves = {
            id
            for ids in chosen.values()
            for id in ids
            if node_names[id][0] == "AccumulateGrad" and live.nodes[id] not in roots
        }
        # Without a graph that holds it, the AccumulateGrad of a leaf is made anew for each pass.
        self._leaves = [node for node in roots if short_name(node) == "AccumulateGrad"]
        passes = self._watch_passes(live, leaves)
        for record in self.edits:
            for id in record.nodes:
                hook = _EditHook(
                    record,
                    edits[record.pattern],
                    f"#{id} {node_names[id][-1]}",
                    passes if id in leaves else None,
                )
                self._handles.append(live.nodes[id].register_prehook(hook))

    def _watch_passes(self, live: LiveGraph, leaves: set[int]) -> set[int]:
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
        for source in sorted(nearer):
            self._handles.append(live.nodes[source].register_prehook(_PassHook(passes)))
        return passes

    def _remove(self) -> None:
        while self._handles:
            self._handles.pop().remove()
        self._leaves.clear()


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
