"""Every view of a trace, of what is wrong with it, and of logs that end too early."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia


def without_times(text: str) -> list[str]:
    return [re.sub(r"\s+[\d.]+ (ns|µs|ms|s)$| +time$", "", line) for line in text.splitlines()]


# -- the table -------------------------------------------------------------------------------------


def test_the_table(cli: Any, trace_file: Path) -> None:
    ran = cli("show", trace_file)
    assert (ran.code, ran.err) == (0, "")
    lines = without_times(ran.out)
    assert lines[1].startswith("backward() at conftest.py:")
    assert lines[2:] == [
        "order  node          received     returned",
        "    0  MulBackward0  f32[] |1|    f32[] |2|, none",
        "    1  DotBackward0  f32[] |2|    f32[4] |7.48| ×2",
        "    2  x             f32[4] |15|  into .grad",
        "completed: 3 events, every gradient is finite",
    ]


def test_the_log_shows_the_same(cli: Any, trace_quadratic: Any, tmp_path: Path) -> None:
    path = trace_quadratic("same.json", log=tmp_path / "same.jsonl")
    assert cli("show", tmp_path / "same.jsonl").out == cli("show", path).out


def test_find(cli: Any, trace_file: Path) -> None:
    lines = without_times(cli("show", trace_file, "--find", "Dot*").out)
    assert [line for line in lines if "Backward0 " in line and "order" not in line][-1] == (
        "    1  DotBackward0  f32[] |2|  f32[4] |7.48| ×2"
    )
    assert "shown: 1 of 3 events, those of nodes that match 'Dot*'" in lines
    data = cli("show", trace_file, "--find", "Dot*", "--json").json
    assert (data["pattern"], data["found"]) == ("Dot*", 1)
    assert [event["label"] for event in data["events"]] == ["DotBackward0"]


def test_find_nothing_says_what_there_is(cli: Any, trace_file: Path) -> None:
    ran = cli("show", trace_file, "--find", "Mul")
    assert ran.code == 0
    assert ran.out == (
        "0 of 3 nodes match 'Mul'\n"
        "There are MulBackward0, DotBackward0, AccumulateGrad. "
        'A glob with stars matches parts of a name: "*Mul*".\n'
    )
    assert cli("show", trace_file, "--find", "Mul", "--json").json["events"] == []


def test_find_what_did_not_run(cli: Any, tmp_path: Path) -> None:
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = (x * w).sum()
    with ia.trace(y, params={"x": x, "w": w}) as trace:
        y.backward(inputs=[w])
    path = trace.save(tmp_path / "part.json")
    assert cli("show", path, "--find", "x").out == (
        "1 of 4 nodes matches 'x', but it did not run\n"
    )
    assert "into .grad" in cli("show", path, "--find", "w").out


def test_what_grad_returned_is_found_though_no_node_ran(cli: Any, two_passes: Path) -> None:
    out = cli("show", two_passes, "--find", "x").out
    assert "to the caller" in out
    assert "into .grad" in out


def test_a_long_table_is_cut_and_says_so_in_words_of_the_command_line(
    cli: Any, tmp_path: Path
) -> None:
    x = torch.ones(2, requires_grad=True)
    y = x
    for _ in range(50):
        y = y * 1.0
    y = y.sum()
    with ia.trace(y, params={"x": x}) as trace:
        y.backward()
    path = trace.save(tmp_path / "long.json")
    # The sum, 50 products, x: 52 events, with their title, the pass, the end and a line on top.
    lines = cli("show", path, "--max-lines", 20).out.splitlines()
    assert len(lines) == 20
    assert lines[-1].endswith('; --max-lines 56 shows all, --find "…" some')
    assert len(cli("show", path).out.splitlines()) == 56
    data = cli("show", path, "--max-lines", 20, "--json").json
    assert data["found"] == 52
    orders = [event["order"] for event in data["events"]]
    assert len(orders) <= 20
    assert (orders[0], orders[-1]) == (0, 51)


# -- NaN -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--find", "x"], ["--find", "nothing"]])
def test_where_nan_was_born(cli: Any, nan_file: Path, options: list[str]) -> None:
    ran = cli("show", nan_file, *options)
    assert ran.code == 0
    table, _, report = ran.out.partition("\n\n")
    trace = ia.load(nan_file, ia.Trace)
    assert report == f"{trace.first_nonfinite()}\n"
    assert report.startswith("NaN was born at #2 SqrtBackward0 (event 2 of pass 0, conftest.py:")
    if not options:
        assert table.endswith(
            "! marks what is not finite: 2 events, the first is SqrtBackward0 (order 2); see below"
        )


def test_where_nan_was_born_as_data(cli: Any, nan_file: Path, trace_file: Path) -> None:
    report = cli("show", nan_file, "--json").json["first_nonfinite"]
    assert (report["kind"], report["node"], report["rule"]) == ("born", 2, "zero-times-inf")
    assert report["reached"] == ["x"]
    assert cli("show", trace_file, "--json").json["first_nonfinite"] is None


def test_names_cannot_act_on_the_terminal(cli: Any, tmp_path: Path) -> None:
    x = torch.tensor([0.0], requires_grad=True)
    y = x.sqrt().sum()
    with ia.trace(y, params={"\x1b[31mx": x}) as trace:
        y.backward()
    path = trace.save(tmp_path / "escape.json")
    for options in ([], ["--flow"], ["--slowest"], ["--node", "2"]):
        out = cli("show", path, *options).out
        assert ("\x1b" in out, "␛[31mx" in out) == (False, True)


def test_a_trace_without_numbers_has_no_report(cli: Any, trace_quadratic: Any) -> None:
    path = trace_quadratic("meta.json", stats="meta")
    ran = cli("show", path)
    assert ran.code == 0
    assert ran.out.endswith("completed: 3 events\n")
    assert cli("show", path, "--json").json["first_nonfinite"] is None


# -- one node, the slowest -------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["1", "#1"])
def test_node(cli: Any, trace_file: Path, id: str) -> None:
    out = cli("show", trace_file, "--node", id).out
    assert out.startswith("#1 DotBackward0\n")
    assert "  input 0  to #2 x\n  input 1  to #2 x\n" in out
    assert without_times(out)[-3:] == [
        "ran",
        "  order  node          received   returned",
        "      1  DotBackward0  f32[] |2|  f32[4] |7.48| ×2",
    ]
    data = cli("show", trace_file, "--node", id, "--json").json
    assert (data["node"]["name"], data["found"]) == ("DotBackward0", 1)
    assert data["events"][0]["received"][0]["l2"] == 2.0
    assert data["events"][0]["is_finite"] is True


def test_a_node_that_ran_in_another_pass_than_the_first(cli: Any, two_passes: Path) -> None:
    # x gets its gradient in the second pass only: the first one returned it to the caller.
    trace = ia.load(two_passes, ia.Trace)
    leaf = next(node for node in trace.graph.nodes if node.label == "x")
    assert "      6     1  x " in cli("show", two_passes, "--node", leaf.id).out


def test_a_node_that_ran_often_is_cut(cli: Any, tmp_path: Path) -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * 2).sum()
    with ia.trace(y, params={"x": x}) as trace:
        for _ in range(3):
            y.backward(retain_graph=True)
    path = trace.save(tmp_path / "often.json")
    out = cli("show", path, "--node", 0, "--max-lines", 1).out
    assert out.endswith("\n  … and 2 more times\n")
    data = cli("show", path, "--node", 0, "--max-lines", 1, "--json").json
    assert (data["found"], len(data["events"])) == (3, 1)


def test_a_node_that_did_not_run_or_is_not_there(
    cli: Any, tmp_path: Path, trace_file: Path
) -> None:
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = (x * w).sum()
    with ia.trace(y, params={"x": x, "w": w}) as trace:
        y.backward(inputs=[w])
    path = trace.save(tmp_path / "part.json")
    leaf = next(node for node in trace.graph.nodes if node.label == "x")
    assert cli("show", path, "--node", leaf.id).out.endswith("\n\ndid not run in this trace\n")
    ran = cli("show", trace_file, "--node", 3)
    assert ran.code == 2
    assert ran.err.startswith("error: there is no node 3: this graph has the nodes 0 to 2\n")
    assert "--json" in ran.err


def test_slowest(cli: Any, trace_file: Path) -> None:
    trace = ia.load(trace_file, ia.Trace)
    slowest = [event.order for event in trace.slowest(2)]
    durations = trace.data.table.durations_ns
    assert sorted(durations)[-2:] == [durations[slowest[1]], durations[slowest[0]]]
    lines = cli("show", trace_file, "--slowest", 2).out.splitlines()
    assert [int(line.split()[0]) for line in lines[1:-1]] == slowest
    assert lines[-1] == "the 2 nodes that took longest, of 3 events"
    assert len(cli("show", trace_file, "--slowest").out.splitlines()) == 5
    assert cli("show", trace_file, "--slowest", 1).out.endswith(
        "\nthe node that took longest, of 3 events\n"
    )
    data = cli("show", trace_file, "--slowest", 2, "--json").json["slowest"]
    assert [event["order"] for event in data] == slowest


def test_slowest_marks_what_is_not_finite(cli: Any, nan_file: Path) -> None:
    rows = cli("show", nan_file, "--slowest").out.splitlines()[1:-1]
    assert sorted(row.startswith("!") for row in rows) == [False, False, True, True]


# -- gradient flow ---------------------------------------------------------------------------------


def test_flow(cli: Any, trace_file: Path) -> None:
    ran = cli("show", trace_file, "--flow")
    trace = ia.load(trace_file, ia.Trace)
    assert (ran.code, ran.out) == (0, f"{trace.gradient_flow()}\n")
    data = cli("show", trace_file, "--flow", "--json").json["flow"]
    assert (data["by"], data["flag_counts"]) == ("parameter", {})
    assert data["rows"][0]["name"] == "x"
    assert data["rows"][0]["l2"] == pytest.approx(224**0.5)


def test_flow_by_module_with_a_learning_rate(cli: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    loss = model(torch.ones(4, 3)).sum()
    with ia.trace(loss, params=model) as trace:
        loss.backward()
    path = trace.save(tmp_path / "model.json")
    ran = cli("show", path, "--flow", "module", "--learning-rate", "0.5")
    assert ran.out == f"{trace.gradient_flow(by='module', learning_rate=0.5)}\n"
    assert "update: 0.5 · |gradient| / |parameter|" in ran.out
    data = cli("show", path, "--flow", "module", "--learning-rate", "5e-1", "--json").json["flow"]
    assert [row["name"] for row in data["rows"]] == ["0", "1"]
    assert data["learning_rate"] == 0.5


def test_flow_of_a_pass(cli: Any, two_passes: Path) -> None:
    # 3x² = [3, 12], 6x = [6, 12]: norms sqrt(153) = 12.4 and sqrt(180) = 13.4.
    first = cli("show", two_passes, "--flow", "--pass", 0).out
    assert "1.24e+01" in first
    assert "note: one of 2 passes; --pass chooses another\n" in first
    assert "1.34e+01" in cli("show", two_passes, "--flow").out
    ran = cli("show", two_passes, "--flow", "--pass", 2)
    assert (ran.code, ran.out) == (2, "")
    assert "--pass is 2, but this trace has the passes 0 to 1" in ran.err


def test_flow_without_numbers_or_passes(cli: Any, trace_quadratic: Any, tmp_path: Path) -> None:
    ran = cli("show", trace_quadratic("meta.json", stats="meta"), "--flow")
    assert ran.code == 2
    assert 'the trace was made with stats="meta"' in ran.err
    x = torch.ones(1, requires_grad=True)
    y = x * 2
    with ia.trace(y) as trace:
        pass
    path = trace.save(tmp_path / "nothing.json")
    assert cli("show", path).out.startswith("nothing ran")
    assert cli("show", path, "--slowest").out == "no node ran\n"
    assert "the trace has no backward pass" in cli("show", path, "--flow").err
    ran = cli("show", path, "--flow", "--pass", 0)
    assert ran.err == "error: --pass is 0, but this trace has no pass, as no backward pass ran\n"


# -- logs that end too early -----------------------------------------------------------------------

CRASHES = """\
import os
import torch
import inspect_autograd as ia
x = torch.arange(4.0, requires_grad=True)
z = x * 3
z.register_hook(lambda gradient: os._exit(7))
y = 2 * torch.dot(z, z)
with ia.trace(y, params={"x": x}, log="crash.jsonl"):
    y.backward()
"""


def test_a_process_that_crashed(cli: Any, write: Any, tmp_path: Path) -> None:
    write("crashes.py", CRASHES)
    done = subprocess.run([sys.executable, "crashes.py"], cwd=tmp_path, check=False, timeout=120)
    assert done.returncode == 7
    ran = cli("show", tmp_path / "crash.jsonl")
    assert ran.code == 0
    assert "DotBackward0  f32[] |2|" in ran.out
    assert ran.out.endswith(
        "running: 2 events so far; the log ends here: the process was ended or is still running\n"
    )
    data = cli("show", tmp_path / "crash.jsonl", "--json").json
    assert (data["outcome"]["status"], data["found"]) == ("running", 2)


def test_a_log_cut_in_the_middle_of_a_line(cli: Any, log_file: Path) -> None:
    lines = log_file.read_bytes().splitlines(keepends=True)
    event = next(
        i for i, line in enumerate(lines) if b"DotBackward0" in line and b'"order"' in line
    )
    log_file.write_bytes(b"".join(lines[:event]) + lines[event][:-30])
    ran = cli("show", log_file)
    assert ran.code == 0
    assert "running: 1 event so far; the log ends here" in ran.out


def test_a_log_without_a_graph(cli: Any, log_file: Path) -> None:
    log_file.write_bytes(log_file.read_bytes().partition(b"\n")[0])
    ran = cli("show", log_file)
    assert (ran.code, ran.out) == (2, "")
    assert "it ends before the graph" in ran.err


def test_a_timeline_cannot_be_read_back(cli: Any, trace_quadratic: Any) -> None:
    ran = cli("show", trace_quadratic("t.chrome.json"))
    assert ran.code == 2
    assert "https://ui.perfetto.dev" in ran.err
