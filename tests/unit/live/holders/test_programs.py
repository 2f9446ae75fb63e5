"""graph_holders in programs of their own: the classic leaks, and graphs of extreme size."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

START = """
import gc
import torch
from torch import nn
import inspect_autograd as ia
"""


def run(tmp_path: Path, body: str) -> str:
    """What a script prints; fails if it does not end well."""
    script = tmp_path / "train.py"
    script.write_text(START + textwrap.dedent(body), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", str(script)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


def test_nothing_is_reported_when_nothing_is_held(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        """
        model = nn.LSTM(4, 4)
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(3):
            loss = model(torch.ones(2, 1, 4))[0].sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        del loss
        print(ia.graph_holders())
        """,
    )
    assert output == "no live autograd graph\n"


def test_the_classic_leak(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        """
        model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))

        def train_step(total):
            loss = model(torch.ones(4, 8)).pow(2).mean()
            loss.backward()
            return total + loss

        total = 0
        for _ in range(50):
            total = train_step(total)
        found = ia.graph_holders(params=model)
        print(found)
        (graph,) = found.graphs
        print(graph.growth.steps, graph.growth.terms, graph.leaf_count)
        del total
        print(ia.graph_holders())
        """,
    )
    lines = output.splitlines()
    assert lines[0].startswith("1 live autograd graph; saved for backward: ")
    assert "tensor f32[] from AddBackward0" in output
    assert "global total of module __main__ (train.py)" in output
    assert "50 additions in a chain add up 50 terms" in output
    assert "→ add numbers, not graphs: total += loss.item()" in output
    assert lines[-2:] == ["50 50 4", "no live autograd graph"]


def test_a_list_of_ten_thousand_losses(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        """
        w = torch.ones(3, requires_grad=True)
        losses = [(w * step).sum() for step in range(10_000)]
        found = ia.graph_holders()
        print(len(found), found.containers[0].tensors, len(str(found)) < 2000)
        print(found.graphs[9_999].tensors[0].holders[0].expression)
        """,
    )
    assert output.splitlines() == ["10000 10000 True", "losses[9999]"]


@pytest.mark.slow
def test_a_million_nodes(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        """
        from inspect_autograd.live.stepping_stones import drain
        y = torch.ones(1, requires_grad=True)
        for _ in range(1_000_000):
            y = y.neg()
        for _ in range(2):
            found = ia.graph_holders()
            print(len(found), found.graphs[0].node_count)
        del y
        print(len(ia.graph_holders()), drain())
        """,
    )
    assert output.splitlines() == ["1 1000001", "1 1000001", "0 True"]


def test_a_deep_accumulator_is_seen_and_freed(tmp_path: Path) -> None:
    output = run(
        tmp_path,
        """
        gc.disable()
        w = torch.ones(1, requires_grad=True)
        total = 0
        for step in range(100_000):
            total = total + w * step
        print(ia.graph_holders().graphs[0].growth)
        del total
        print(ia.graph_holders())
        """,
    )
    assert output.splitlines() == [
        "Growth(kind='sum', steps=100000, terms=100000)",
        "no live autograd graph",
    ]
