"""The lines that made live nodes."""

from __future__ import annotations

from ...events.recording import Recording
from ...graph.creation import SourceLine
from ..capture import LiveCapture
from ..private_torch import LiveNode

__all__ = ["LineFinder"]


class LineFinder:
    """Tells the line that made a node, where a recording saw it.

    An object of its own, so that who describes tensors does not hold who gathers the scene: that
    would be a cycle, which keeps the tensors until it is collected.

    Args:
        recording: What was seen.

    Attributes:
        live: The captured graph, whose nodes have their lines already.
    """

    def __init__(self, recording: Recording | None) -> None:
        self._recording = recording
        self.live: LiveCapture | None = None

    def find(self, node: LiveNode) -> SourceLine | None:
        """The line; None if it is not known."""
        id = None if self.live is None else self.live.ids.get(node)
        if self.live is not None and id is not None:
            creation = self.live.graph.node_table.creations.get(id)
        elif self._recording is not None:
            creation = self._recording.creation_of(node)
        else:
            creation = None
        return None if creation is None else creation.source
