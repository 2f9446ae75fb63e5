"""The scripts run as they are, from any folder, and show what they say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import inspect_autograd as ia

SCRIPTS = Path(__file__).parents[2] / "scripts"
MAX_LINES = 140


def run(name: str, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPTS / name, *arguments],
        cwd=folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")
    return done.stdout.decode()


def test_trace_quadratic(tmp_path: Path) -> None:
    printed = run("trace_quadratic.py", tmp_path)
    lines = printed.splitlines()
    assert lines[0] == "x          = [0.0, 1.0, 2.0, 3.0]"
    assert "x.grad     = None (no gradient was computed yet)" in lines
    assert "f(x)       = 28.0" in lines
    assert "DotBackward0    receives 2.0 and multiplies it by x, once per argument" in lines
    assert "x.grad     = [0.0, 4.0, 8.0, 12.0] (after y.backward())" in lines
    assert printed.index("MulBackward0") < printed.index("DotBackward0")
    assert (tmp_path / "out" / "quadratic.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_render_model(tmp_path: Path) -> None:
    printed = run("render_model.py", tmp_path, "--out", "elsewhere", "--blocks", "4")
    out = tmp_path / "elsewhere"
    # A linear layer, then 4 blocks of a norm and 2 linear layers, each with a weight and a bias.
    assert "leaves  26, of which 26 named" in printed
    assert (out / "model.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert "<svg" in (out / "model_full.svg").read_text(encoding="utf-8")
    assert json.loads((out / "model.json").read_text(encoding="utf-8"))["schema_version"]


def test_trace_backward(tmp_path: Path) -> None:
    printed = run("trace_backward.py", tmp_path)
    lines = [line.strip() for line in printed.splitlines()]
    assert "x.grad: [0.0, 4.0, 8.0, 12.0], as worked out by hand" in lines
    # The gradients of the sum, and of a vector of ones given as the gradient argument.
    for what in ("x.grad of the sum", "x.grad of the ones"):
        assert f"{what}: [0.0, 4.0, 8.0, 12.0], as worked out by hand" in lines
    # 1 · [0, 2, 4, 6] + 10 · [1, 1, 1, 1], the rows of the Jacobian with their weights.
    assert "v = [1.0, 10.0]: x.grad = v·J: [10.0, 12.0, 14.0, 16.0], as worked out by hand" in lines
    assert any(line.startswith("0  NllLossBackward0  receives f32[] |1|") for line in lines)
    assert "first NaN or Inf: None" in lines
    out = tmp_path / "out"
    assert (out / "network_flow.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    trace = ia.load(out / "network.json")
    assert isinstance(trace, ia.Trace)
    assert ia.load(out / "network.jsonl") == trace
    assert json.loads((out / "network.chrome.json").read_text(encoding="utf-8"))["traceEvents"]


def test_record_training_step(tmp_path: Path) -> None:
    printed = run("record_training_step.py", tmp_path)
    lines = [line.strip() for line in printed.splitlines()]
    # Per block 2 norms and 4 linear layers, each with a weight and a bias; then norm, head, tables.
    assert "parameters: 42, as worked out by hand" in lines
    # 4 sequences of 12 words, 4 · 32 numbers each, of 4 bytes.
    assert "bytes that the GELU of a block keeps: 24576, as worked out by hand" in lines
    assert any(line.startswith("1 cut of the graph that cost nothing") for line in lines)
    assert any(line.startswith("Saved for backward by line: ") for line in lines)
    assert any(
        line.startswith("GeluBackward0 in blocks.0.mlp.1: torch.nn.functional.gelu at record_")
        for line in lines
    )
    out = tmp_path / "out"
    assert (out / "transformer_step.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    recording = ia.load(out / "transformer_step.json", ia.Recording)
    assert "\n".join(str(recording).splitlines()[:3]) in printed
    # Every parameter, and nothing else, was written, each by the optimizer.
    written = {write.tensor for write in recording.mutations if "AdamW" in write.function}
    assert len(written - {""}) == 42
    events = json.loads((out / "transformer_step.chrome.json").read_text(encoding="utf-8"))
    names = {event["name"] for event in events["traceEvents"]}
    assert {"step 0", "blocks.2.attention", "backward()"} <= names


def test_nonscalar_backward(tmp_path: Path) -> None:
    printed = run("nonscalar_backward.py", tmp_path)
    lines = [line.strip() for line in printed.splitlines()]
    assert "StackBackward0 would have received the gradient: f32[3], three numbers" in lines
    assert any("[non-scalar-output]" in line for line in lines)
    # 2 · [0, 2, 4, 6] - [1, 1, 1, 1] + [3, 0, 0, 0], the rows of the Jacobian with their weights.
    for what in ("x.grad", "v·J"):
        text = f"v = [2.0, -1.0, 1.0]: {what}: [2.0, 3.0, 7.0, 11.0], as worked out by hand"
        assert text in lines
    for what in ("y.sum()", "y, torch.ones_like(y)", "3 * y.mean()"):
        assert f"{what}: [4.0, 3.0, 5.0, 7.0], as worked out by hand" in lines
    assert "from y.sum(): 5 products of a vector and a matrix, a pass over the graph" in lines
    assert "the whole Jacobian: 320 such products, 64 passes" in lines
    picture = tmp_path / "out" / "nonscalar_backward.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("path", sorted(SCRIPTS.glob("*.py")), ids=lambda path: path.name)
def test_a_script_is_short_and_says_what_it_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES
    assert f"python scripts/{path.name} [--out FOLDER]" in text
