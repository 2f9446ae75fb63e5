"""Graph: an autograd graph as plain data, and the questions that can be asked of it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ArgumentError, ArgumentTypeError
from .records import FoldNote, Node, Note, Parameter, Repeat, Root, Storage, Truncation
from .tables import EdgeTable, EdgeView, NodeTable, NodeView
from .topology import find_path, find_reachable, reverse_edges, topological_order

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import networkx

    from ..render.dot import Direction
    from ..render.view import ViewName
    from .saved_memory import SavedMemory
    from .summary import Summary

__all__ = ["Graph"]


@dataclass(frozen=True, repr=False)
class Graph:
    """An autograd graph: plain records, nothing that torch owns.

    Made by `inspect_autograd.capture` and `inspect_autograd.load`. Edges point the way gradients
    flow: from the roots (the loss) to the leaves (the parameters). So the *descendants* of a
    node are what its gradient flows on to, and its *ancestors* are where its gradient comes from.

    Attributes:
        roots: Where the graph was entered, in the order given.
        notes: Members of what was given that carry no graph, and why.
        storages: The memory that saved tensors look at; `SavedTensor.storage` is an index here.
        truncation: None, or how `max_nodes` cut the walk.
        scopes: Where `Node.scope` comes from: `inferred` from parameter names, `recorded` while
            the forward pass ran, None if no node has one.
        fold_notes: What folding did to this graph, oldest first; empty as captured.
        repeats: Runs of alike blocks that are shown once.
        torch_version: Of the torch that made the graph.
    """

    node_table: NodeTable
    edge_table: EdgeTable
    roots: tuple[Root, ...] = ()
    notes: tuple[Note, ...] = ()
    storages: tuple[Storage, ...] = ()
    truncation: Truncation | None = None
    scopes: Literal["inferred", "recorded"] | None = None
    fold_notes: tuple[FoldNote, ...] = ()
    repeats: tuple[Repeat, ...] = ()
    torch_version: str = ""

    # -- parts ---------------------------------------------------------------------------------

    @property
    def nodes(self) -> NodeView:
        """All nodes; `graph.nodes[i]` is the node with id `i`."""
        return NodeView(self.node_table, self.edge_table)

    @property
    def edges(self) -> EdgeView:
        """All edges, ordered by source and slot."""
        return EdgeView(self.edge_table)

    def __len__(self) -> int:
        return len(self.node_table)

    # -- queries -------------------------------------------------------------------------------

    def find(self, pattern: str) -> tuple[Node, ...]:
        """Nodes whose name, label, parameter or module matches a glob, in the order of their ids.

        Modules count where they were recorded: `encoder.layers.0*` then finds all that was made
        in that layer, and its parameters. Inferred ones, which are a guess, do not.

        Args:
            pattern: Case-sensitive glob: `*` any text, `?` one character, `[ab]` one of these.

        Returns:
            The matching nodes, maybe none.
        """
        if not isinstance(pattern, str):
            raise ArgumentTypeError(
                f"pattern is {pattern!r} of type {type(pattern).__name__}; expected a glob string",
                remedy='Give a string such as "Softmax*" or "*.weight".',
            )
        table, nodes = self.node_table, self.nodes
        scopes = table.scopes if self.scopes == "recorded" else {}
        names = {*table.names, *scopes.values()}
        matching = {name for name in names if name and fnmatchcase(name, pattern)}
        return tuple(
            nodes[id]
            for id, name in enumerate(table.names)
            if name in matching
            or scopes.get(id) in matching
            or any(fnmatchcase(other, pattern) for other in self._other_names(id))
        )

    def _other_names(self, id: int) -> tuple[str, ...]:
        parameter = self.node_table.parameters.get(id)
        fold = self.node_table.folds.get(id)
        return (*(parameter.names if parameter else ()), *((fold.label,) if fold else ()))

    def next_nodes(self, node: Node | int) -> tuple[Node, ...]:
        """The nodes that `node` passes its gradients on to, in slot order, each once."""
        id = self.id_of(node, "node")
        edges, nodes = self.edge_table, self.nodes
        targets = edges.targets[edges.starts[id] : edges.starts[id + 1]]
        return tuple(nodes[target] for target in dict.fromkeys(targets))

    def previous_nodes(self, node: Node | int) -> tuple[Node, ...]:
        """The nodes that pass a gradient to `node`, in the order of their ids, each once."""
        id = self.id_of(node, "node")
        starts, positions = self._reverse
        sources = (self.edge_table.sources[p] for p in positions[starts[id] : starts[id + 1]])
        nodes = self.nodes
        return tuple(nodes[source] for source in dict.fromkeys(sources))

    def descendants(self, node: Node | int) -> tuple[Node, ...]:
        """All nodes that the gradient of `node` flows on to, without itself."""
        id = self.id_of(node, "node")
        edges = self.edge_table
        return self._select(find_reachable(edges.starts, edges.targets, [id]) - {id})

    def ancestors(self, node: Node | int) -> tuple[Node, ...]:
        """All nodes from which a gradient flows to `node`, without itself."""
        id = self.id_of(node, "node")
        starts, positions = self._reverse
        sources = array("q", (self.edge_table.sources[p] for p in positions))
        return self._select(find_reachable(starts, sources, [id]) - {id})

    def path(self, source: Node | int, target: Node | int) -> tuple[Node, ...]:
        """A shortest way of the gradient from `source` to `target`, both included.

        Returns:
            The nodes on the way; empty if no gradient flows from the one to the other.
        """
        origin, goal = self.id_of(source, "source"), self.id_of(target, "target")
        nodes = self.nodes
        return tuple(nodes[id] for id in find_path(self.edge_table, origin, goal))

    def leaves(self) -> tuple[Node, ...]:
        """The AccumulateGrad nodes, where gradients end up in a tensor's `.grad`."""
        nodes = self.nodes
        return tuple(nodes[id] for id, kind in enumerate(self.node_table.kinds) if kind == "leaf")

    def parameters(self) -> dict[str, Parameter]:
        """The named leaf tensors that the graph reaches, by every name they have."""
        return {
            name: parameter
            for _, parameter in sorted(self.node_table.parameters.items())
            for name in parameter.names
        }

    def topological_order(self) -> tuple[int, ...]:
        """Node ids such that every gradient flows from an earlier to a later one."""
        return tuple(topological_order(self.edge_table))

    def saved_bytes(self, nodes: Sequence[Node | int] | None = None) -> int:
        """Bytes that stay allocated because nodes save tensors, each storage counted once.

        Parameters are counted too, where a node saves one: `Storage.names` tells them apart.

        Args:
            nodes: Only what these nodes save; all nodes by default.
        """
        saved = self.node_table.saved
        ids = saved if nodes is None else [self.id_of(node, "nodes") for node in nodes]
        storages = {tensor.storage for id in ids for tensor in saved.get(id, ())}
        return sum(self.storages[index].bytes for index in storages if index is not None)

    def saved_memory(self, by: str = "op", *, depth: int | None = None) -> SavedMemory:
        """Who keeps how much memory for backward; `print` shows a table, `plot` draws bars.

        Args:
            by: What one row is about: `op`, the nodes of one name; `node`; `scope`, a module;
                `line`, a line of the program, which only a recorded graph knows.
            depth: With `scope`, how many components of the module paths to keep; all by default.

        Raises:
            ArgumentError: `by` or `depth` is not one of these, or no node knows its line.
        """
        from .saved_memory import find_saved_memory

        return find_saved_memory(self, by=by, depth=depth)

    def summary(self) -> Summary:
        """Counts, depth, parameters and bytes, printable as a few lines."""
        from .summary import summarize

        return summarize(self)

    # -- conversions ---------------------------------------------------------------------------

    def fold(
        self, by: Literal["chain", "scope", "repeat", "band"], *, depth: int | None = None
    ) -> Graph:
        """A smaller graph in which several nodes stand as one; this one is not changed.

        Args:
            by: `chain`: linear chains of nodes (`MulBackward0 ×20000`); `scope`: the nodes of a
                module; `repeat`: blocks of one shape in a row (`layers.0 … layers.11 ×12`), shown
                once; `band`: neighbours in topological order, which always works.
            depth: For `scope`, how many components of the module path to keep (1 by default);
                for `band`, how many bands to make (50 by default).
        """
        from .fold import fold

        return fold(self, by, depth=depth)

    def to_networkx(self) -> networkx.MultiDiGraph[int]:
        """A `networkx.MultiDiGraph` keyed by node id; attributes are the fields of the records."""
        from .to_networkx import to_networkx

        return to_networkx(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the graph as JSON; `inspect_autograd.load` reads it back, without torch."""
        from .file import save

        return save(self, path)

    # -- pictures ------------------------------------------------------------------------------
    # Records do not know renderers; these lazy imports are the methods that users expect here.

    def render(
        self,
        path: str | os.PathLike[str],
        *,
        view: ViewName = "auto",
        direction: Direction = "down",
        show_saved: bool = False,
        show_source: bool = False,
        show_attributes: bool = False,
        title: str | None = None,
        timeout: float = 30.0,
    ) -> Path:
        """Draw the graph into a file; arrows go the way gradients flow, down from the loss.

        The suffix chooses the format: `.png`, `.svg`, `.pdf`; `.dot` (or `.gv`) for Graphviz
        source; `.txt` for the tree as text. The layout runs in a process of its own: a `dot` on
        PATH if there is one, else the Graphviz inside pygraphviz. The same graph gives the same
        file.

        Args:
            path: Where to write; an existing file is replaced, as a whole or not at all.
            view: `auto` folds a graph of more than 300 boxes until it has fewer, and says so in
                the picture; `full` shows every node; `chain`, `scope`, `repeat` and `band` fold
                as `fold` does.
            direction: `down`: the loss at the top, the leaves at the bottom; `right`: the loss at
                the left, the leaves at the right.
            show_saved: Also draw the tensors that nodes save for backward, with shape, bytes and
                state.
            show_source: Also write which line of the program made a node (`train.py:12`), where
                that was recorded; in an `.svg`, the tooltip tells it anyway.
            show_attributes: Also write what nodes keep that is no tensor (`dim`, `eps`, ...).
            title: A line above the picture.
            timeout: Seconds for the layout, which is ended when they are over.

        Returns:
            The path, as given.

        Raises:
            ArgumentError: The suffix, the view, the direction or the timeout is not one of those
                above, or the file cannot be written.
            LayoutTimeoutError: The time was up.
            LayoutError: There is no Graphviz, or it failed; says how.
        """
        from ..render.picture import render

        return render(
            self,
            path,
            view=view,
            direction=direction,
            show_saved=show_saved,
            show_source=show_source,
            show_attributes=show_attributes,
            title=title,
            timeout=timeout,
        )

    def _repr_svg_(self) -> str | None:
        """The picture that a notebook shows; None where there is none, then it shows the text."""
        from ..render.notebook import notebook_svg

        return notebook_svg(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))

    def tree(self, *, by: Literal["node", "scope"] = "node", max_lines: int = 200) -> str:
        """The graph as an indented tree of nodes or of modules.

        Args:
            by: `node`: roots first, the way gradients flow; a shared node is shown once; modules
                and lines of the program at the right, where they were recorded. `scope`: one line
                for each module in the order of the forward pass, with the number of its nodes and
                leaves, the bytes that it saves for backward, and its calls; modules are inferred
                from parameter names where none were recorded, which is said.
            max_lines: Longest text; what is left out is said in the last line. Of modules, the
                innermost ones are left out first.

        Raises:
            ArgumentError: `by` is neither, or `max_lines` is below 1.
            ArgumentTypeError: `max_lines` is no int.
        """
        from ..render.text import render_tree

        return render_tree(self, by=by, max_lines=max_lines)

    def __str__(self) -> str:
        from ..render.text import render_overview

        return render_overview(self)

    def __repr__(self) -> str:
        roots = ", ".join(self.node_table.names[root.node] for root in self.roots[:3])
        more = ", …" if len(self.roots) > 3 else ""
        cut = ", truncated" if self.truncation else ""
        return f"<Graph of {roots}{more}: {len(self)} nodes, {len(self.edge_table)} edges{cut}>"

    # -- inner ---------------------------------------------------------------------------------

    @cached_property
    def _reverse(self) -> tuple[array[int], array[int]]:
        return reverse_edges(self.edge_table)

    def _select(self, ids: set[int]) -> tuple[Node, ...]:
        nodes = self.nodes
        return tuple(nodes[id] for id in sorted(ids))

    def id_of(self, node: Node | int, argument: str = "node") -> int:
        """The id of a node of this graph that is given as a Node or as its id.

        Args:
            node: The node.
            argument: What an error calls it.

        Raises:
            ArgumentError: The graph has no node with this id.
            ArgumentTypeError: It is neither.
        """
        if isinstance(node, bool) or not isinstance(node, Node | int):
            raise ArgumentTypeError(
                f"{argument} is {node!r} of type {type(node).__name__}; "
                "expected a Node of this graph or its id",
                remedy='Look nodes up with graph.nodes[id] or graph.find("MulBackward*").',
            )
        id = node.id if isinstance(node, Node) else node
        if not 0 <= id < len(self):
            raise ArgumentError(
                f"{argument} has id {id}, but this graph has ids 0 to {len(self) - 1}",
                remedy="Use a node of this very graph: folding gives nodes new ids.",
            )
        return id
