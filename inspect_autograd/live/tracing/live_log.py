"""What a trace tells while it runs: lines of JSON in a file, and messages to `logging`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Sequence
from typing import IO, Any

from ...errors import ArgumentError, ArgumentTypeError
from ...events.log_lines import (
    encode_edit,
    encode_event,
    encode_evidence,
    encode_graph_line,
    encode_header,
    encode_note,
    encode_outcome,
    encode_parameters,
    encode_pass,
    encode_threads,
)
from ...events.records import (
    Environment,
    Event,
    StatsLevel,
    TensorStats,
    TracedParameter,
)
from ...events.table import NO_GRADIENT
from ...events.trace import TraceData
from ...graph.atomic_write import check_target
from ...graph.graph import Graph
from .assemble import RowReader, Unmeasured
from .gradient_stats import GradientStats
from .passes import OpenPass, PassBook

__all__ = ["LOGGER", "LiveLog", "open_log"]

Gradients = tuple[TensorStats | None, ...]

LOGGER = logging.getLogger("inspect_autograd.trace")


def open_log(path: Any) -> IO[str] | None:
    """Open the file of a log; an existing one is replaced.

    Raises:
        ArgumentTypeError: `path` is no path.
        ArgumentError: It cannot be written.
    """
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise ArgumentTypeError(
            f"log is {path!r} of type {type(path).__name__}; expected a string or a Path",
            remedy='Give a file name such as "trace.jsonl".',
        )
    try:
        return check_target(path).open("w", encoding="utf-8", errors="surrogatepass", newline="\n")
    except ArgumentError as error:
        # It speaks of a path, which is not what the argument is called here.
        message = error.message.replace("path is", "log is", 1)
        raise ArgumentError(message, remedy=error.remedy) from None
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Any, error: Exception) -> ArgumentError:
    reason = getattr(error, "strerror", None) or error
    return ArgumentError(
        f"log is {os.fspath(path)!r}, which cannot be written: {reason}",
        remedy="Give a path that you may write to, on a disk with free space.",
    )


class LiveLog:
    """Tells of each event as it happens.

    Every line is handed to the operating system at once, so that it is there even if the process
    is killed right after. Numbers that are still on an accelerator are not waited for; such lines
    say so.

    Args:
        file: Where the lines of JSON go; None for messages to `logging` only.
        passes: Knows the passes.
        stats: What was measured; None at `stats="meta"`.
        begin_ns: Value of the clock that counts as 0.

    Attributes:
        threads: Index of each thread by its identifier, in the order in which they were told of.
    """

    def __init__(
        self, file: IO[str] | None, passes: PassBook, stats: GradientStats | None, begin_ns: int
    ) -> None:
        self._file = file
        self._passes = passes
        self._stats = None if stats is None else stats.stats
        self._begin_ns = begin_ns
        self._graph: Graph | None = None
        self._count = 0
        self._names: Sequence[str] = ()
        self._labels: dict[int, str] = {}
        self.threads: dict[int, int] = {}
        # Reentrant: an interrupt or the garbage collector may run a backward pass at any point.
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        file: IO[str] | None,
        passes: PassBook,
        stats: GradientStats | None,
        begin_ns: int,
    ) -> LiveLog | None:
        """A log if there is a file, or if somebody listens to the logger; else None."""
        if file is None and not LOGGER.isEnabledFor(logging.INFO):
            return None
        return cls(file, passes, stats, begin_ns)

    def write_header(self, graph: Graph, level: StatsLevel, environment: Environment) -> None:
        """The first lines: what will be logged, and the graph.

        Raises:
            ArgumentError: They cannot be written.
        """
        try:
            self._write(encode_header(graph, level, environment))
            self.write_graph(graph)
        except OSError as error:
            raise _unwritable(getattr(self._file, "name", None), error) from error

    def write_graph(self, graph: Graph) -> None:
        """The graph; again when nodes have come to light."""
        table = graph.node_table
        self._names = table.names
        self._labels = {id: p.name for id, p in table.parameters.items() if p.name is not None}
        self._graph = graph
        self._write(encode_graph_line(graph))

    def write_parameters(self, parameters: tuple[TracedParameter, ...]) -> None:
        """The parameters."""
        self._write(encode_parameters(parameters))

    def write_pass(self, opened: OpenPass) -> None:
        """A backward pass, when it begins and when it ends."""
        record = opened.to_record(self.threads)
        self._write(encode_pass(record))
        if LOGGER.isEnabledFor(logging.INFO):
            what = "begins" if record.outcome.status == "running" else record.outcome.status
            LOGGER.info("backward pass %d, %s: %s", record.id, record.place, what)

    def __call__(self, row: Sequence[int]) -> None:
        """One execution of a node; see `RowListener`."""
        with self._lock:  # Nodes may run in several threads.
            self._tell(row)

    def _tell(self, row: Sequence[int]) -> None:
        node, task, thread, start, end = row[:5]
        opened = self._passes.find(task)
        index = self.threads.setdefault(thread, len(self.threads))
        received, returned = self._gradients(row)
        order, self._count = self._count, self._count + 1
        event = Event(
            order=order,
            node=node,
            backward_pass=0 if opened is None else opened.id,
            thread=index,
            start_ns=start - self._begin_ns,
            duration_ns=end - start,
            received=received,
            returned=returned,
        )
        self._write(encode_event(event, self._names[node]))
        if LOGGER.isEnabledFor(logging.INFO):
            name = self._labels.get(node, self._names[node])
            came, went = _join(received), _join(returned)
            LOGGER.info("%d  %s  receives %s  returns %s", order, name, came, went)

    def _gradients(self, row: Sequence[int]) -> tuple[Gradients, Gradients]:
        if self._graph is None:
            return (), ()
        # Positions from here on belong to what was not measured.
        first = 0 if self._stats is None else len(self._stats)
        unmeasured = Unmeasured(self._graph, first)
        positions = RowReader(unmeasured).read(row, 0)[:2]
        received, returned = (
            tuple([self._look_up(p, first, unmeasured) for p in slots]) for slots in positions
        )
        return received, returned

    def _look_up(self, position: int, first: int, unmeasured: Unmeasured) -> TensorStats | None:
        if position == NO_GRADIENT:
            return None
        if self._stats is not None and position < first:
            return self._stats[position]
        return TensorStats(unmeasured.metas[position - first])

    def close(self, data: TraceData | None) -> None:
        """Write what is only known at the end, and close the file.

        Args:
            data: The finished trace; None if there is none.

        Raises:
            OSError: Something could not be written, now or before.
        """
        if self._file is None:
            return
        with contextlib.closing(self._file):
            if data is not None:
                self._write(encode_graph_line(data.graph))
                self._write(encode_parameters(data.parameters))
                self._write(encode_threads(data.threads))
                for lines in (
                    map(encode_evidence, data.evidence),
                    map(encode_edit, data.edits),
                    map(encode_note, data.notes),
                ):
                    for line in lines:
                        self._write(line)
                self._write(encode_outcome(data.outcome))
        self._file = None

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n")
            self._file.flush()


def _join(gradients: Sequence[TensorStats | None]) -> str:
    return ", ".join("None" if s is None else str(s) for s in gradients) or "nothing"
