"""`inspect-autograd compare`: the report, the exit codes, and what is no trace."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia


def test_the_same(cli: Any, trace_file: Path, log_file: Path) -> None:
    ran = cli("compare", trace_file, log_file)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "Traces are the same: 3 events, within the tolerances\n"
        "\n"
        f"a: {trace_file} (3 events)\n"
        f"b: {log_file} (3 events)\n"
        "structure: identical; events matched by position in the graph\n"
        "tolerances: rtol=1e-05, atol=1e-08\n"
    )


def test_different(cli: Any, trace_file: Path, trace_quadratic: Any) -> None:
    other = trace_quadratic("other.json", 3.0)
    ran = cli("compare", trace_file, other)
    assert (ran.code, ran.err) == (1, "")
    # The product with 2 returns 2, that with 3 returns 3.
    assert ran.out.startswith(
        "Traces differ first at #0 MulBackward0: returned[0] |2| against |3|, "
        "relative difference 0.33\n"
    )
    assert f"\na: {trace_file} (3 events)\nb: {other} (3 events)\n" in ran.out


def test_as_data(cli: Any, trace_file: Path, trace_quadratic: Any) -> None:
    ran = cli("compare", trace_file, trace_file, "--json")
    assert ran.code == 0
    assert (ran.json["same"], ran.json["matched"]) == (True, 3)
    assert (ran.json["a"], ran.json["structure"]) == (str(trace_file), "identical")

    ran = cli("compare", trace_file, trace_quadratic("other.json", 3.0), "--json")
    assert ran.code == 1
    assert (ran.json["same"], ran.json["difference_count"]) == (False, 3)
    first = ran.json["differences"][0]
    assert (first["name"], first["upstream"]) == ("MulBackward0", "same received")
    assert (first["gradient"]["value_a"], first["gradient"]["value_b"]) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 1),
        (["--rtol", "1e-2"], 0),  # 2 and 2.01 differ by half a percent.
        (["--rtol", "1e-3"], 1),
        (["--rtol", "0", "--atol", "0.1"], 0),  # The gradient of x by 0.01 · |2x| = 0.075.
        (["--rtol", "0", "--atol", "0.02"], 1),
        (["--rtol=0", "--atol=0"], 1),
    ],
)
def test_tolerances(
    cli: Any, trace_file: Path, trace_quadratic: Any, options: list[str], code: int
) -> None:
    other = trace_quadratic("other.json", 2.01)
    assert cli("compare", trace_file, other, *options).code == code
    assert cli("compare", trace_file, trace_file, *options).code == 0


def test_other_structure_is_a_difference(cli: Any, trace_file: Path, nan_file: Path) -> None:
    ran = cli("compare", trace_file, nan_file)
    assert ran.code == 1
    assert "structure: node #0 is MulBackward0 in a and SumBackward0 in b" in ran.out


def test_a_crashed_run_differs_from_one_that_came_to_its_end(
    cli: Any, trace_file: Path, log_file: Path
) -> None:
    lines = log_file.read_bytes().splitlines(keepends=True)
    events = [i for i, line in enumerate(lines) if b'"order"' in line]
    log_file.write_bytes(b"".join(lines[: events[-1]]))
    ran = cli("compare", trace_file, log_file)
    assert ran.code == 1
    assert "without a counterpart: 1 event of a (2)" in ran.out


def test_many_differences_are_cut_in_words_of_the_command_line(cli: Any, tmp_path: Path) -> None:
    paths = []
    for factor in (1.0, 2.0):
        x = torch.ones(2, requires_grad=True)
        y = x * factor
        for _ in range(130):
            y = y * 1.5
        y = (y * factor).sum()
        with ia.trace(y, params={"x": x}) as trace:
            y.backward()
        paths.append(trace.save(tmp_path / f"{factor}.json"))
    out = cli("compare", *paths).out
    assert "; --json has the first 100\n" in out
    assert len(cli("compare", *paths, "--json").json["differences"]) == 100


def test_what_is_no_trace(
    cli: Any, trace_file: Path, graph_file: Path, model: Path, tmp_path: Path
) -> None:
    for target, message in (
        (graph_file, f"{graph_file} is a saved graph; expected a saved trace"),
        (f"{model}:make_loss", f"{model}:make_loss is Python code; expected a saved trace"),
        (model, f"{model} is Python code; expected a saved trace"),
        ("package.module:loss", "package.module:loss is Python code; expected a saved trace"),
        (tmp_path, f"{tmp_path} is a folder; expected a saved trace"),
        ("no_such", "there is no file no_such"),
        (tmp_path / "no" / "t.json", f"there is no folder {tmp_path / 'no'}"),
    ):
        for pair in ((target, trace_file), (trace_file, target)):
            ran = cli("compare", *pair)
            assert (ran.code, ran.out) == (2, "")
            assert ran.err.startswith(f"error: {message}\n  What to do: ")
            as_json = cli("compare", *pair, "--json")
            assert (as_json.code, as_json.error["message"]) == (2, message)


def test_a_misspelt_file_comes_with_one_that_is_there(cli: Any, log_file: Path) -> None:
    ran = cli("compare", log_file.with_name("tracs.jsonl"), log_file)
    assert ran.code == 2
    assert "Did you mean trace.jsonl" in ran.err


def test_a_damaged_file(cli: Any, trace_file: Path, tmp_path: Path) -> None:
    (tmp_path / "damaged.json").write_bytes(trace_file.read_bytes()[:-40])
    ran = cli("compare", trace_file, tmp_path / "damaged.json")
    assert ran.code == 2
    assert "does not hold valid JSON" in ran.err


def test_it_needs_no_torch(trace_file: Path, log_file: Path) -> None:
    code = (
        "import sys; from inspect_autograd.cli.main import main\n"
        f"code = main(['compare', {str(trace_file)!r}, {str(log_file)!r}])\n"
        "print(code, *({'torch', 'numpy', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0"]
