"""`inspect-autograd demo`: the main job from end to end."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.cli import examples
from inspect_autograd.cli.examples import transformer_loss

FILES = [
    "quadratic.png",
    "quadratic.svg",
    "transformer.png",
    "transformer.svg",
    "transformer_flow.png",
    "transformer.json",
    "transformer_step.json",
]


def test_it_shows_the_gradient_and_writes_the_pictures(process: Any, tmp_path: Path) -> None:
    ran = process("demo", "--out", "pictures", environment={"PYTHONWARNINGS": "error"})
    assert (ran.code, ran.err) == (0, "")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert "f(x) = 28" in lines
    assert "x.grad is None: no gradient was computed yet." in lines
    assert "x.grad               = [0, 4, 8, 12]" in lines
    assert any(line.startswith("4 · x, done by hand  = [0, 4, 8, 12] ") for line in lines)

    out = tmp_path / "pictures"
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES)
    for name in FILES:
        assert f"{Path('pictures') / name} " in ran.out
        content = (out / name).read_bytes()
        if name.endswith(".png"):
            assert content.startswith(b"\x89PNG\r\n\x1a\n")
            width, height = (int.from_bytes(content[i : i + 4]) for i in (16, 20))
            assert width > 100
            assert height > 200
        elif name.endswith(".svg"):
            text = content.decode()
            assert "<svg" in text
            assert ("encoder" if "transformer" in name else "DotBackward0") in text
    # The picture is folded, but the data are not.
    graph = ia.load(out / "transformer.json", ia.Graph)
    assert len(graph) > 150
    assert "encoder.layers.5.linear2.weight" in graph.parameters()
    assert any(line.startswith("Recording of 1 step, 1 backward pass, ") for line in lines)
    recording = ia.load(out / "transformer_step.json", ia.Recording)
    assert {write.tensor for write in recording.mutations} >= {"head.weight", "positions"}


def test_as_json(cli: Any, tmp_path: Path) -> None:
    ran = cli("demo", "--out", tmp_path / "new" / "folder", "--json")
    assert ran.code == 0
    assert ran.json["quadratic"] == {
        "x": [0, 1, 2, 3],
        "value": 28,
        "gradient": [0, 4, 8, 12],
        "nodes": ["MulBackward0", "DotBackward0", "AccumulateGrad"],
    }
    # Embedding, positions, 2 of the head, and per layer 4 of attention, 4 of the linear layers,
    # 4 of the norms.
    assert ran.json["transformer"]["parameters_reached"] == 4 + 6 * 12
    assert ran.json["step"] == {"passes": 1, "parameters_written": 4 + 6 * 12}
    assert [Path(path).name for path in ran.json["files"]] == FILES
    assert all(Path(path).is_file() for path in ran.json["files"])


def test_a_wrong_gradient_is_an_error(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.arange(4.0, requires_grad=True)
        return x, 2 * torch.dot(x, x.detach())

    monkeypatch.setattr(examples, "quadratic", wrong)
    ran = cli("demo", "--out", tmp_path)
    assert ran.code == 1
    assert "x.grad is [0.0, 2.0, 4.0, 6.0], but [0.0, 4.0, 8.0, 12.0] was expected" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ran = cli("demo", "--out", tmp_path / "file" / "out")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: [Errno ")


def test_the_transformer_is_the_same_every_time_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    (first, model), (second, _) = transformer_loss(2), transformer_loss(2)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, second)
    assert json.dumps(sorted(name for name, _ in model.named_parameters())).count("layers.1") == 12
