"""Saved files: the same graph comes back, and what is not ours is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, FileFormatError


@pytest.fixture
def graph() -> ia.Graph:
    """A graph that has a bit of everything."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    x = torch.randn(4, 2)
    y = model(x)
    index = torch.tensor([0, 1])
    return ia.capture(
        {'na"me': [y[index].sum(), None], "复杂": y.to(torch.complex64)},
        params=[*model.named_parameters(), ("输入 \ud800", x)],
        max_nodes=8,
    )


def test_round_trip(graph: ia.Graph, tmp_path: Path) -> None:
    path = graph.save(tmp_path / "g.json")
    assert path == tmp_path / "g.json"
    loaded = ia.load(path, ia.Graph)
    assert loaded == graph
    assert list(loaded.nodes) == list(graph.nodes)
    assert list(loaded.edges) == list(graph.edges)
    assert graph.truncation is not None
    assert graph.notes


def test_folded_graphs_come_back(tmp_path: Path) -> None:
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
    graph = ia.capture(model(torch.randn(1, 3, 8)).sum(), params=model)
    for folded in (graph.fold("scope", depth=2), graph.fold("repeat"), graph.fold("chain")):
        assert len(folded) < len(graph)
        assert ia.load(folded.save(tmp_path / "f.json")) == folded


def test_the_same_graph_gives_the_same_file(graph: ia.Graph, tmp_path: Path) -> None:
    first = graph.save(tmp_path / "a.json").read_bytes()
    assert ia.load(tmp_path / "a.json").save(tmp_path / "b.json").read_bytes() == first


def test_loading_needs_no_torch(graph: ia.Graph, tmp_path: Path) -> None:
    path = graph.save(tmp_path / "g.json")
    program = (
        "import sys, inspect_autograd as ia; g = ia.load(sys.argv[1]); print(len(g)); "
        "assert g.summary(); assert 'torch' not in sys.modules and 'rich' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(len(graph))


def test_saving_replaces_a_file_as_a_whole(graph: ia.Graph, tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    path.write_text("old")
    path.chmod(0o640)
    graph.save(path)
    assert ia.load(path) == graph
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.json"]


def test_a_link_stays_a_link(graph: ia.Graph, tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to(real)
    graph.save(link)
    assert link.is_symlink()
    assert ia.load(real) == graph


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("g.png", "ends in .json"),
        ("g", "ends in .json"),
        ("missing/g.json", "does not exist"),
        ("folder.json", "is a folder"),
    ],
)
def test_where_it_cannot_be_saved(graph: ia.Graph, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(ArgumentError, match=message):
        graph.save(tmp_path / name)


def test_a_path_that_is_none(graph: ia.Graph) -> None:
    with pytest.raises(ArgumentTypeError, match="path is 3 of type int"):
        graph.save(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not hold valid JSON"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "does not hold valid JSON"),
        (b"[" * 100_000, "does not hold valid JSON"),
        (b"[1, 2]", "not a graph, trace, recording or report saved by"),
        (b'{"nodes": []}', "not a graph, trace, recording or report saved by"),
        (b'{"format": "inspect_autograd.graph", "schema_version": 99}', "schema_version 99"),
        (b'{"format": "inspect_autograd.graph"}', "schema_version None"),
        (b'{"format": "inspect_autograd.graph", "schema_version": 1}', "damaged"),
    ],
)
def test_what_is_not_ours_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "g.json"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=message) as caught:
        ia.load(path)
    assert caught.value.remedy


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="no such file"):
        ia.load(tmp_path / "g.json")
    with pytest.raises(ArgumentError, match="cannot be read"):
        ia.load(tmp_path)


def damage(value: dict[str, Any], path: str, new: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        value = value[step]
    value[last] = new(value[last]) if callable(new) else new


@pytest.mark.parametrize(
    ("path", "new"),
    [
        ("edges.targets", lambda column: [999, *column[1:]]),
        ("edges.targets", lambda column: [-1, *column[1:]]),
        ("edges.targets", lambda column: column[1:]),
        ("edges.sources", lambda column: column[::-1]),
        ("edges.source_slots", lambda column: column[1:]),
        ("edges.sources", "text"),
        ("nodes.names", lambda column: column[1:]),
        ("nodes.receives", lambda column: [[77], *column[1:]]),
        ("nodes.saved", {"0": [["x", None, None, 555, "freed", []]]}),
        ("nodes.saved", {"0": [["x"]]}),
        ("nodes.scopes", {"12345": "layers"}),
        ("nodes.scopes", {"x": "layers"}),
        ("nodes.folds", {"0": []}),
        ("roots", [["", 4000, 0, None]]),
        ("roots", None),
        ("storages", [[1]]),
        ("metas", []),
    ],
)
def test_damaged_files_are_refused(graph: ia.Graph, tmp_path: Path, path: str, new: Any) -> None:
    file = graph.save(tmp_path / "g.json")
    value = json.loads(file.read_bytes().decode("utf-8", "surrogatepass"))
    damage(value, path, new)
    file.write_text(json.dumps(value))
    with pytest.raises(FileFormatError, match="damaged"):
        ia.load(file)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short(graph: ia.Graph, tmp_path: Path, keep: float) -> None:
    file = graph.save(tmp_path / "g.json")
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(FileFormatError, match="cut short"):
        ia.load(file)
