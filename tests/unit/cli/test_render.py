"""`inspect-autograd render`: files of every format, and what is said about them."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from tests.unit.recorded_models import capture_recorded

DEEP = """\
import torch
x = torch.ones(3, requires_grad=True)
y = x
for _ in range(400):
    y = y * 2
y = y.sum()
"""

BEGINNINGS = {
    "g.png": b"\x89PNG\r\n\x1a\n",
    "g.svg": b"<?xml",
    "g.pdf": b"%PDF-",
    "g.dot": b"digraph",
    "g.gv": b"digraph",
    "g.json": b"{",
}


@pytest.mark.parametrize("name", [*BEGINNINGS, "g.txt", "G.SVG"])
def test_every_format(cli: Any, quadratic: Path, tmp_path: Path, name: str) -> None:
    ran = cli("render", f"{quadratic}:y", "-o", tmp_path / name)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == str(tmp_path / name)
    assert lines[1] == ("3 nodes" if name == "g.json" else "3 nodes, shown as 3 boxes")
    content = (tmp_path / name).read_bytes()
    assert content.startswith(BEGINNINGS.get(name, b""))
    assert name.endswith((".png", ".pdf")) or b"DotBackward0" in content


def test_a_file_that_was_saved_can_be_drawn(cli: Any, quadratic: Path, tmp_path: Path) -> None:
    cli("render", f"{quadratic}:y", "-o", tmp_path / "g.json")
    assert [node.label for node in ia.load(tmp_path / "g.json", ia.Graph).nodes][-1] == "x"
    ran = cli("render", tmp_path / "g.json", "-o", tmp_path / "g.dot", "--title", "From a file")
    assert ran.code == 0
    assert "From a file" in (tmp_path / "g.dot").read_text(encoding="utf-8")


def test_the_line_of_each_node_on_request(cli: Any, tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    graph = capture_recorded(model, lambda: model(torch.ones(1, 2)).sum())
    path = graph.save(tmp_path / "recorded.json")
    (tanh,) = graph.find("Addmm*")
    assert tanh.source is not None
    line = f">f32[1, 2]<BR/>{tanh.source.short}<"
    for options, is_there in (([], False), (["--source"], True)):
        cli("render", path, "-o", tmp_path / "g.dot", *options)
        assert (line in (tmp_path / "g.dot").read_text(encoding="utf-8")) == is_there


def test_direction(cli: Any, quadratic: Path, trace_file: Path, tmp_path: Path) -> None:
    for target in (f"{quadratic}:y", trace_file):
        for options, expected in (([], "TB"), (["--direction", "right"], "LR")):
            assert cli("render", target, "-o", tmp_path / "g.dot", *options).code == 0
            text = (tmp_path / "g.dot").read_text(encoding="utf-8")
            assert f'rankdir="{expected}"' in text
    ran = cli("render", trace_file, "-o", tmp_path / "g.dot", "--direction", "left")
    assert ran.code == 2
    assert "invalid choice: 'left'" in ran.err


def test_what_was_folded_is_said(cli: Any, write: Any, tmp_path: Path) -> None:
    path = write("deep.py", DEEP)
    # The sum, 400 multiplications and the leaf; the multiplications are one chain.
    ran = cli("render", f"{path}:y", "-o", tmp_path / "g.dot")
    lines = ran.out.splitlines()
    assert lines[1].startswith("402 nodes, shown as ")
    assert int(lines[1].split()[-2]) <= 3
    assert "1 linear chain" in lines[2]
    data = cli("render", f"{path}:y", "-o", tmp_path / "g.dot", "--json").json
    assert (data["nodes"], data["path"]) == (402, str(tmp_path / "g.dot"))
    assert data["boxes"] <= 3
    assert data["remarks"][0] == lines[2]

    full = cli("render", f"{path}:y", "-o", tmp_path / "g.dot", "--view", "full")
    assert full.out.splitlines()[1] == "402 nodes, shown as 402 boxes"


def test_saved_tensors_and_attributes(cli: Any, write: Any, tmp_path: Path) -> None:
    path = write(
        "soft.py",
        "import torch\nx = torch.ones(2, 3, requires_grad=True)\ny = torch.softmax(x, 1)\n",
    )
    out = tmp_path / "g.dot"
    assert "2 boxes" in cli("render", f"{path}:y", "-o", out).out
    plain = out.read_text(encoding="utf-8")
    # The softmax, x, and the result that softmax saves.
    assert "3 boxes" in cli("render", f"{path}:y", "-o", out, "--saved", "--attributes").out
    more = out.read_text(encoding="utf-8")
    assert ("dim = 1" in more, "24 B" in more) == (True, True)
    assert len(more) > len(plain)


def test_max_nodes_is_said(cli: Any, quadratic: Path, tmp_path: Path) -> None:
    ran = cli("render", f"{quadratic}:y", "-o", tmp_path / "g.txt", "--max-nodes", 2)
    assert "cut at max_nodes=2" in ran.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "g.gif"], "--out is 'g.gif', which has the suffix '.gif'"),
        (["-o", "graph"], "--out is 'graph', which has no suffix"),
        (["-o", "no_such_folder/g.png"], "the folder 'no_such_folder' does not exist"),
        (["-o", "g.png", "--timeout", "0"], "'0' is not a number of seconds above 0"),
        (["-o", "g.png", "--timeout", "nan"], "'nan' is not a number of seconds above 0"),
        (["-o", "g.png", "--view", "all"], "invalid choice: 'all'"),
        ([], "the following arguments are required: -o/--out"),
    ],
)
def test_mistakes_are_found_before_the_target_runs(
    cli: Any, write: Any, options: list[str], message: str
) -> None:
    path = write("slow.py", "raise RuntimeError('ran')\n")
    ran = cli("render", f"{path}:y", *options)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert message in cli("render", f"{path}:y", *options, "--json").error["message"]


def test_a_layout_that_takes_too_long_fails(cli: Any, write: Any, tmp_path: Path) -> None:
    path = write("deep.py", DEEP)
    options = ("-o", tmp_path / "g.svg", "--view", "full", "--timeout", "0.001")
    ran = cli("render", f"{path}:y", *options)
    assert (ran.code, ran.out) == (1, "")
    assert "did not finish within timeout=0.001 seconds" in ran.err
    assert cli("render", f"{path}:y", *options, "--json").error["type"] == "LayoutTimeoutError"
    assert not (tmp_path / "g.svg").exists()


def test_a_saved_file_is_drawn_without_torch(process: Any, quadratic: Path, cli: Any) -> None:
    cli("render", f"{quadratic}:y", "-o", quadratic.with_name("g.json"))
    # A torch that cannot be imported takes the place of the real one.
    quadratic.with_name("torch.py").write_text("raise ImportError('no torch here')\n")
    ran = process("render", "g.json", "-o", "g.svg", environment={"PYTHONPATH": "."})
    assert (ran.code, ran.err) == (0, "")


# -- traces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["g.png", "g.svg", "g.pdf", "g.dot", "g.txt"])
def test_a_trace_in_every_format(
    cli: Any, trace_file: Path, log_file: Path, tmp_path: Path, name: str
) -> None:
    for source in (trace_file, log_file):
        ran = cli("render", source, "-o", tmp_path / name)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out == f"{tmp_path / name}\n3 nodes, shown as 3 boxes\n"
        content = (tmp_path / name).read_bytes()
        assert content.startswith(BEGINNINGS.get(name, b""))
        # The order in which it ran.
        assert name.endswith((".png", ".pdf")) or b"1. DotBackward0" in content


def test_title_view_and_data_of_a_trace(cli: Any, two_passes: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.dot"
    ran = cli("render", two_passes, "-o", out, "--title", "Twice", "--view", "chain", "--json")
    assert ran.code == 0
    nodes = len(ia.load(two_passes, ia.Trace).graph)
    assert (ran.json["nodes"], ran.json["events"], ran.json["passes"]) == (nodes, 7, 2)
    assert (ran.json["path"], ran.json["boxes"] < nodes) == (str(out), True)
    folded = out.read_text(encoding="utf-8")
    # The second pass goes through four nodes in a line.
    assert ("Twice" in folded, "2–5. chain of 4" in folded) == (True, True)
    cli("render", two_passes, "-o", out, "--view", "full")
    assert "chain of 4" not in out.read_text(encoding="utf-8")


def test_a_pass_of_a_trace(cli: Any, two_passes: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.dot"
    ran = cli("render", two_passes, "-o", out)
    assert ran.out.endswith("\npass 1 is drawn, the last one; --pass N draws another one\n")
    assert "Pass 1 of passes 0 to 1" in out.read_text(encoding="utf-8")
    ran = cli("render", two_passes, "-o", out, "--pass", 0)
    assert ran.out.endswith("boxes\n")
    assert "Pass 0 of passes 0 to 1" in out.read_text(encoding="utf-8")
    ran = cli("render", two_passes, "-o", out, "--pass", 2)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: --pass is 2, but this trace has the passes 0 to 1\n")


def test_the_timeline_of_a_trace(cli: Any, trace_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.chrome.json"
    ran = cli("render", trace_file, "-o", out)
    assert ran.out == (
        f"{out}\n3 nodes, 3 events\na timeline: open it in https://ui.perfetto.dev\n"
    )
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written == ia.load(trace_file, ia.Trace).to_chrome_trace()


def test_a_log_becomes_a_trace(cli: Any, log_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.json"
    ran = cli("render", log_file, "-o", out)
    assert ran.out == f"{out}\n3 nodes, 3 events\n"
    assert ia.load(out) == ia.load(log_file)
    assert "trace-log" not in out.read_text(encoding="utf-8")


@pytest.fixture
def targets(trace_file: Path, graph_file: Path, write: Any) -> dict[str, object]:
    """One of each kind; the code must not run."""
    code = write("slow.py", "raise RuntimeError('ran')\n")
    return {"trace": trace_file, "graph": graph_file, "code": f"{code}:y"}


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("trace", ["-o", "g.png", "--saved"], "--saved is for a graph, but "),
        ("trace", ["-o", "g.png", "--attributes"], "--attributes is for a graph, but "),
        ("trace", ["-o", "g.json", "--pass", "0"], "--pass chooses what is drawn, but g.json"),
        ("trace", ["-o", "g.jsonl"], "--out is 'g.jsonl', which has the suffix '.jsonl'"),
        ("trace", ["-o", "g.png", "--pass", "x"], "'x' is not the number of a pass"),
        ("trace", ["-o", "g.png", "--max-nodes", "2"], "--max-nodes bounds what is captured"),
        ("graph", ["-o", "g.png", "--pass", "0"], "--pass is for a trace, but "),
        ("graph", ["-o", "g.chrome.json"], "--out is 'g.chrome.json', a timeline, but "),
        ("code", ["-o", "g.png", "--pass", "0"], "--pass is for a trace, but "),
        ("code", ["-o", "g.chrome.json"], "--out is 'g.chrome.json', a timeline, but "),
    ],
)
def test_mistakes_about_traces(
    cli: Any, targets: dict[str, object], source: str, options: list[str], message: str
) -> None:
    ran = cli("render", targets[source], *options)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert message in cli("render", targets[source], *options, "--json").error["message"]
    assert not Path(options[1]).exists()


def test_a_trace_is_drawn_without_torch(process: Any, trace_file: Path) -> None:
    trace_file.with_name("torch.py").write_text("raise ImportError('no torch here')\n")
    for out in ("g.svg", "g.json", "g.chrome.json"):
        ran = process("render", trace_file.name, "-o", out, environment={"PYTHONPATH": "."})
        assert (ran.code, ran.err) == (0, "")
