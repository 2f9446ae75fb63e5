"""Check: one finding of `inspect-autograd doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "State"]

State = Literal["ok", "limited", "optional", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        group: The heading that it stands under.
        name: What was looked at.
        state: `ok`; `limited`, something works less well without it; `optional`, it is not there
            and only needed for what `detail` says; `failed`, the main job does not work.
        detail: What was found.
        remedy: What to do about it; empty if there is nothing to do.
    """

    group: str
    name: str
    state: State
    detail: str
    remedy: str = ""
