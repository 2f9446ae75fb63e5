"""Folding: showing a large graph as a small one.

Each pass is a pure function from a Graph to a smaller Graph; none changes what it is given.
`quotient` is the machinery that they share. Passes can follow one another: `Fold.members` always
names nodes of the graph as it was captured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ArgumentError, ArgumentTypeError
from .band import fold_bands
from .chain import fold_chains
from .infer_scopes import infer_scopes
from .repeat import fold_repeats
from .scope import fold_scopes

if TYPE_CHECKING:
    from ..graph import Graph

__all__ = ["fold", "infer_scopes"]

WITH_DEPTH = {"scope": fold_scopes, "band": fold_bands}
WITHOUT_DEPTH = {"chain": fold_chains, "repeat": fold_repeats}
PASSES = {**WITH_DEPTH, **WITHOUT_DEPTH}


def fold(graph: Graph, by: str, *, depth: int | None = None) -> Graph:
    """A smaller graph in which several nodes stand as one.

    Args:
        graph: Is not changed.
        by: `chain`, `scope`, `repeat` or `band`; see `Graph.fold`.
        depth: For `scope`, how many components of the module path to keep (1 by default); for
            `band`, how many bands to make at most (50 by default).

    Returns:
        The folded graph; `graph` itself where there was nothing to fold.

    Raises:
        ArgumentError: `by` is unknown, or `depth` is below 1 or given where it means nothing.
        ArgumentTypeError: `depth` is not an int.
    """
    if by not in tuple(PASSES):
        raise ArgumentError(
            f"by is {by!r}; expected 'chain', 'scope', 'repeat' or 'band'",
            remedy="Give one of the four; by='scope' is the one to start with for a model.",
        )
    if depth is None:
        return PASSES[by](graph)
    _check_depth(by, depth)
    return WITH_DEPTH[by](graph, depth)


def _check_depth(by: str, depth: int) -> None:
    if by not in WITH_DEPTH:
        raise ArgumentError(
            f"depth is {depth!r}, but folding by={by!r} has no depth",
            remedy="Leave depth out, or fold by='scope' or by='band'.",
        )
    if isinstance(depth, bool) or not isinstance(depth, int):
        raise ArgumentTypeError(
            f"depth is {depth!r} of type {type(depth).__name__}; expected an int of 1 or more",
            remedy="Give how many components of the module path to keep, or how many bands.",
        )
    if depth < 1:
        raise ArgumentError(
            f"depth is {depth}; expected an int of 1 or more",
            remedy="Leave depth out for the default, or give a larger number.",
        )
