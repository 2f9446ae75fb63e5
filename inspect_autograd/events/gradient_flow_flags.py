"""Which gradients look wrong: the criteria, and the reason for each threshold.

Whether a gradient is small or large has no meaning by itself: a sum instead of a mean, or the
loss scaling of mixed precision (65536 to begin with), changes all of them by a factor. So
gradients are compared with those nearest to the loss of the same pass, from where they grow or
shrink on their way through the layers, and with the values of the parameter itself.

- `missing`: no gradient arrived; the text says why.
- `non-finite`: it holds NaN or Inf.
- `dead`: every element is exactly 0. Behind ReLUs that are never active, behind a mask, or
  where it underflowed; but also, and as intended, behind a weight that still is 0 (LoRA, residual
  branches that start as 0).
- `vanishing`: the root mean square (RMS) of its elements is below `VANISHING_SHARE` of that near
  the loss, or below the smallest normal number of its dtype, where it loses digits (float16
  without loss scaling).
- `exploding`: its RMS is above `EXPLODING_FACTOR` times that near the loss; or, of a weight, its
  norm above `EXPLODING_RATIO` times the norm of the weight. The second is for layers that are all
  scaled badly alike, whose gradients are equally huge.
- `mostly zero`: more than `MOSTLY_ZERO` of the elements are 0, in a parameter that is used as a
  whole (an embedding table, of which rows are looked up, is not).
- `update too large`, `update too small`: see `UPDATE_TOO_LARGE`; of weights, and only with a
  learning rate.

What has one dimension or none is called a bias here, what has more a weight. A bias is compared
with the biases near the loss, a weight with the weights: their gradients sum over different
things, and where activations explode, only those of the weights are multiplied by them. And a
bias is not compared with its own values, as those of a healthy one may be next to nothing: it
starts as 0, and the factors of a residual branch (LayerScale) as 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, isinf, isnan, sqrt

from ..graph.graph import Graph
from .gradient_deliveries import Delivery
from .gradient_flow_rows import SEVERITY, Flag, FlowRow

__all__ = [
    "EXPLODING_FACTOR",
    "EXPLODING_RATIO",
    "MOSTLY_ZERO",
    "SMALLEST_NORMAL",
    "UPDATE_TOO_LARGE",
    "UPDATE_TOO_SMALL",
    "VANISHING_SHARE",
    "NearLoss",
    "find_looked_up",
    "find_near_loss",
    "flag_rows",
    "format_share",
]

VANISHING_SHARE = 1e-6
"""With one learning rate for all, such a parameter needs a million steps to move as far as those
near the loss do in one. Untrained transformers, ResNets and LSTMs of usual depth stay above 1e-4;
ten layers of sigmoids fall to 1e-9."""
EXPLODING_FACTOR = 1e6
"""The same, the other way round."""
EXPLODING_RATIO = 1e6
"""|gradient| / |parameter| of a healthy network is about 1 or less with a mean as its loss; the
usual loss scale of 65536, or a sum over some 10 000 samples, stay below this."""
MOSTLY_ZERO = 0.95
"""Share of zeros. A layer of ReLUs has about half of its units off for one sample, and hardly any
for a whole batch; so this many zeros mean units that are off for every sample."""
UPDATE_TOO_LARGE = 1e-1
"""`learning_rate · |gradient| / |parameter|` of one step of plain SGD. About 1e-3 is the usual
aim (https://cs231n.github.io/neural-networks-3/#ratio); a tenth of the parameter in one step
overthrows it."""
UPDATE_TOO_SMALL = 1e-6
"""It takes a million such steps to move the parameter by its own size."""
SMALLEST_NORMAL = {
    "float16": 2.0**-14,
    "bfloat16": 2.0**-126,
    "float32": 2.0**-126,
    "float64": 2.0**-1022,
}
"""`torch.finfo(dtype).smallest_normal`: below it, numbers have fewer digits the smaller they are
(https://en.wikipedia.org/wiki/Subnormal_number)."""

_NEAREST = 3
"""How many gradients near the loss are looked at, of which the largest counts: a single one may
be small by chance, as that of a bias that the loss does not depend on."""
_CANCELLED_SHARE = 1e-3
_LOOKUPS = frozenset(
    {
        "EmbeddingBackward0",
        "EmbeddingBagBackward0",
        "GatherBackward0",
        "IndexBackward0",
        "IndexSelectBackward0",
        "SelectBackward0",
        "SliceBackward0",
    }
)


@dataclass(frozen=True, slots=True)
class NearLoss:
    """RMS of the gradients near the loss, which others are compared with.

    Attributes:
        weights: Of parameters with two dimensions or more; None if none had a gradient to use.
        biases: Of those with one or none, that is biases and the weights of norms.
    """

    weights: float | None
    biases: float | None

    def for_row(self, row: FlowRow) -> float | None:
        """What a parameter is compared with."""
        return self.biases if is_bias(row) else self.weights


def is_bias(row: FlowRow) -> bool:
    """Whether a parameter has one dimension or none."""
    return row.meta is not None and row.meta.shape is not None and len(row.meta.shape) <= 1


def find_near_loss(rows: Sequence[FlowRow], deliveries: Sequence[Delivery]) -> NearLoss:
    """The largest RMS among the first few gradients of each kind that are neither 0 nor NaN."""
    found: dict[bool, list[float]] = {False: [], True: []}
    ranked = [
        (delivery.rank, position)
        for position, delivery in enumerate(deliveries)
        if delivery.rank is not None
    ]
    for _, position in sorted(ranked):
        row = rows[position]
        nearest = found[is_bias(row)]
        if row.rms is not None and row.rms > 0 and isfinite(row.rms) and len(nearest) < _NEAREST:
            nearest.append(row.rms)
    return NearLoss(max(found[False], default=None), max(found[True], default=None))


def find_looked_up(graph: Graph) -> Callable[[int | None], bool]:
    """Tells leaves of which only a part is ever used at a time (an embedding table)."""
    edges, names = graph.edge_table, graph.node_table.names
    leaves = graph.node_table.kinds
    users: dict[int, set[str]] = {}
    for source, target in zip(edges.sources, edges.targets, strict=True):
        if leaves[target] == "leaf":
            users.setdefault(target, set()).add(names[source])
    return lambda node: node is not None and bool(users.get(node)) and users[node] <= _LOOKUPS


def flag_rows(
    rows: Sequence[FlowRow],
    deliveries: Sequence[Delivery],
    near: NearLoss,
    looked_up: Sequence[bool],
) -> list[FlowRow]:
    """The rows of parameters with their thresholds, flags and notes.

    Args:
        rows: Rows of parameters without flags.
        deliveries: One for each row.
        near: What to compare with.
        looked_up: Whether only a part of the parameter is used at a time, for each row.
    """
    rows = [_with_thresholds(row, near.for_row(row)) for row in rows]
    healthy = _healthiest_weights(rows, near)
    flagged = []
    for row, delivery, partial in zip(rows, deliveries, looked_up, strict=True):
        flags = _flags(row, delivery, near.for_row(row))
        notes = [row.note] if row.note else []
        if flags and flags[0].kind == "vanishing" and _cancels(row, near, healthy):
            flags, notes = [], [*notes, "only rounding noise, as of a bias before a normalisation"]
        if partial and flags and flags[-1].kind == "mostly zero":
            flags, notes = flags[:-1], [*notes, "0 where it was not looked up"]
        flags.sort(key=lambda flag: SEVERITY.index(flag.kind))
        flagged.append(replace(row, flags=tuple(flags), note="; ".join(notes)))
    return flagged


def _with_thresholds(row: FlowRow, reference: float | None) -> FlowRow:
    if not row.numel:
        return row
    scale = sqrt(row.numel)
    tiny = SMALLEST_NORMAL.get(row.meta.dtype, 0.0) if row.meta is not None else 0.0
    below = max(tiny, VANISHING_SHARE * (reference or 0.0)) * scale
    above = [] if reference is None else [EXPLODING_FACTOR * reference * scale]
    above += [EXPLODING_RATIO * row.parameter_l2] if row.parameter_l2 and not is_bias(row) else []
    return replace(row, vanishing_below=below or None, exploding_above=min(above, default=None))


def _flags(row: FlowRow, delivery: Delivery, reference: float | None) -> list[Flag]:
    """The flags of one row, `mostly zero` at the end."""
    stats, size = delivery.stats, row.magnitude
    if stats is None:
        return [Flag("missing", delivery.reason)]
    if stats.is_finite is False:
        return [Flag("non-finite", _count_nonfinite(delivery))]
    if size is None or row.numel == 0 or isnan(size):
        return []
    if size == 0:
        return [Flag("dead", "every element is 0")]
    flags = _size_flags(row, size, reference)
    if not flags and not is_bias(row):
        flags = _update_flags(row.update_ratio)
    if row.zero_share is not None and row.zero_share > MOSTLY_ZERO:
        flags.append(Flag("mostly zero", f"{format_share(row.zero_share)} of the elements are 0"))
    return flags


def _count_nonfinite(delivery: Delivery) -> str:
    stats = delivery.stats
    if stats is None:
        return ""
    counts = [("NaN", stats.nan_count), ("Inf", stats.inf_count)]
    texts = [f"{name} in {count}" for name, count in counts if count]
    total = "" if stats.meta.numel is None else f" of {stats.meta.numel}"
    return f"{' and '.join(texts)}{total} elements" if texts else stats.problem


def _size_flags(row: FlowRow, size: float, reference: float | None) -> list[Flag]:
    rms = row.rms or 0.0
    if row.exploding_above is not None and size > row.exploding_above:
        if isinf(size):
            return [Flag("exploding", "every element is finite, but its norm is not")]
        if row.parameter_l2 and not is_bias(row) and size > EXPLODING_RATIO * row.parameter_l2:
            return [Flag("exploding", f"its norm is {size / row.parameter_l2:.1e} × |parameter|")]
        return [Flag("exploding", _against_near_loss(rms, reference))]
    if row.vanishing_below is not None and size < row.vanishing_below:
        if reference is not None and rms < VANISHING_SHARE * reference:
            return [Flag("vanishing", _against_near_loss(rms, reference))]
        dtype = "" if row.meta is None else row.meta.dtype
        return [Flag("vanishing", f"its RMS of {rms:.1e} is below the normal numbers of {dtype}")]
    return []


def _against_near_loss(rms: float, reference: float | None) -> str:
    return f"its RMS is {rms / (reference or 1.0):.1e} × that near the loss"


def _update_flags(ratio: float | None) -> list[Flag]:
    if ratio is None or UPDATE_TOO_SMALL <= ratio <= UPDATE_TOO_LARGE:
        return []
    text = f"one step moves it by {ratio:.1e} of its norm"
    return [Flag("update too large" if ratio > UPDATE_TOO_LARGE else "update too small", text)]


def _healthiest_weights(rows: Sequence[FlowRow], near: NearLoss) -> dict[str, float]:
    """For each module the largest RMS of its weights, as a share of that near the loss."""
    found: dict[str, float] = {}
    for row in rows:
        if is_bias(row) or not row.names or row.rms is None or near.weights is None:
            continue
        module = row.name.rpartition(".")[0]
        share = row.rms / near.weights
        if isfinite(share):
            found[module] = max(share, found.get(module, 0.0))
    return found


def _cancels(row: FlowRow, near: NearLoss, healthy: Mapping[str, float]) -> bool:
    """Whether a bias gets nothing though a weight of its module does.

    That is so where a constant cancels out: a bias before a normalisation, or that of the keys
    before the softmax of an attention. Its gradient is 0 but for rounding, which harms nothing.
    """
    module = row.name.rpartition(".")[0]
    # What belongs to the outermost module need not be of one layer.
    if not is_bias(row) or not row.names or not module or row.rms is None or not near.biases:
        return False
    weight = healthy.get(module, 0.0)
    return weight > VANISHING_SHARE and row.rms / near.biases < _CANCELLED_SHARE * weight


def format_share(share: float) -> str:
    """A share as a percentage that says 100% or 0% only where that is exact."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}" if not 0.01 < share < 0.99 else f"{share:.0%}"
