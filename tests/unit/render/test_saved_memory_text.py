"""What is kept for backward as a table."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.graph.creation import Creation, SourceLine
from inspect_autograd.graph.records import Storage
from inspect_autograd.render.saved_memory_text import describe_sums, format_share
from tests.unit.graph.memory_graphs import graph_of, saved


def graph_of_model() -> ia.Graph:
    """Two layers; the first saves its input of 16 B, and both it and ReLU the one of 32 B."""
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    return ia.capture(model(torch.ones(2, 2)).exp().sum(), params=model)


def many(count: int) -> ia.SavedMemory:
    kept = [[saved(i, 1000 - i)] for i in range(count)]
    return graph_of(kept, [Storage(1000 - i) for i in range(count)]).saved_memory()


def test_the_table_as_a_whole() -> None:
    assert str(graph_of_model().saved_memory()) == (
        "Saved for backward by operation: 56 B of activations and 16 B of parameters\n"
        "\n"
        "operation       activations  alone  share of activations  parameters  nodes  tensors  "
        "largest\n"
        "AddmmBackward0         48 B   16 B   86% ████████▋              16 B      2        3  "
        "mat1: f32[2, 4] 32 B (#2)\n"
        "ReluBackward0          32 B    0 B   57% █████▊                           1        1  "
        "result: f32[2, 4] 32 B (#4)\n"
        "ExpBackward0            8 B    8 B   14% █▍                               1        1  "
        "result: f32[2, 1] 8 B (#1)\n"
        "\n"
        "activations 56 B = 24 B that rows hold alone + 32 B that several rows hold\n"
        "activations: in all, each storage once; alone: what autograd would let go of if only "
        "this row went\n"
        "parameters: memory of named tensors, which stays anyway"
    )


def test_the_headline_says_where_modules_come_from() -> None:
    graph = graph_of_model()
    assert str(graph.saved_memory("scope")).startswith(
        "Saved for backward by module (inferred from parameter names): 56 B of activations"
    )
    recorded = graph_of([[saved(0, 8)]], [Storage(8)], columns={"scopes": {0: "a"}})
    object.__setattr__(recorded, "scopes", "recorded")
    assert str(recorded.saved_memory("scope")).startswith(
        "Saved for backward by module (recorded): 8 B of activations\n"
    )


def test_rows_by_node_tell_module_and_line_where_they_are_known() -> None:
    columns: dict[str, Any] = {
        "scopes": {0: "", 1: "layer"},
        "creations": {1: Creation("f", SourceLine("/a/train.py", 7, "step"))},
    }
    graph = graph_of([[saved(0, 8)], [saved(1, 9)]], [Storage(8), Storage(9)], columns=columns)
    lines = str(graph.saved_memory("node")).splitlines()
    assert lines[2].split()[-4:] == ["tensors", "module", "line", "largest"]
    assert "nodes" not in lines[2]
    assert lines[3].split()[:2] == ["#1", "Op1Backward0"]
    assert " layer        train.py:7 " in lines[3]
    assert " (outermost)              self" in lines[4]
    assert str(graph.saved_memory("line")).splitlines()[3].startswith("train.py:7 in step ")


def test_what_is_not_counted_is_in_the_row_and_below() -> None:
    graph = graph_of([[saved(None, None, "packed"), saved(0, 8)], [saved(None, None, "freed")]],
                     [Storage(8)])  # fmt: skip
    lines = str(graph.saved_memory()).splitlines()
    assert " 2 (1 not counted)  self: u8[] 8 B (#0)" in lines[3]
    assert lines[4].split() == ["Op1Backward0", "1", "1", "(1", "not", "counted)"]
    assert lines[-2].startswith("note: 1 tensor packed by a hook")
    assert lines[-1].startswith("note: 1 tensor freed by a backward pass")


def test_parameters_alone_and_nothing() -> None:
    graph = graph_of([[saved(0, 8)]], [Storage(8, ("w",))])
    text = str(graph.saved_memory())
    assert text.startswith("Saved for backward by operation: 0 B of activations and 8 B of param")
    assert "alone" not in text
    assert str(graph_of([[]]).saved_memory()) == (
        "Saved for backward by operation: nothing\n"
        "\n"
        "note: no node saves a tensor, or the graph does not tell: one captured with "
        "saved=False, or of inspect_autograd.trace"
    )


def test_views_and_devices_stand_below() -> None:
    storages = [Storage(4096), Storage(2048), Storage(1024), Storage(512), Storage(8)]
    kept = [[saved(i, 8) for i in range(5)], [saved(0, 16)]]
    lines = str(graph_of(kept, storages).saved_memory()).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("views: 4 storages"))
    assert lines[start].endswith("look at a part only; 7.5 KiB of that is kept for nothing")
    assert lines[start + 1 :] == [
        "  4.0 KiB for self: u8[] 16 B of #1 Op1Backward0, and 1 more",
        "  2.0 KiB for self: u8[] 8 B of #0 Op0Backward0",
        "  1.0 KiB for self: u8[] 8 B of #0 Op0Backward0",
        "  … and 1 more; SavedMemory.views has all",
    ]
    memory = many(1)
    object.__setattr__(memory, "devices", {"cuda:0": 2048, "cpu": 1})
    assert "\ndevices: cuda:0 2.0 KiB, cpu 1 B" in str(memory)
    assert "devices" not in str(many(1))


def test_names_stay_in_one_line_and_bounded() -> None:
    names = ["a\nb", "x" * 500]
    graph = graph_of([[saved(0, 8)], [saved(0, 8)]], [Storage(8)], names)
    lines = str(graph.saved_memory()).splitlines()
    assert lines[3].startswith("a␊b ")
    assert len(lines[4].split()[0]) == 60


@pytest.mark.parametrize("max_lines", range(1, 60))
def test_the_text_is_never_longer_than_asked_for(max_lines: int) -> None:
    memory = many(40)
    full = memory.table(max_lines=46).splitlines()
    assert len(full) == 46
    lines = memory.table(max_lines=max_lines).splitlines()
    if max_lines >= 46:
        assert lines == full
        return
    assert len(lines) <= max_lines
    # The rows that are there are the first ones, and how to see the others is said.
    rows = [line.split()[0] for line in lines if line.startswith("Op")]
    assert rows == [f"Op{i}Backward0" for i in range(len(rows))]
    assert sum("table(max_lines=46) shows all" in line for line in lines) == 1


def test_how_much_the_left_out_rows_hold() -> None:
    lines = many(40).table(max_lines=20).splitlines()
    # 40 rows do not fit; rows 0 to 12 do, between 3 lines above and 4 below.
    rest = sum(1000 - i for i in range(13, 40))
    assert lines[16] == (
        f"… and 27 more rows, which hold {rest / 1024:.1f} KiB alone; table(max_lines=46) shows all"
    )
    assert lines[-1].startswith("activations: in all")
    assert "and 3 lines below the table" in many(40).table(max_lines=6)


@pytest.mark.parametrize(
    ("max_lines", "error"),
    [(0, ArgumentError), (True, ArgumentTypeError), (1.0, ArgumentTypeError)],
)
def test_bad_max_lines(max_lines: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"max_lines is .*\n  What to do: Give a number of lines"):
        many(1).table(max_lines=max_lines)


def test_shares_and_sums() -> None:
    assert [format_share(part, 1000) for part in (0, 1, 4, 5, 6, 995, 1000)] == [
        "0%", "<1%", "<1%", "<1%", "1%", "100%", "100%"
    ]  # fmt: skip
    assert describe_sums(many(1)) == "1000 B of activations"
