"""Module scopes, inferred from the names of the parameters that nodes use.

A captured graph does not know which module made a node, but its leaves have names, and names
such as `layers.0.linear1.weight` are paths. From there:

1. A leaf belongs to the module that owns it (of tied parameters, the first name counts).
2. What is computed from the parameters of one module alone (the transposed weight) belongs to
   that module. An input that does not require grad shows as a None edge or not at all (the
   indices of an embedding); where one may come in, a node is of rule 3.
3. A node that *uses* the result of 1 or 2, or saves a parameter or buffer, belongs to the
   innermost module that holds all of these.
4. Any other node follows its latest *producer*, the node it leads to that ran last in the forward
   pass. A module without submodules has only the nodes of 3, so what follows it belongs to the
   module around it, and modules that only hold numbered others have no nodes of their own. But
   - a node lies at least as deep as what its producer and its next *user*, the first node of 3
     that comes after it, have in common: a softmax between two projections of one attention;
   - a node that joins in something from outside that module (the residual sum) belongs to what
     producer and next user have in common, though not further out than their numbered block;
   - views that only prepare the input of a user in another block belong to that block;
   - where no user follows in the module or in its neighbours, a node only counts as part of
     the block if a neighbour has the same node at this place; otherwise (pooling, the loss)
     it belongs to the module around all the blocks;
   - numbers at the end of everything (shape `[]`) are the loss: the outermost module.

All of it is a guess for nodes of rule 4, which is why the graph says `scopes="inferred"`.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING

from ..tensor_meta import TensorMeta
from ..topology import topological_order
from .module_tree import ModuleTree, common_prefix, is_within, parent_of, scope_of_parameter

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["infer_scopes"]

LOOKUPS = ("Embedding", "Gather", "Index")
"""Beginnings of the names of nodes whose indices do not show among their edges."""

SUMS = ("Add", "Sub")
"""Beginnings of the names of nodes that join a residual; a None edge is one without gradient."""

VIEWS = (
    "Alias",
    "Clone",
    "Contiguous",
    "Expand",
    "Permute",
    "Reshape",
    "Squeeze",
    "Transpose",
    "UnsafeView",
    "Unsqueeze",
    "View",
)
"""Beginnings of the names of nodes that only lay out the elements anew."""


def infer_scopes(graph: Graph) -> Graph:
    """The graph with `Node.scope` filled from parameter names, as far as they tell.

    Returns:
        `graph` itself if it has scopes already, or if no parameter in it has a name.
    """
    if graph.scopes is not None:
        return graph
    scopes = _Inference(graph).run()
    if not scopes:
        return graph
    table = replace(graph.node_table, scopes=dict(sorted(scopes.items())))
    return replace(graph, node_table=table, scopes="inferred")


class _Inference:
    """The state of one inference: scopes by node id, filled from the leaves to the loss."""

    def __init__(self, graph: Graph) -> None:
        self._table = graph.node_table
        self._edges = graph.edge_table
        self._forward = topological_order(graph.edge_table)[::-1]
        self._place = array("q", bytes(8 * len(graph)))
        for place, node in enumerate(self._forward):
            self._place[node] = place
        names = {name for p in self._table.parameters.values() for name in p.names}
        names.update(name for s in self._table.saved.values() for t in s for name in t.alias)
        self._tree = ModuleTree(names)
        self._scopes: dict[int, str] = {}
        self._using: set[int] = set()
        self._prepares: dict[int, int] = {}
        self._seen: dict[tuple[str, str, str, str], str] = {}

    def run(self) -> dict[int, str]:
        """The scope of each node that has one."""
        self._take_parameters()
        if not self._scopes:
            return {}
        self._take_users()
        next_user = self._find_next_users()
        self._take_preparations()
        for node in self._forward:
            if node not in self._scopes:
                self._follow(node, next_user.get(node))
        return self._scopes

    def _targets(self, node: int) -> array[int]:
        starts = self._edges.starts
        return self._edges.targets[starts[node] : starts[node + 1]]

    def _take_parameters(self) -> None:
        """Rules 1 and 2."""
        scopes = self._scopes
        for node, parameter in self._table.parameters.items():
            if parameter.name is not None:
                scopes[node] = scope_of_parameter(parameter.name)
        if not scopes:
            return
        for node in self._forward:
            if node not in scopes and self._is_computed_from_targets(node):
                below = {scopes.get(target) for target in self._targets(node)}
                below.update(self._saved_scopes(node))
                scope = below.pop() if len(below) == 1 else None
                if scope:  # What has no dot in its name may be an input, not a parameter.
                    scopes[node] = scope

    def _is_computed_from_targets(self, node: int) -> bool:
        """Whether no input that does not require grad can have come in."""
        table, targets = self._table, self._targets(node)
        if table.names[node].startswith(LOOKUPS):
            return False
        if not self._has_none_edge(node):
            return True
        # A mask or a factor leaves the size of the weight as it is; an input seldom does.
        size = _numel(table.receives[node])
        return len(targets) == 1 and size is not None and size == self._numel_of(targets[0])

    def _has_none_edge(self, node: int) -> bool:
        starts = self._edges.starts
        seen = starts[node + 1] - starts[node] + len(self._table.cut_slots.get(node, ()))
        return self._table.input_slots[node] > seen

    def _numel_of(self, node: int) -> int | None:
        parameter = self._table.parameters.get(node)
        return parameter.meta.numel if parameter else _numel(self._table.receives[node])

    def _take_users(self) -> None:
        """Rule 3."""
        table = self._table
        made_of_parameters = dict(self._scopes)
        for node in self._forward:
            if node in made_of_parameters:
                continue
            # A number computed from parameters (a penalty) is not how a module uses them.
            used = {
                made_of_parameters[target]
                for target in self._targets(node)
                if target in made_of_parameters
                and (table.kinds[target] == "leaf" or not self._is_number(target))
            }
            used.update(self._saved_scopes(node))
            used.discard("")  # Again, this may be an input.
            if used:
                self._scopes[node] = _common(used)
                self._using.add(node)

    def _saved_scopes(self, node: int) -> set[str]:
        """Modules whose parameters or buffers the node saves, frozen ones included."""
        saved = self._table.saved.get(node, ())
        return {scope_of_parameter(tensor.alias[0]) for tensor in saved if tensor.alias} - {""}

    def _is_number(self, node: int) -> bool:
        receives = self._table.receives[node]
        return bool(receives) and all(meta is not None and meta.shape == () for meta in receives)

    def _find_next_users(self) -> dict[int, int]:
        """For each node the first node of rule 3, in forward order, that its output reaches."""
        found: dict[int, int] = {}
        place = self._place
        for node in reversed(self._forward):
            nearest = node if node in self._using else found.get(node)
            if nearest is not None:
                for target in self._targets(node):
                    if target not in found or place[nearest] < place[found[target]]:
                        found[target] = nearest
        return found

    def _take_preparations(self) -> None:
        """Find the views whose only purpose is the input of one user."""
        uses = array("q", bytes(8 * len(self._place)))
        for target in self._edges.targets:
            uses[target] += 1
        for node in reversed(self._forward):
            if node in self._using or node in self._prepares:
                user = self._prepares.get(node, node)
                for target in self._targets(node):
                    is_view = self._table.names[target].startswith(VIEWS)
                    if is_view and uses[target] == 1 and target not in self._scopes:
                        self._prepares[target] = user

    def _follow(self, node: int, user: int | None) -> None:
        """Rule 4."""
        scopes = self._scopes
        targets = self._targets(node)
        producer = max((t for t in targets if t in scopes), key=self._ran_at, default=None)
        if node in self._prepares:
            used_in = scopes[self._prepares[node]]
            block = "" if producer is None else self._tree.block_of(scopes[producer])
            if producer is None or self._tree.block_of(used_in) != block:
                scopes[node] = self._around(used_in)
                return
        if producer is None:
            return
        if user is None and self._is_number(node):
            scopes[node] = ""
            return
        inner = self._after(producer)
        shared = None if user is None else common_prefix(scopes[producer], scopes[user])
        block = self._tree.block_of(inner)
        joins = any(t not in scopes or not is_within(scopes[t], inner) for t in targets)
        joins |= self._table.names[node].startswith(SUMS) and self._has_none_edge(node)
        if joins and (shared is not None or block):
            scope = max(shared or "", block, key=len)
        else:
            scope = max(shared or "", inner, key=len)
        scopes[node] = self._compare_with_neighbours(node, producer, user, scope, joins)

    def _ran_at(self, node: int) -> tuple[int, int]:
        number = self._table.sequence_nrs[node]
        return (-1 if number is None else number, self._place[node])

    def _after(self, producer: int) -> str:
        """The module that goes on once `producer` ran."""
        scope = self._scopes[producer]
        return self._around(scope) if producer in self._using else self._tree.skip_containers(scope)

    def _around(self, scope: str) -> str:
        """The module whose own nodes stand beside those that use the parameters of `scope`."""
        return self._tree.skip_containers(parent_of(scope) if self._tree.is_leaf(scope) else scope)

    def _compare_with_neighbours(
        self, node: int, producer: int, user: int | None, scope: str, joins: bool
    ) -> str:
        """The scope that the same node has in a neighbouring block, or the outside of both."""
        names, tree = self._table.names, self._tree
        block = tree.block_of(self._scopes[producer])
        around = parent_of(block)
        key = (around, self._scopes[producer][len(block) :], names[producer], names[node])
        outer = around if block else self._scopes[producer]
        ends_here = user is None or not is_within(self._scopes[user], outer)
        if ends_here and key in self._seen:
            scope = max(scope, block + self._seen[key], key=len)
        elif ends_here and block and scope == block and not joins and tree.has_siblings(block):
            return tree.skip_containers(around)
        if is_within(scope, block):
            self._seen.setdefault(key, scope[len(block) :])
        return scope


def _numel(receives: tuple[TensorMeta | None, ...]) -> int | None:
    return receives[0].numel if len(receives) == 1 and receives[0] is not None else None


def _common(scopes: set[str]) -> str:
    first, *others = sorted(scopes)
    for other in others:
        first = common_prefix(first, other)
    return first
