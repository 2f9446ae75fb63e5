from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import inspect_autograd as ia
from inspect_autograd.errors import ArgumentError, ArgumentTypeError, NoGraphError
from inspect_autograd.live.tracing.arguments import Keep, check_keep, check_stats

X = torch.ones(3, requires_grad=True)
LOSS = (X * 2).sum()


@pytest.mark.parametrize("level", ["meta", "basic", "full"])
def test_levels(level: str) -> None:
    check_stats(level)


BAD: list[tuple[dict[str, Any], type[Exception], list[str]]] = [
    ({"stats": "ful"}, ArgumentError, ["stats is 'ful'", "'meta', 'basic', 'full'", "costs least"]),
    ({"stats": None}, ArgumentError, ["stats is None", "'meta', 'basic', 'full'"]),
    ({"stats": ["meta"]}, ArgumentError, ["stats is ['meta']", "'meta', 'basic', 'full'"]),
    ({"keep": 3}, ArgumentTypeError, ["keep is 3 of type int", "a glob string", "keep="]),
    ({"keep": "Mull*"}, ArgumentError, ["keep is 'Mull*'", "no node", "'MulBackward0'"]),
    ({"keep": ""}, ArgumentError, ["keep is ''", "no node", "Give a glob"]),
    (
        {"params": 3},
        ArgumentTypeError,
        ["params is of type int", "a torch.nn.Module", "params=m"],
    ),
    ({"log": 3}, ArgumentTypeError, ["log is 3 of type int", "a string or a Path", "trace.jsonl"]),
    ({"log": b"x"}, ArgumentTypeError, ["log is b'x' of type bytes", "Give a file name"]),
    ({"log": "/no/such/x.jsonl"}, ArgumentError, ["log is '/no/such/x.jsonl'", "Make the folder"]),
    ({"log": "."}, ArgumentError, ["log is '.'", "which is a folder", "Add a file name"]),
    ({"log": "a\0b"}, ArgumentError, ["log is 'a\\x00b'", "cannot be written", "Give a path"]),
]


@pytest.mark.parametrize(("options", "error", "parts"), BAD)
def test_message_names_argument_value_expectation_and_remedy(
    options: dict[str, Any], error: type[Exception], parts: list[str]
) -> None:
    with pytest.raises(error) as caught, ia.trace(LOSS, **options):
        pass
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert "What to do: " in message


def test_outputs_without_a_graph() -> None:
    with pytest.raises(NoGraphError, match=r"outputs, f32\[3\], carries no autograd graph"):
        ia.trace(torch.ones(3))
    with pytest.raises(ArgumentTypeError, match="outputs is a Linear module"):
        ia.trace(torch.nn.Linear(2, 2))


def test_what_is_wrong_is_said_before_anything_is_hooked() -> None:
    """All but what needs the graph, or the file, is found out before the block is entered."""
    with pytest.raises(ArgumentError):
        ia.trace(LOSS, stats="none")  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError):
        ia.trace(LOSS, keep=3)  # type: ignore[arg-type]


def test_keep() -> None:
    graph = ia.capture(LOSS, params={"x": X})
    names = [node.name for node in graph.nodes]
    assert names == ["SumBackward0", "MulBackward0", "AccumulateGrad"]

    def chosen(choice: Any) -> set[int]:
        keep = check_keep(choice)
        keep.check(lambda: graph)
        return keep.new_ids(lambda: graph)

    assert chosen(None) == set()
    assert chosen("Mul*") == {1}
    assert chosen("x") == {2}
    assert chosen("*") == {0, 1, 2}
    assert chosen(lambda node: node.kind == "leaf") == {2}
    assert chosen(lambda node: False) == set()


def test_keep_is_asked_once_for_each_node() -> None:
    asked: list[int] = []

    def choose(node: ia.Node) -> bool:
        asked.append(node.id)
        return True

    small, large = ia.capture(X * 2), ia.capture(LOSS)
    keep = Keep(choose)
    assert keep.new_ids(lambda: small) == {0, 1}
    # The same nodes stand at the beginning of a graph that has grown.
    assert keep.new_ids(lambda: large) == {2}
    assert asked == [0, 1, 2]


def test_existing_log_is_only_replaced_when_the_block_is_entered(tmp_path: Path) -> None:
    log = tmp_path / "trace.jsonl"
    log.write_text("old")
    tracer = ia.trace(LOSS, log=log)
    assert log.read_text() == "old"
    with tracer:
        assert "header" in log.read_text()
