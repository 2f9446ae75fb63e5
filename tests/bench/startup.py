"""What importing the package and showing a file cost, as whole processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

import inspect_autograd as ia


def wall_seconds(command: list[str]) -> float:
    """Wall time of a process that must succeed."""
    start = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - start


def main() -> Iterator[str]:
    """Print times over a bare start of Python, in turn, round after round."""
    with tempfile.TemporaryDirectory() as folder:
        x = torch.arange(4.0, requires_grad=True)
        file = str(ia.capture(2 * torch.dot(x, x)).save(Path(folder) / "graph.json"))
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import inspect_autograd": [sys.executable, "-c", "import inspect_autograd"],
            "inspect-autograd show FILE": [sys.executable, "-m", "inspect_autograd", "show", file],
            "import torch": [sys.executable, "-c", "import torch"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(7):
            for name, command in commands.items():
                times[name].append(wall_seconds(command))
    base = median(times.pop("python -c pass"))
    yield f"bare start of Python: {base * 1e3:.0f} ms, which is 1.0 ({os.cpu_count()} cores)"
    for name, values in times.items():
        middle = median(values)
        over = (middle - base) * 1e3
        yield f"{name:<28} {middle / base:6.1f}   ({over:.0f} ms over a bare start)"
