import pytest

from inspect_autograd.errors import ArgumentError, ArgumentTypeError
from inspect_autograd.graph.fold import fold
from tests.unit.graph.fold.building import line


@pytest.mark.parametrize("by", ["chains", "", None, 3, ["chain"]])
def test_an_unknown_pass(by: object) -> None:
    with pytest.raises(
        ArgumentError, match="expected 'chain', 'scope', 'repeat' or 'band'"
    ) as info:
        fold(line("Sum Leaf"), by)  # type: ignore[arg-type]
    assert repr(by) in info.value.message
    assert info.value.remedy


@pytest.mark.parametrize("by", ["scope", "band"])
@pytest.mark.parametrize("depth", [0, -1])
def test_a_depth_below_one(by: str, depth: int) -> None:
    with pytest.raises(ArgumentError, match=f"depth is {depth}; expected an int of 1 or more"):
        fold(line("Sum Leaf"), by, depth=depth)


@pytest.mark.parametrize("by", ["scope", "band"])
@pytest.mark.parametrize("depth", [True, "2", 1.0])
def test_a_depth_that_is_no_int(by: str, depth: object) -> None:
    with pytest.raises(ArgumentTypeError, match=f"of type {type(depth).__name__}; expected an int"):
        fold(line("Sum Leaf"), by, depth=depth)  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["chain", "repeat"])
def test_a_depth_that_means_nothing(by: str) -> None:
    with pytest.raises(ArgumentError, match=f"depth is 2, but folding by='{by}' has no depth"):
        fold(line("Sum Leaf"), by, depth=2)


@pytest.mark.parametrize("by", ["chain", "scope", "repeat", "band"])
def test_folding_that_changes_nothing_returns_the_same_graph(by: str) -> None:
    graph = line("Sum Mul Leaf")
    assert fold(graph, by) is graph
