"""What a graph keeps in memory for backward, and who keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from ..errors import ArgumentError, ArgumentTypeError
from .fold.infer_scopes import infer_scopes
from .memory_grouping import MemoryBy, rows_by
from .memory_rows import (
    HeldTensor,
    MemoryRow,
    StorageView,
    find_storage_views,
    make_rows,
)
from .saved_memory_notes import describe_gaps

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas

    from .graph import Graph

__all__ = [
    "HeldTensor",
    "MemoryBy",
    "MemoryRow",
    "SavedMemory",
    "StorageView",
    "check_arguments",
    "find_saved_memory",
]


@dataclass(frozen=True, slots=True, repr=False)
class SavedMemory:
    """What the nodes of a graph keep for backward; `print` shows it as a table.

    All sizes are bytes of whole storages, each counted once. Activations are what has no name;
    named parameters, buffers and inputs stay in memory anyway, so they are counted apart. It adds
    up: the `alone_bytes` of all rows and `shared_bytes` are `activation_bytes`.

    Counted is what nodes save (`Node.saved`). What else keeps memory is not in the graph: what a
    pack hook or a checkpoint keeps, tensors that a custom Function puts on `ctx` as plain
    attributes, and every tensor that the program itself holds.

    Attributes:
        rows: What each row keeps; those that hold most activations first.
        by: What a row is about: `op` the nodes of one name, `node` a node, `scope` a module,
            `line` a line of the program.
        depth: To how many components module paths were cut; None if they were not.
        scopes: Where the modules come from: `inferred` from parameter names, `recorded`, None if
            no node has one or the rows are by something else.
        activation_bytes: Storages without a name.
        shared_bytes: The part of it that nodes of more than one row hold.
        parameter_bytes: Storages of named parameters, buffers and inputs.
        nodes: How many nodes save a tensor.
        tensors: How many tensors they save.
        devices: The bytes of both kinds by device, as far as the tensors tell it.
        views: Storages that are kept whole, though saved tensors look at a part of them only.
        notes: What is not counted, and why.
    """

    rows: tuple[MemoryRow, ...]
    by: MemoryBy
    depth: int | None
    scopes: Literal["inferred", "recorded"] | None
    activation_bytes: int
    shared_bytes: int
    parameter_bytes: int
    nodes: int
    tensors: int
    devices: dict[str, int]
    views: tuple[StorageView, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Activations and parameters together: what `Graph.saved_bytes()` says."""
        return self.activation_bytes + self.parameter_bytes

    def table(self, *, max_lines: int = 60) -> str:
        """The rows as an aligned table, with what they hold in all and alone.

        Args:
            max_lines: Longest text; what is left out is said.

        Raises:
            ArgumentTypeError, ArgumentError: `max_lines` is not a number above 0.
        """
        from ..render.saved_memory_text import render_saved_memory

        return render_saved_memory(self, max_lines=max_lines)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw the rows as bars: held alone, shared with other rows, and parameters.

        Needs matplotlib. The same memory gives the same file. Of more than 50 rows, those that
        hold most are drawn.

        Args:
            path: Where to write; the suffix chooses the format: `.png`, `.svg` or `.pdf`.

        Returns:
            The path, as given.

        Raises:
            ArgumentError: The suffix is another one, or the file cannot be written.
            MissingDependencyError: matplotlib is not installed.
        """
        from ..render.saved_memory_plot import plot_saved_memory

        return plot_saved_memory(self, path)

    def to_dataframe(self) -> pandas.DataFrame:
        """A `pandas.DataFrame` with one row for each of `rows`; needs pandas.

        Its columns are the fields of `MemoryRow` and its `shared_bytes`; `source` and `largest`
        are text. `node` is missing in rows that are about several.
        """
        from .import_pandas import import_pandas

        frame = import_pandas().DataFrame.from_records(
            [_cells(row) for row in self.rows], columns=COLUMNS
        )
        return cast("pandas.DataFrame", frame.astype({"node": "Int64"}))

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return (
            f"<SavedMemory by {self.by}: {len(self.rows)} rows, {self.activation_bytes} bytes of "
            f"activations, {self.parameter_bytes} of parameters>"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The text that IPython shows."""
        printer.text(repr(self) if cycle else str(self))


COLUMNS = [
    "name", "node", "scope", "source", "nodes", "tensors", "unmeasured", "activation_bytes",
    "alone_bytes", "shared_bytes", "parameter_bytes", "largest",
]  # fmt: skip


def _cells(row: MemoryRow) -> list[object]:
    texts = {
        "source": None if row.source is None else str(row.source),
        "largest": "; ".join(map(str, row.largest)),
    }
    return [texts[name] if name in texts else getattr(row, name) for name in COLUMNS]


def find_saved_memory(graph: Graph, *, by: str = "op", depth: int | None = None) -> SavedMemory:
    """What the nodes of a graph keep for backward; see `Graph.saved_memory`.

    Args:
        graph: With what nodes save, as `capture` makes it by default. A fold counts as one node.
        by: What one row is about: `op`, `node`, `scope` or `line`.
        depth: With `scope`, how many components of the module paths to keep; all by default.

    Raises:
        ArgumentError: `by` or `depth` is not one of these, or `by="line"` and no node of the
            graph knows its line.
        ArgumentTypeError: An argument is of the wrong type.
    """
    kind = check_arguments(by, depth)
    if kind == "line" and all(c.source is None for c in graph.node_table.creations.values()):
        raise no_lines()
    if kind == "scope":
        graph = infer_scopes(graph)
    key_of, identify = rows_by(graph, kind, depth)
    rows, shared = make_rows(graph, key_of, identify)
    saved = [tensor for saved in graph.node_table.saved.values() for tensor in saved]
    storages = {tensor.storage for tensor in saved if tensor.storage is not None}
    total = sum(graph.storages[storage].bytes for storage in storages)
    named = sum(graph.storages[s].bytes for s in storages if graph.storages[s].names)
    return SavedMemory(
        rows=rows,
        by=kind,
        depth=depth,
        scopes=graph.scopes if kind == "scope" else None,
        activation_bytes=total - named,
        shared_bytes=shared,
        parameter_bytes=named,
        nodes=sum(row.nodes for row in rows),
        tensors=len(saved),
        devices=_sum_by_device(graph),
        views=find_storage_views(graph),
        notes=describe_gaps(graph, kind),
    )


def _sum_by_device(graph: Graph) -> dict[str, int]:
    device_of = {
        tensor.storage: tensor.meta.device
        for saved in graph.node_table.saved.values()
        for tensor in saved
        if tensor.storage is not None and tensor.meta is not None
    }
    sums: dict[str, int] = {}
    for storage, device in device_of.items():
        sums[device] = sums.get(device, 0) + graph.storages[storage].bytes
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


# -- arguments -------------------------------------------------------------------------------------


def check_arguments(by: object, depth: object) -> MemoryBy:
    """Refuse what does not say what rows to make.

    Raises:
        ArgumentError, ArgumentTypeError: See `find_saved_memory`.
    """
    kinds: tuple[MemoryBy, ...] = get_args(MemoryBy)
    kind = next((kind for kind in kinds if isinstance(by, str) and by == kind), None)
    if kind is None:
        raise (ArgumentError if isinstance(by, str) else ArgumentTypeError)(
            f"by is {by!r}; expected one of {', '.join(map(repr, kinds))}",
            remedy='"op" sums nodes of one name, "node" shows each, "scope" sums by module, '
            '"line" by line of the program.',
        )
    if depth is None:
        return kind
    if isinstance(depth, bool) or not isinstance(depth, int):
        raise ArgumentTypeError(
            f"depth is {depth!r} of type {type(depth).__name__}; expected a whole number or None",
            remedy="Give how many components of the module paths to keep, such as 2.",
        )
    if depth < 1:
        raise ArgumentError(
            f"depth is {depth}; expected 1 or more",
            remedy="Give how many components of the module paths to keep, such as 2.",
        )
    if kind != "scope":
        raise ArgumentError(
            f"depth is {depth}, but by is {kind!r}, which has no module paths to cut",
            remedy='Give by="scope", or leave depth out.',
        )
    return kind


def no_lines() -> ArgumentError:
    """That nothing recorded which lines made the nodes."""
    return ArgumentError(
        "by is 'line', but no node of this graph knows the line that made it: a captured graph "
        "does not tell",
        remedy="Record the forward pass: `with inspect_autograd.record(model) as recording:` "
        'around it, then recording.saved_memory(by="line").',
    )
