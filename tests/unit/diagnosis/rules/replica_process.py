"""Runs training loops under DistributedDataParallel and prints what is said of their failures.

Only one process takes part: PyTorch raises these errors there too. Run as a module, since a
process group is the business of a whole process.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.utils.checkpoint as cp
from torch.nn.parallel import DistributedDataParallel

import inspect_autograd as ia


class Heads(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Linear(3, 3)
        self.spare = torch.nn.Linear(3, 1, bias=False)
        self.frozen = torch.nn.Linear(3, 1).requires_grad_(False)
        self.aux = torch.nn.Linear(3, 2, bias=False)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.body(x), self.aux(x)


class Blocks(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = torch.nn.Linear(3, 3)
        self.between = torch.nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = cp.checkpoint(self.block, x, use_reentrant=True)
        y: torch.Tensor = cp.checkpoint(self.block, self.between(x), use_reentrant=True)
        return y


def with_variables() -> None:
    model = DistributedDataParallel(Heads())
    for _ in range(2):
        out, aux = model(torch.randn(2, 3))
        loss = out.sum()
        loss.backward()
        assert aux.requires_grad


def without_variables() -> None:
    model = DistributedDataParallel(Heads())
    for _ in range(2):
        model(torch.randn(2, 3))[0].sum().backward()


def static() -> None:
    model = DistributedDataParallel(Heads(), static_graph=True)
    for step in range(3):
        model(torch.randn(2, 3))[step % 2].sum().backward()


def named_by_torch() -> None:
    dist.set_debug_level(dist.DebugLevel.DETAIL)  # type: ignore[attr-defined]
    try:
        without_variables()
    finally:
        dist.set_debug_level(dist.DebugLevel.OFF)  # type: ignore[attr-defined]


class Trainer:
    def __init__(self) -> None:
        self.replica = DistributedDataParallel(Heads())

    def run(self) -> None:
        for _ in range(2):
            self.replica(torch.randn(2, 3))[0].sum().backward()


def in_an_attribute() -> None:
    Trainer().run()


def twice() -> None:
    replica = DistributedDataParallel(Blocks())
    for _ in range(2):
        replica(torch.randn(2, 3, requires_grad=True)).sum().backward()


def twice_and_found_unused() -> None:
    replica = DistributedDataParallel(Blocks(), find_unused_parameters=True)
    for _ in range(2):
        replica(torch.randn(2, 3, requires_grad=True)).sum().backward()


PROGRAMS = (
    with_variables,
    without_variables,
    static,
    named_by_torch,
    in_an_attribute,
    twice,
    twice_and_found_unused,
)


def main(folder: str) -> None:
    """Print a JSON object with what is said of each program."""
    warnings.simplefilter("ignore")
    store = Path(folder) / "store"
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
    said: dict[str, Any] = {}
    for program in PROGRAMS:
        try:
            program()
        except RuntimeError as error:
            report = ia.explain(error)
            said[program.__name__] = {
                "slugs": [d.slug for d in report.diagnoses],
                "summary": report.diagnoses[0].summary if report.diagnoses else "",
                "evidence": [e.text for d in report.diagnoses for e in d.evidence],
                "codes": [h.code for d in report.diagnoses for h in d.hints],
                "certainty": [d.certainty for d in report.diagnoses],
            }
    dist.destroy_process_group()
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
