"""Where two runs differ first: folders that `run` wrote, or saved recordings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..events.compare import Comparison
from ..events.recording import Recording
from ..events.trace import Trace
from .result import UsageError
from .run_files import find_trace_files
from .target import load_trace

__all__ = [
    "FirstDifference",
    "Series",
    "compare_series",
    "describe_origin",
    "find_series",
    "render_runs",
]

Key = tuple[int, int]
"""Index of a step, and which of its backward passes."""

Series = dict[Key, Callable[[], Trace]]
"""The traces of a run in order. They are read one at a time: a run may have many."""


@dataclass(frozen=True, slots=True)
class FirstDifference:
    """How far two runs agree.

    Attributes:
        agreeing: How many traces were compared and are the same.
        key: The step and pass of the first ones that differ; None if all agree.
        a: The trace of the first run there.
        comparison: How these two compare.
        only_a: What only the first run has.
        only_b: What only the second one has.
    """

    agreeing: int
    key: Key | None
    a: Trace | None
    comparison: Comparison | None
    only_a: tuple[Key, ...]
    only_b: tuple[Key, ...]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs, and both have the same traces."""
        return self.key is None and not self.only_a and not self.only_b


def find_series(target: str) -> Series | None:
    """The traces of a run; None if the target is something else.

    Raises:
        FileFormatError: A folder holds the folders of several processes, or a file is damaged.
    """
    path = Path(target)
    if path.is_dir():
        files = find_trace_files(path)
        return {key: partial(load_trace, str(file)) for key, file in files.items()} or None
    if path.suffix != ".json" or not path.is_file():
        return None
    from ..diagnosis.load import load

    loaded = load(path)
    if not isinstance(loaded, Recording):
        return None
    return {
        (step.index, number): partial(loaded.traces.__getitem__, index)
        for step in loaded.steps
        for number, index in enumerate(step.traces)
    }


def compare_series(a: Series, b: Series, *, rtol: float, atol: float) -> FirstDifference:
    """Compare the traces of the same step and pass, in order, up to the first that differ.

    Args:
        a: One run.
        b: The other one.
        rtol: Relative tolerance.
        atol: Absolute tolerance.

    Raises:
        UsageError: They have no step in common.
    """
    both = sorted(a.keys() & b.keys())
    only_a, only_b = tuple(sorted(a.keys() - b.keys())), tuple(sorted(b.keys() - a.keys()))
    if not both:
        raise UsageError(
            f"the two runs have no step in common: a has {_names(only_a)}, b {_names(only_b)}",
            remedy="Record the same steps in both: inspect-autograd run --steps 0:10 train.py",
        )
    for agreeing, key in enumerate(both):
        trace = a[key]()
        comparison = trace.compare(b[key](), rtol=rtol, atol=atol)
        if not comparison.is_same:
            return FirstDifference(agreeing, key, trace, comparison, only_a, only_b)
    return FirstDifference(len(both), None, None, None, only_a, only_b)


def describe_origin(trace: Trace, comparison: Comparison) -> str:
    """Where the first node that differs was made, as far as it was recorded; or nothing."""
    if comparison.first is None:
        return ""
    node = trace.graph.nodes[comparison.first.node_a]
    made = "" if node.creation is None or node.creation.source is None else str(node.creation)
    scope = "" if node.scope is None else f"in module {node.scope or '(the outermost)'}"
    return ", ".join(part for part in (f"made by {made}" if made else "", scope) if part)


def render_runs(found: FirstDifference) -> str:
    """The lines above the report about the two traces that differ."""
    if found.key is None:
        text = f"Runs agree in all {_count(found.agreeing)} that both have"
        if found.is_same:
            text = f"Runs are the same: {_count(found.agreeing)}, within the tolerances"
    else:
        text = f"Runs differ first in {name_of(found.key)}; "
        text += (
            f"{_count(found.agreeing)} before it agree"
            if found.agreeing
            else "it is the first that both have"
        )
    for which, keys in (("a", found.only_a), ("b", found.only_b)):
        if keys:
            text += f"\nonly {which} has {_names(keys)}"
    return text


def name_of(key: Key) -> str:
    """A step and a pass in words."""
    return f"step {key[0]}, pass {key[1]}"


def _names(keys: tuple[Key, ...]) -> str:
    shown = [name_of(key) for key in keys[:3]]
    return "; ".join(shown) + (f"; and {len(keys) - 3} more" if len(keys) > 3 else "")


def _count(traces: int) -> str:
    return f"{traces} trace{'s' * (traces != 1)}"
