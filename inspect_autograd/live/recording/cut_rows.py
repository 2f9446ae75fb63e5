"""The cuts of a recording, one row for each place where they happen."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from ...events.effects import Cut, CutReason
from ...graph.tensor_meta import TensorMeta
from ..parameters import TensorNames
from .calls import Position
from .known_tensors import KnownTensor, KnownTensors
from .source_lines import SourceLines

__all__ = ["CutRow", "CutRows"]


@dataclass(slots=True, eq=False)
class CutRow:
    """One place: what is in `Cut`, in the form in which it is written.

    Rows live as long as the recording, since tensors that are followed refer to them. So a place
    has one row for ever, and what may grow from step to step is cleared by `drop_before`.

    Attributes:
        counts: How often it happened, by step.
        metas: The first tensor that came out in each of these steps.
        leaves: The leaves behind what went in.
        added: The last set that was added to these, and the generation of its bits, so that the
            same one is not added again.
        reached_in: The last step in which a loss was computed from what came out; -1 for none.
        left_in: The last step in which it left PyTorch; -1 for none.
    """

    reason: CutReason
    function: str
    position: Position | None
    scope: str | None
    counts: dict[int, int] = field(default_factory=dict)
    metas: dict[int, TensorMeta | None] = field(default_factory=dict)
    leaves: set[KnownTensor] = field(default_factory=set)
    added: tuple[int, int] = (0, 0)
    reached_in: int = -1
    left_in: int = -1

    @property
    def step(self) -> int:
        """The first step that is kept and in which it happened."""
        return next(iter(self.counts))


class CutRows:
    """All rows.

    Args:
        known: Has the leaves.
    """

    def __init__(self, known: KnownTensors) -> None:
        self._known = known
        self._rows: dict[Hashable, CutRow] = {}
        # By description and whether it was reached: what is left to say of leaves that are gone.
        self._gone: dict[Hashable, KnownTensor] = {}

    def note(
        self,
        place: tuple[CutReason, str, Position | None, str | None],
        step: int,
        meta: TensorMeta | None,
        mask: int,
    ) -> CutRow:
        """A cut happened."""
        row = self._rows.get(place)
        if row is None:
            row = self._rows.setdefault(place, CutRow(*place))
        count = row.counts.get(step)
        if count is None:
            row.metas[step] = meta
        row.counts[step] = (count or 0) + 1
        added = mask, self._known.generation
        if added != row.added:
            row.added = added
            row.leaves.update(self._known.members(mask))
        return row

    def drop_before(self, oldest: int) -> None:
        """Forget what happened before a step, and merge leaves that are gone."""
        dead = self._known.dead[:]
        del self._known.dead[: len(dead)]
        for row in self._rows.values():
            for step in [step for step in row.counts if step < oldest]:
                del row.counts[step], row.metas[step]
            self._merge(row.leaves, dead)

    def _merge(self, leaves: set[KnownTensor], dead: Iterable[KnownTensor]) -> None:
        for leaf in dead:
            if leaf in leaves:
                leaves.discard(leaf)
                leaves.add(self._gone.setdefault((leaf.label(), leaf.is_reached), leaf))

    def to_cuts(
        self, names: TensorNames, lines: SourceLines, oldest: int, *, has_passes: bool
    ) -> tuple[Cut, ...]:
        """All cuts of the steps that are kept: first those that cost a parameter its path.

        Args:
            names: All names.
            lines: Finds source lines.
            oldest: The first step that is kept.
            has_passes: Whether any backward pass began. Without one nothing is lost.
        """
        rows = [row for row in self._rows.values() if row.counts]
        rows.sort(key=lambda row: row.step)  # Within a step, in the order of their first time.
        for leaf in {leaf for row in rows for leaf in row.leaves}:
            leaf.refresh_names(names)
        cuts = [_to_cut(row, lines, oldest, has_passes) for row in rows]
        return tuple(sorted(cuts, key=lambda cut: not cut.lost))


def _to_cut(row: CutRow, lines: SourceLines, oldest: int, has_passes: bool) -> Cut:
    reaches = True if row.reached_in >= oldest else None if row.left_in >= oldest else False
    may_lose = has_passes and reaches is not False
    lost = _labels(leaf for leaf in row.leaves if not leaf.is_reached) if may_lose else ()
    return Cut(
        reason=row.reason,
        function=row.function,
        source=lines.find(row.position),
        scope=row.scope,
        count=sum(row.counts.values()),
        meta=row.metas[row.step],
        parameters=_labels(row.leaves),
        lost=lost,
        reaches_loss=reaches,
        step=row.step,
    )


def _labels(leaves: Iterable[KnownTensor]) -> tuple[str, ...]:
    return tuple(sorted({leaf.label() for leaf in leaves}))
