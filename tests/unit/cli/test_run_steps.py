"""Which steps `--steps` names."""

import pytest

from inspect_autograd.cli.result import UsageError
from inspect_autograd.cli.run_steps import DEFAULT_STEPS, parse_steps


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("0:3", [0, 1, 2]),
        (":3", [0, 1, 2]),
        ("5", [5]),
        ("4,6", [4, 6]),
        ("::4", [0, 4, 8]),
        ("1::4", [1, 5, 9]),
        ("2:9:3", [2, 5, 8]),
        ("7:", [7, 8, 9]),
        (":", [*range(10)]),
        ("0:2, 8", [0, 1, 8]),
        ("-3:", []),
        ("nonfinite", []),
    ],
)
def test_steps_by_number(text: str, named: list[int]) -> None:
    choice = parse_steps(text)
    assert [index for index in range(10) if choice.names(index)] == named


@pytest.mark.parametrize(
    ("text", "last", "nonfinite"),
    [
        ("-3:", 3, False),
        ("-1", 1, False),
        ("::100,-2:,-5:", 5, False),
        ("nonfinite,0:2", 0, True),
        (DEFAULT_STEPS, 1, False),
    ],
)
def test_steps_that_are_known_late(text: str, last: int, nonfinite: bool) -> None:
    choice = parse_steps(text)
    assert (choice.last, choice.nonfinite) == (last, nonfinite)


@pytest.mark.parametrize(
    "text", ["", "x", "1:2:3:4", "0:-1", "::0", "::-1", "-3:-1", "-4::2", "-2", "1.5", "1,,2", "-"]
)
def test_mistakes(text: str) -> None:
    with pytest.raises(UsageError, match="names no steps") as caught:
        parse_steps(text)
    assert "nonfinite" in caught.value.remedy
